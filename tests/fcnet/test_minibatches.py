"""Minibatches: what is gathered, where, and what is mirrored."""

import pytest
import torch
from torch import Tensor

from fcnet.generators import Stream, make_generator
from fcnet.minibatches import Minibatches
from fcnet.preprocess import Preprocess

SHAPE = (2, 3, 4)
D = 24


def examples(n: int = 50) -> tuple[Tensor, Tensor]:
    """Draw n images as bytes, and label each with its number."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randint(256, (n, D), generator=generator, dtype=torch.uint8)
    return X, torch.arange(n)


def preprocessing(flip: bool) -> Preprocess:
    generator = torch.Generator().manual_seed(1)
    scale, shift = (
        torch.rand(D, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    return Preprocess(scale, shift, SHAPE, flip)


def mirrored(minibatches: Minibatches, order: Tensor) -> dict[int, bool]:
    """Gather an epoch; tell of each example whether it came mirrored."""
    X, _ = examples()
    images, preprocess = X.view(-1, *SHAPE), preprocessing(flip=True)
    said = {}
    for chosen in torch.split(order, minibatches.batch_size):
        x, labels = minibatches.gather(chosen)
        assert torch.equal(labels, chosen)
        plain = preprocess(images[chosen]).flatten(1)
        other = preprocess(images[chosen].flip(-1)).flatten(1)
        for row, label in enumerate(labels.tolist()):
            same, turned = (torch.equal(x[row], rows[row]) for rows in (plain, other))
            assert same != turned, "neither the image nor its mirror image"
            said[label] = turned
    return said


@pytest.mark.parametrize("shape", [(D,), SHAPE])
@pytest.mark.parametrize("n", [1, 7, 8])
def test_floating_examples_come_as_they_are(shape: tuple[int, ...], n: int) -> None:
    """Without preprocessing each row is the example, bit for bit, and so its label."""
    X, y = examples()
    X = X.double().sin().view(-1, *shape)
    chosen = torch.randperm(50)[:n]
    x, labels = Minibatches(X, y, 8).gather(chosen)
    assert torch.equal(x, X[chosen].flatten(1))
    assert torch.equal(labels, chosen)


def test_without_flips_minibatches_are_what_evaluation_sees() -> None:
    """Bytes become inputs by the same formula, and no epoch changes them."""
    X, y = examples()
    preprocess = preprocessing(flip=False)
    minibatches = Minibatches(X, y, 8, preprocess)
    for epoch in (1, 2):
        minibatches.start_epoch(3, epoch)
        for chosen in torch.split(torch.arange(50), 8):
            assert torch.equal(minibatches.gather(chosen)[0], preprocess(X[chosen]))


def test_half_the_images_are_mirrored_in_each_epoch_others_in_the_next() -> None:
    """About half of fifty, drawn anew for each epoch and each seed."""
    minibatches = Minibatches(*examples(), 8, preprocessing(flip=True))
    seen = []
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        minibatches.start_epoch(seed, epoch)
        seen.append(mirrored(minibatches, torch.arange(50)))
    assert all(12 <= sum(flips.values()) <= 38 for flips in seen)
    assert seen[0] != seen[1] != seen[2] != seen[0]


@pytest.mark.parametrize("batch_size", [1, 8, 50, 1000])
def test_flips_depend_on_seed_and_epoch_alone(batch_size: int) -> None:
    """Neither the order nor the size of minibatches matters, nor what came before."""
    drawn = torch.randint(2, (50, 1), generator=make_generator(4, Stream.FLIP, 2))
    expected = dict(enumerate(drawn.flatten().bool().tolist()))
    minibatches = Minibatches(*examples(), batch_size, preprocessing(flip=True))
    minibatches.start_epoch(4, 1)
    minibatches.gather(torch.arange(1))
    minibatches.start_epoch(4, 2)
    assert mirrored(minibatches, torch.randperm(50)) == expected


def test_every_minibatch_lies_at_the_same_address() -> None:
    """A graph that was captured in one epoch reads and writes there in all others."""
    minibatches = Minibatches(*examples(), 8, preprocessing(flip=True))
    rooms = []
    for epoch in (1, 2):
        minibatches.start_epoch(0, epoch)
        rooms += [minibatches.choose(c) for c in torch.split(torch.arange(48), 8)]
    assert all(room is rooms[0] for room in rooms)
    ragged = minibatches.choose(torch.arange(3))
    assert ragged.x.data_ptr() == rooms[0].x.data_ptr()
    assert ragged.x.shape == (3, D)


def test_stored_examples_are_never_written_to() -> None:
    """After an epoch with flips they are what they were."""
    X, y = examples()
    before = X.clone()
    minibatches = Minibatches(X, y, 8, preprocessing(flip=True))
    minibatches.start_epoch(0, 1)
    mirrored(minibatches, torch.arange(50))
    assert torch.equal(X, before)


def test_it_knows_its_own_examples_and_size() -> None:
    """Others need minibatches of their own; a huge size means all examples."""
    X, y = examples()
    minibatches = Minibatches(X, y, 10**12)
    assert (minibatches.batch_size, minibatches.per_epoch) == (50, 1)
    assert minibatches.fits(X, y, 50)
    assert minibatches.fits(X, y, 60)
    assert not minibatches.fits(X, y, 49)
    assert not minibatches.fits(X.clone(), y, 50)
    assert not minibatches.fits(X, y.clone(), 50)
    assert Minibatches(X, y, 8).per_epoch == 7
