"""Our words for a search in Optuna's: distributions, samplers, pruners."""

from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.samplers._tpe import _truncnorm
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy.special import log_ndtr

from sweep.experiment import Experiment
from sweep.space import Choice, Distribution, IntRange

# Optuna evaluates the logarithm of the normal distribution function number by number in
# Python, which is four fifths of a proposal. SciPy's is the same function on arrays:
# with 100 finished trials a proposal takes 4 ms instead of 21, with 1,000 20 instead of
# 93. A test holds the two against each other.
_truncnorm._log_ndtr = log_ndtr


def to_optuna(distribution: Distribution) -> BaseDistribution:
    """Optuna's distribution over the same values."""
    d = distribution
    if isinstance(d, Choice):
        return CategoricalDistribution(d.options)
    if isinstance(d, IntRange):
        return IntDistribution(d.low, d.high, log=d.log, step=d.step or 1)
    return FloatDistribution(d.low, d.high, log=d.log, step=d.step)


def suggest(trial: Trial, name: str, distribution: Distribution) -> None:
    """Let a trial that was proposed have one more hyperparameter."""
    d = distribution
    if isinstance(d, Choice):
        trial.suggest_categorical(name, d.options)
    elif isinstance(d, IntRange):
        trial.suggest_int(name, low=d.low, high=d.high, log=d.log, step=d.step or 1)
    else:
        trial.suggest_float(name, d.low, d.high, log=d.log, step=d.step)


class _Tpe(optuna.samplers.TPESampler):
    """Optuna's TPE, with as many random trials as asked for, however many run at once.

    Optuna counts finished trials alone: with 32 lanes and ten start-up trials, it would
    propose 41 at random or more before it looks at a result.
    """

    def __init__(self, startup_trials: int, seed: int) -> None:
        """Take the number of random trials, and the seed."""
        super().__init__(n_startup_trials=startup_trials, seed=seed)
        self._startup_trials = startup_trials

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Count the trials that run beside the one to be proposed as finished."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # at least one result, or there is nothing to model
        self._n_startup_trials = max(1, self._startup_trials - len(running) + 1)
        return super().infer_relative_search_space(study, trial)


class _Grid(optuna.samplers.GridSampler):
    """Optuna's grid, leaving it to the budget to end the study when all is tried."""

    def after_trial(self, *_arguments: Any) -> None:
        """Do not stop: `Study.stop` is for `Study.optimize` alone, and raises here."""


def make_sampler(experiment: Experiment, trials: int) -> BaseSampler:
    """The sampler that the experiment asks for.

    Args:
        experiment: The experiment.
        trials: Number of trials that the study has already.
    """
    # with the seed alone, a study that goes on would propose its first trials again
    seed = (experiment.study.seed + 1_000_003 * trials) % 2**32
    startup = experiment.study.startup_trials
    match experiment.study.sampler:
        case "tpe":
            return _Tpe(startup, seed)
        case "random":
            return optuna.samplers.RandomSampler(seed=seed)
        case "grid":
            grid = {key: list(d.grid()) for key, d in experiment.space.items()}
            return _Grid(grid, seed=experiment.study.seed)
        case "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=startup)
        case "cmaes":
            return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=startup)
        case "qmc":
            return optuna.samplers.QMCSampler(seed=experiment.study.seed)


def make_pruner(experiment: Experiment) -> BasePruner:
    """The pruner that the experiment asks for; its resource is the epoch."""
    match experiment.study.pruner:
        case "none":
            return optuna.pruners.NopPruner()
        case "median":
            return optuna.pruners.MedianPruner()
        case "percentile":
            return optuna.pruners.PercentilePruner(25.0)
        case "hyperband":
            epochs = experiment.max_epochs
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
        case "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
