"""Scale and shift of images, against numpy in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fcnet.image_statistics import NORMALIZATIONS, scale_and_shift


def draw(n: int, channels: int = 3, each: int = 6) -> NDArray[np.uint8]:
    """Draw n images of that many channels; channels differ in level and spread."""
    generator = np.random.default_rng(n)
    tops = np.repeat(40 * (1 + np.arange(channels)), each)
    return generator.integers(5, tops, (n, len(tops))).astype(np.uint8)


def normalized(X: NDArray[np.uint8], channels: int, name: str) -> NDArray[np.float64]:
    scale, shift = scale_and_shift(X, channels, name)
    assert scale.dtype == shift.dtype == np.float64
    assert scale.shape == shift.shape == X.shape[1:]
    return scale * X + shift


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 50), st.sampled_from([1, 2, 3, 6]))
def test_inputs_are_what_numpy_makes_of_the_definition(n: int, channels: int) -> None:
    """Channel by channel or value by value, with numpy's own mean and deviation."""
    X = draw(n)
    values = X.astype(np.float64).reshape(n, channels, -1)
    centred = values - values.mean((0, 2), keepdims=True)
    by_channel = centred / values.std((0, 2), keepdims=True)
    by_pixel = (X - X.mean(0)) / np.maximum(X.std(0), 1)
    expected = {"mean": centred / 255, "channel": by_channel, "pixel": by_pixel}
    for name in NORMALIZATIONS:
        found = normalized(X, channels, name)
        np.testing.assert_allclose(found, expected[name].reshape(n, -1), atol=1e-11)


def test_a_pixel_that_never_changes_becomes_zero_and_stays_finite() -> None:
    """Black, white and grey alike; another value in a new image is no explosion."""
    X = draw(30)
    X[:, 0], X[:, 1], X[:, 2] = 0, 255, 77
    assert (normalized(X, 3, "pixel")[:, :3] == 0).all()
    scale, shift = scale_and_shift(X, 3, "pixel")
    new = scale * np.array([[255], [0]]) + shift
    assert np.abs(new).max() <= 255


def test_images_of_one_shade_are_normalised_too() -> None:
    """Where nothing varies, every way gives zeros."""
    X = np.full((4, 6), 200, np.uint8)
    for name in NORMALIZATIONS:
        np.testing.assert_allclose(normalized(X, 2, name), 0, atol=1e-12)


def test_many_bright_images_lose_no_digits() -> None:
    """Sums far beyond 32 bits are exact."""
    X = np.full((70_000, 12), 254, np.uint8)
    X[::2] = 252
    scale, shift = scale_and_shift(X, 1, "channel")
    np.testing.assert_allclose(scale, 1, rtol=1e-9)
    np.testing.assert_allclose(shift, -253, rtol=1e-9)


def test_an_unknown_way_is_refused() -> None:
    """The message lists the ways there are."""
    with pytest.raises(ValueError, match="one of mean, channel, pixel, but got 'men'"):
        scale_and_shift(draw(3), 3, "men")
