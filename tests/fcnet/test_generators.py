"""Generators made from integers."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fcnet.generators import Stream, make_generator


@settings(deadline=None, max_examples=20)
@given(st.integers(), st.integers(0, 10**6))
def test_the_same_integers_give_the_same_draws(seed: int, epoch: int) -> None:
    """A generator depends on its integers alone."""
    one, other = (
        torch.rand(3, generator=make_generator(seed, Stream.PERMUTATION, epoch))
        for _ in range(2)
    )
    assert torch.equal(one, other)


def test_neighbouring_integers_give_different_draws() -> None:
    """No two of a thousand neighbours draw alike."""
    draws = {
        torch.rand(1, generator=make_generator(seed, stream, epoch, iteration)).item()
        for seed in range(-10, 10)
        for stream in Stream
        for epoch in range(7)
        for iteration in range(2)
    }
    # float32 has 2^24 values in [0, 1): a few of 1120 may meet by chance.
    assert len(draws) > 1115


def test_the_global_generator_stays_where_it_is() -> None:
    """Making and using a generator leaves torch's own alone."""
    before = torch.get_rng_state()
    torch.rand(3, generator=make_generator(0, Stream.PERMUTATION))
    assert torch.equal(torch.get_rng_state(), before)
