"""Losses: values and gradients against torch's own and finite differences."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet.gradient_check import numeric_gradient, relative_error
from fcnet.losses import l2_loss, softmax_loss, svm_loss

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def scores_and_labels(n: int, c: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw float64 scores (n, c) and labels (n,) from an own generator."""
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(n, c, generator=generator, dtype=torch.float64)
    return x, torch.randint(c, (n,), generator=generator)


@pytest.mark.parametrize(("n", "c"), [(1, 3), (5, 4), (7, 1), (2, 10)])
def test_softmax_loss_agrees_with_both_oracles(n: int, c: int) -> None:
    """Loss and gradient are those of torch's cross entropy and of differences."""
    x, y = scores_and_labels(n, c)
    loss, dx = softmax_loss(x, y)
    leaf = x.clone().requires_grad_()
    expected = torch.nn.functional.cross_entropy(leaf, y)
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.shape == ()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dx, leaf.grad, rtol=1e-12, atol=1e-12)
    numeric = numeric_gradient(lambda x: softmax_loss(x, y)[0], x)
    torch.testing.assert_close(dx, numeric, rtol=1e-7, atol=1e-9)


def test_equal_scores_lose_log_c() -> None:
    """Scores that prefer no class have a loss of log C."""
    loss, _ = softmax_loss(torch.zeros(4, 10), torch.tensor([0, 3, 9, 3]))
    assert loss.item() == pytest.approx(math.log(10), rel=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_huge_scores_stay_finite(size: float) -> None:
    """Scores whose exponential overflows have a finite loss and gradient."""
    x = torch.tensor([[size, -size, 0.0], [size, size, -size]])
    loss, dx = softmax_loss(x, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(math.log(2) / 2)
    assert dx.isfinite().all()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99), st.floats(-50, 50))
def test_a_shift_of_scores_changes_nothing(
    n: int, c: int, seed: int, shift: float
) -> None:
    """Adding a number to all scores keeps the loss; each gradient row sums to 0."""
    x, y = scores_and_labels(n, c, seed)
    loss, dx = softmax_loss(x, y)
    torch.testing.assert_close(softmax_loss(x + shift, y)[0], loss)
    torch.testing.assert_close(dx.sum(dim=1), torch.zeros(n, dtype=torch.float64))


@pytest.mark.parametrize("loss", [softmax_loss, svm_loss])
def test_losses_leave_scores_unchanged(loss: Loss) -> None:
    """The scores are as they were."""
    x, y = scores_and_labels(5, 4)
    before = x.clone()
    loss(x, y)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("n", "c"), [(1, 3), (5, 4), (7, 1), (2, 10)])
def test_svm_loss_agrees_with_both_oracles(n: int, c: int) -> None:
    """Loss and gradient are those of torch's multi margin loss and of differences."""
    x, y = scores_and_labels(n, c)
    loss, dx = svm_loss(x, y)
    leaf = x.clone().requires_grad_()
    # torch divides by the number of classes, the course does not.
    expected = c * torch.nn.functional.multi_margin_loss(leaf, y)
    expected.backward()  # type: ignore[no-untyped-call]
    assert loss.shape == ()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(dx, leaf.grad, rtol=1e-12, atol=1e-12)
    numeric = numeric_gradient(lambda x: svm_loss(x, y)[0], x)
    torch.testing.assert_close(dx, numeric, rtol=1e-7, atol=1e-9)


def test_equal_scores_lose_a_margin_for_each_wrong_class() -> None:
    """Scores that prefer no class have a loss of C - 1."""
    loss, _ = svm_loss(torch.zeros(4, 10), torch.tensor([0, 3, 9, 3]))
    assert loss.item() == 9


def test_a_margin_that_is_kept_costs_nothing() -> None:
    """Right scores that lead by 1 or more have neither loss nor gradient."""
    x = torch.tensor([[2.0, 1.0, -5.0], [0.0, 0.5, 9.0]])
    loss, dx = svm_loss(x, torch.tensor([0, 2]))
    assert loss.item() == 0
    assert not dx.any()


@pytest.mark.parametrize("loss", [softmax_loss, svm_loss])
@pytest.mark.parametrize(("x", "y"), [((2, 3), (3,)), ((6,), (6,)), ((0, 3), (0,))])
def test_shapes_that_disagree_are_refused(
    loss: Loss, x: tuple[int, ...], y: tuple[int, ...]
) -> None:
    """Scores and labels that do not belong together are an error that says so."""
    with pytest.raises(ValueError, match=r"x must be \(N, C\)"):
        loss(torch.zeros(x), torch.zeros(y, dtype=torch.int64))


@pytest.mark.parametrize("reg", [0.0, 0.3])
def test_l2_loss_has_no_factor_of_one_half(reg: float) -> None:
    """The term is reg * sum(w**2) and its gradient 2 * reg * w."""
    w, _ = scores_and_labels(3, 4)
    loss, dw = l2_loss(w, reg)
    torch.testing.assert_close(loss, reg * (w * w).sum())
    assert relative_error(dw, numeric_gradient(lambda w: l2_loss(w, reg)[0], w)) < 1e-8
