from sweep.api.experiment import Experiment as Experiment
from sweep.api.result import Result as Result
from sweep.api.running import run as run
from sweep.errors import SweepError as SweepError
from sweep.space import Choice as Choice
from sweep.space import FloatRange as FloatRange
from sweep.space import IntRange as IntRange
from sweep.trial import State as State
