"""A study as it is now, copied out of Optuna's storage, which is not changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from sweep.errors import StoreError
from sweep.experiment import Experiment
from sweep.paths import without_password
from sweep.summary import read_trials, summarise
from sweep.trial import State, StudySummary

_DONE = (State.COMPLETE, State.PRUNED)


@dataclass(frozen=True)
class StudyData:
    """All trials of a study.

    Attributes:
        experiment: What was run.
        study: Optuna's, with the trials as they are now, in memory.
        summary: What they say in our words.
    """

    experiment: Experiment
    study: optuna.Study
    summary: StudySummary

    def trials(self, *states: State) -> list[FrozenTrial]:
        """The trials in some states; all of them if none is given."""
        every = self.study.get_trials(deepcopy=False)
        return [t for t in every if not states or State(t.state.name) in states]

    def valued(self, *states: State) -> list[FrozenTrial]:
        """The trials that a value was told of, COMPLETE and PRUNED unless said."""
        return [t for t in self.trials(*(states or _DONE)) if t.value is not None]

    @property
    def best(self) -> FrozenTrial | None:
        """The best trial that completed."""
        best = self.summary.best
        return None if best is None else self.trials()[best.number]

    @cached_property
    def searched(self) -> list[str]:
        """The settings that trials differ in, in the order of the YAML."""
        seen = {name for trial in self.trials() for name in trial.params}
        named = [name for name in self.experiment.space if name in seen]
        return named + sorted(seen.difference(named))

    def weights(self) -> dict[str, float]:
        """The importance of each searched setting, largest first; empty if unknown.

        Two complete trials with different values are needed to tell.
        """
        values = {trial.value for trial in self.trials(State.COMPLETE)}
        if len(values) < 2 or not self.searched:
            return {}
        return optuna.importance.get_param_importances(self.study)

    @cached_property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What each searched setting was drawn from."""
        trials = self.trials()
        return {name: d for t in trials for name, d in t.distributions.items()}

    @cached_property
    def numbers(self) -> list[str]:
        """The searched settings that are numbers."""
        drawn = self.distributions.items()
        choices = {n for n, d in drawn if isinstance(d, CategoricalDistribution)}
        return [name for name in self.searched if name not in choices]


def read_study(experiment: Experiment) -> StudyData:
    """Copy an experiment's study.

    Raises:
        StoreError: if there is none, or the storage cannot be opened.
        StoreUnavailable: if it cannot be read.
    """
    found = read_trials(experiment)
    if found is None:
        raise StoreError(
            f"study.storage: {without_password(experiment.study.storage)} holds no "
            f"study named {experiment.name!r}; what to do: run the experiment first, "
            "from the same folder and with the same --set"
        )
    return study_data(experiment, *found)


def study_data(
    experiment: Experiment, trials: Iterable[FrozenTrial], key: str
) -> StudyData:
    """Put trials together, in the order of their numbers.

    Args:
        experiment: Whose trials they are.
        trials: All of them.
        key: What tells the study from others of its name.
    """
    copied = list(trials)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=experiment.name, direction="maximize")
    study.add_trials(copied)
    return StudyData(experiment, study, summarise(experiment, copied, key))


def is_log(distribution: BaseDistribution) -> bool:
    """Whether the logarithm is spread evenly instead of the number itself."""
    return bool(getattr(distribution, "log", False))
