"""Update rules: pure, and equal to torch's own and to their definition."""

from collections.abc import Callable
from types import MappingProxyType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fcnet.update_rules import UPDATE_RULES, Config, default_learning_rate, sgd

Oracle = Callable[[list[Tensor]], torch.optim.Optimizer]

ORACLES: dict[str, tuple[dict[str, float], Oracle]] = {
    "sgd": ({"learning_rate": 0.1}, lambda ws: torch.optim.SGD(ws, 0.1)),
    "sgd_momentum": (
        {"learning_rate": 0.1, "momentum": 0.8},
        lambda ws: torch.optim.SGD(ws, 0.1, momentum=0.8),
    ),
    "rmsprop": (
        {"learning_rate": 0.1, "decay_rate": 0.9, "epsilon": 1e-3},
        lambda ws: torch.optim.RMSprop(ws, 0.1, alpha=0.9, eps=1e-3),
    ),
    "adam": (
        {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3},
        lambda ws: torch.optim.Adam(ws, 0.1, (0.8, 0.95), eps=1e-3),
    ),
}
DEFAULTS: dict[str, Oracle] = {
    "sgd": lambda ws: torch.optim.SGD(ws, 1e-2),
    "sgd_momentum": lambda ws: torch.optim.SGD(ws, 1e-2, momentum=0.9),
    "rmsprop": lambda ws: torch.optim.RMSprop(ws, 1e-2, alpha=0.99, eps=1e-8),
    "adam": lambda ws: torch.optim.Adam(ws, 1e-3, (0.9, 0.999), eps=1e-8),
}


def assert_same_path(name: str, config: Config, oracle: Oracle) -> None:
    """Assert that twelve steps along drawn gradients are those of torch's optimizer."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    leaf = w.clone().requires_grad_()
    optimizer = oracle([leaf])
    for _ in range(12):
        dw = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        leaf.grad = dw.clone()
        optimizer.step()
        w, config = UPDATE_RULES[name](w, dw, config)
        torch.testing.assert_close(w, leaf.detach(), rtol=1e-12, atol=1e-12)


def test_every_rule_has_an_oracle() -> None:
    """No rule is added without something to hold it to."""
    assert UPDATE_RULES.keys() == ORACLES.keys() == DEFAULTS.keys()


@pytest.mark.parametrize("name", sorted(UPDATE_RULES))
def test_rules_agree_with_torch(name: str) -> None:
    """With settings of one's own, each step is that of torch's optimizer."""
    config, oracle = ORACLES[name]
    assert_same_path(name, config, oracle)


@pytest.mark.parametrize("name", sorted(UPDATE_RULES))
def test_defaults_are_the_course_s(name: str) -> None:
    """An empty config means the course's settings."""
    assert_same_path(name, {}, DEFAULTS[name])


@pytest.mark.parametrize("name", sorted(UPDATE_RULES))
def test_a_rule_s_default_learning_rate_is_known(name: str) -> None:
    """What a rule fills in is what the Solver is told, also for a stranger."""
    _, config = UPDATE_RULES[name](torch.zeros(1), torch.ones(1), {})
    assert config["learning_rate"] == default_learning_rate(UPDATE_RULES[name])
    assert default_learning_rate(lambda w, dw, config: (w, config)) == 1e-2


def test_entries_have_the_course_s_names() -> None:
    """State is kept under the names that the course gives it."""
    entries = {
        name: sorted(rule(torch.zeros(1), torch.ones(1), {})[1])
        for name, rule in UPDATE_RULES.items()
    }
    assert entries == {
        "sgd": ["learning_rate"],
        "sgd_momentum": ["learning_rate", "momentum", "velocity"],
        "rmsprop": ["cache", "decay_rate", "epsilon", "learning_rate"],
        "adam": ["beta1", "beta2", "epsilon", "learning_rate", "m", "t", "v"],
    }


@given(st.floats(0, 10), st.floats(-10, 10), st.floats(-10, 10))
def test_sgd_steps_against_the_gradient(rate: float, w: float, dw: float) -> None:
    """The next weight is w - learning_rate * dw."""
    weight, gradient = torch.tensor([w, dw], dtype=torch.float64)
    next_w, config = sgd(weight, gradient, {"learning_rate": rate})
    assert next_w.item() == pytest.approx(w - rate * dw, abs=1e-12)
    assert config == {"learning_rate": rate}


def test_sgd_has_a_default_learning_rate() -> None:
    """An empty config means 1e-2, and the config returned says so."""
    next_w, config = sgd(torch.zeros(1), torch.ones(1), {})
    assert next_w.item() == pytest.approx(-1e-2)
    assert config == {"learning_rate": 1e-2}


@pytest.mark.parametrize("name", sorted(UPDATE_RULES))
def test_rules_change_no_argument(name: str) -> None:
    """Weights, gradient, settings and state of the caller stay as they are."""
    w, dw = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)
    _, config = UPDATE_RULES[name](w, dw, {"other": 1.0})
    state = {k: v.clone() for k, v in config.items() if isinstance(v, Tensor)}
    numbers = {k: v for k, v in config.items() if not isinstance(v, Tensor)}
    UPDATE_RULES[name](w, dw, MappingProxyType(dict(config)))
    assert torch.equal(w, torch.arange(6.0).reshape(2, 3))
    assert torch.equal(dw, torch.ones(2, 3))
    for entry, value in config.items():
        before = state.get(entry, numbers.get(entry))
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(before)), entry
