"""What training minimises, with gradients: softmax loss, SVM loss and the L2 term.

Letters: N examples, C classes.
"""

import torch
from torch import Tensor


def softmax_loss(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean cross entropy of the softmax of the scores.

    With p[n] = softmax(x[n]) the loss is `-1/N sum_n log p[n, y[n]]` and its gradient
    `(p - onehot(y)) / N` (Bishop, Pattern Recognition and Machine Learning, 2006,
    equations 4.104, 4.108 and 4.109).

    Args:
        x: Scores, of shape (N, C), floating dtype.
        y: Labels, of shape (N,), int64, 0 <= y[n] < C.

    Returns:
        The loss, a tensor of no dimension, and dx, of shape (N, C).

    Raises:
        ValueError: The shapes disagree or there is no example.
    """
    _check_shapes(x, y)
    # Softmax does not change when a row is shifted; its largest score becomes 0, so
    # that no exponential overflows and at least one of them is 1.
    shifted = x - x.amax(dim=1, keepdim=True)
    log_sum = shifted.exp().sum(dim=1, keepdim=True).log()
    log_p = shifted - log_sum  # log p = x - log sum_c exp x[c]
    index = y.unsqueeze(1)
    loss = -log_p.gather(1, index).mean()  # -1/N sum_n log p[n, y[n]]
    dx = log_p.exp()
    dx.scatter_add_(1, index, torch.full_like(index, -1, dtype=dx.dtype))
    return loss, dx.div_(len(x))  # (p - onehot(y)) / N


def svm_loss(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean multiclass hinge loss of the scores, with a margin of 1.

    The loss is `1/N sum_n sum_{c != y[n]} max(0, x[n, c] - x[n, y[n]] + 1)` (Weston and
    Watkins, Support Vector Machines for Multi-Class Pattern Recognition, 1999, with
    one slack for each wrong class). Where a term is exactly 0 its derivative is taken
    as 0.

    Args:
        x: Scores, of shape (N, C), floating dtype.
        y: Labels, of shape (N,), int64, 0 <= y[n] < C.

    Returns:
        The loss, a tensor of no dimension, and dx, of shape (N, C).

    Raises:
        ValueError: The shapes disagree or there is no example.
    """
    _check_shapes(x, y)
    index = y.unsqueeze(1)
    margins = (x - x.gather(1, index) + 1).clamp(min=0)  # max(0, x[c] - x[y] + 1)
    margins.scatter_(1, index, 0)
    dx = (margins > 0).to(x.dtype)
    # The label's score stands in every term that is not 0, with a minus.
    dx.scatter_(1, index, -dx.sum(dim=1, keepdim=True))
    return margins.sum() / len(x), dx.div_(len(x))


def l2_loss(w: Tensor, reg: float) -> tuple[Tensor, Tensor]:
    """Compute the L2 term of one weight matrix, without a factor of one half.

    Args:
        w: Weights, of any shape, floating dtype.
        reg: Strength of the regularisation, >= 0.

    Returns:
        The term `reg * sum(w**2)`, a tensor of no dimension, and dw, of w's shape.
    """
    return reg * w.square().sum(), 2 * reg * w  # d/dw reg sum w^2 = 2 reg w


def _check_shapes(x: Tensor, y: Tensor) -> None:
    """Raise a ValueError unless scores and labels belong together and N >= 1."""
    if x.dim() != 2 or y.shape != x.shape[:1] or not len(x):
        raise ValueError(
            f"x must be (N, C) and y (N,) with N >= 1, but got x of shape "
            f"{tuple(x.shape)} and y of shape {tuple(y.shape)}"
        )
