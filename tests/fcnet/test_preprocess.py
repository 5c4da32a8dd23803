"""How a stored image becomes an input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fcnet.preprocess import Preprocess


def make(*shape: int, dtype: torch.dtype = torch.float64) -> Preprocess:
    """Make one for images of that shape, with a scale and shift of every value."""
    size = torch.Size(shape).numel()
    generator = torch.Generator().manual_seed(0)
    scale, shift = (
        torch.rand(size, generator=generator, dtype=dtype) for _ in range(2)
    )
    return Preprocess(scale, shift, shape)


def draw(n: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randint(256, (n, *shape), generator=generator, dtype=torch.uint8)


@settings(deadline=None, max_examples=30)
@given(*(st.integers(1, 5) for _ in range(4)))
def test_mirroring_turns_rows_of_every_channel_and_nothing_else(
    n: int, c: int, h: int, w: int
) -> None:
    """It is torch.flip of the last of four dimensions; twice is the same image."""
    images, preprocess = draw(n, c, h, w), make(c, h, w)
    rows = images.flatten(1)
    mirrored = preprocess.mirror(rows)
    assert torch.equal(mirrored, torch.flip(images, dims=[3]).flatten(1))
    assert torch.equal(preprocess.mirror(mirrored), rows)


@pytest.mark.parametrize("shape", [(12,), (3, 4), (3, 2, 2)])
def test_inputs_keep_the_shape_of_the_images(shape: tuple[int, ...]) -> None:
    """Every value is scaled and shifted, whatever dimensions the images come in."""
    preprocess, images = make(3, 2, 2), draw(5, *shape)
    expected = preprocess.scale * images.flatten(1) + preprocess.shift
    found = preprocess(images)
    assert found.shape == images.shape
    torch.testing.assert_close(found.flatten(1), expected)


def test_inputs_are_of_the_dtype_asked_for_and_images_stay() -> None:
    """The dtype of scale and shift decides; what is stored is never written to."""
    images = draw(5, 12)
    for dtype in (torch.float32, torch.float64):
        assert make(3, 2, 2).to("cpu", dtype)(images).dtype == dtype
    preprocess = make(3, 2, 2)
    floats = images.double()
    preprocess(floats)
    assert torch.equal(floats, images.double())


def test_parts_that_do_not_belong_together_are_refused() -> None:
    """The message names what was found beside what is allowed."""
    with pytest.raises(ValueError, match=r"must be \(12,\) .* got \(12,\) and \(3,\)"):
        Preprocess(torch.ones(12), torch.ones(3), (3, 2, 2))
    with pytest.raises(ValueError, match=r"one floating dtype, but got torch.int64"):
        Preprocess(torch.arange(12), torch.arange(12), (3, 2, 2))
