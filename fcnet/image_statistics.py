"""Scale and shift that bring images to a common size, from the training part alone.

Letters: N images, C channels, D values of an image, channel after channel.
"""

import numpy as np
from numpy.typing import NDArray

NORMALIZATIONS = ("mean", "channel", "pixel")

Rows = NDArray[np.uint8]
Values = NDArray[np.float64]


def scale_and_shift(X: Rows, channels: int, normalize: str) -> tuple[Values, Values]:
    """Compute what makes inputs of images: x = scale * image + shift.

    - `mean`: values from 0 to 1, less the mean of the channel;
    - `channel`: also divided by the standard deviation of the channel;
    - `pixel`: each value has a mean and a standard deviation of its own.

    A standard deviation below one grey level counts as one: images are rounded to whole
    levels, and a pixel that hardly changes in training is not to be blown up.

    Args:
        X: The training images, of shape (N, D), uint8, N >= 1.
        channels: C, a divisor of D.
        normalize: One of NORMALIZATIONS.

    Returns:
        Scale and shift, each of shape (D,), float64.

    Raises:
        ValueError: `normalize` is none of those.
    """
    if normalize not in NORMALIZATIONS:
        allowed = ", ".join(NORMALIZATIONS)
        raise ValueError(f"normalize must be one of {allowed}, but got {normalize!r}")
    groups = X.shape[1] if normalize == "pixel" else channels
    sums = _grouped(X.sum(axis=0, dtype=np.int64), groups)  # (groups,)
    count = X.size // groups
    mean = sums / count
    deviation = np.full(groups, 255.0)
    if normalize != "mean":
        # Sums of whole numbers are exact: the difference loses next to nothing.
        squares = _grouped(np.einsum("nd,nd->d", X, X, dtype=np.int64), groups)
        variance = squares / count - mean**2  # E[v^2] - E[v]^2
        deviation = np.sqrt(np.maximum(variance, 1.0))
    each = X.shape[1] // groups
    return np.repeat(1 / deviation, each), np.repeat(-mean / deviation, each)


def _grouped(values: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Add up values (D,) by groups of neighbours: (groups,)."""
    summed: NDArray[np.int64] = values.reshape(groups, -1).sum(axis=1)
    return summed
