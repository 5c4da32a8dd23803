"""Update rules: pure, and equal to their definition."""

from types import MappingProxyType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fcnet.update_rules import UPDATE_RULES, sgd


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
    """Weights, gradient and config of the caller stay as they are."""
    w, dw = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)
    settings = {"other": 1.0}
    UPDATE_RULES[name](w, dw, MappingProxyType(settings))
    assert torch.equal(w, torch.arange(6.0).reshape(2, 3))
    assert torch.equal(dw, torch.ones(2, 3))
    assert settings == {"other": 1.0}
