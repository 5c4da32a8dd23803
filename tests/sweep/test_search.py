"""Our words in Optuna's, and the one function of Optuna's that is replaced."""

import importlib.util
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers._tpe import _truncnorm
from scipy.special import log_ndtr

from sweep.search import to_optuna
from sweep.space import Choice, FloatRange, IntRange


def test_each_distribution_has_its_counterpart() -> None:
    """Ends, scale and step are the same."""
    assert to_optuna(IntRange(1, 9)) == IntDistribution(1, 9)
    assert to_optuna(IntRange(1, 9, step=2)) == IntDistribution(1, 9, step=2)
    assert to_optuna(IntRange(1, 9, log=True)) == IntDistribution(1, 9, log=True)
    assert to_optuna(FloatRange(0.0, 1.0)) == FloatDistribution(0.0, 1.0)
    assert to_optuna(FloatRange(0.1, 1.0, log=True)) == FloatDistribution(
        0.1, 1.0, log=True
    )
    assert to_optuna(Choice(("a", 1, True))) == CategoricalDistribution(("a", 1, True))


def test_the_faster_function_is_the_one_that_it_replaces() -> None:
    """Optuna's own, loaded afresh, gives the same numbers over the whole line."""
    spec = importlib.util.find_spec(_truncnorm.__name__)
    assert spec is not None
    assert spec.loader is not None
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    x = np.concatenate([np.linspace(-40, 12, 2001), [-1e3, -0.0, 1e3]])

    assert _truncnorm._log_ndtr is log_ndtr
    assert original._log_ndtr is not log_ndtr
    np.testing.assert_allclose(
        log_ndtr(x), original._log_ndtr(x), rtol=1e-9, atol=1e-15
    )


def test_optuna_calls_the_function_that_is_replaced() -> None:
    """If a new Optuna no longer did, the replacement would be dead and could go."""
    calls = []

    def spy(x: Any) -> Any:
        calls.append(len(x))
        return log_ndtr(x)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=1))
    for value in (0.0, 1.0):
        study.tell(study.ask({"x": FloatDistribution(0, 1)}), value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_truncnorm, "_log_ndtr", spy)
        study.ask({"x": FloatDistribution(0, 1)})

    assert calls
