"""Random generators derived from plain integers, so that none is ever stored.

What a run draws depends on its seed, the epoch and the iteration alone: a restored
run needs no generator state, and two runs in one process do not disturb each other.
"""

import hashlib
from enum import IntEnum

import torch


class Stream(IntEnum):
    """What a generator is for; streams of one seed are independent of each other."""

    INITIAL_WEIGHTS = 0
    PERMUTATION = 1
    ACCURACY_SAMPLE = 2
    DROPOUT = 3
    FLIP = 4


def make_generator(
    seed: int, stream: Stream, epoch: int = 0, iteration: int = 0
) -> torch.Generator:
    """Make the generator of one seed, stream, epoch and iteration.

    Neighbouring integers give unrelated draws: they are hashed with BLAKE2b
    (RFC 7693) and 63 bits of the digest seed the generator.

    Args:
        seed: The run's seed; any integer.
        stream: What is drawn.
        epoch: The epoch in which it is drawn; 0 is before training.
        iteration: The iteration in which it is drawn; 0 if it is drawn for all.

    Returns:
        A new generator on the CPU.
    """
    text = f"{int(seed)},{int(stream)},{int(epoch)}"
    if iteration:
        text += f",{int(iteration)}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    generator = torch.Generator(device="cpu")
    return generator.manual_seed(int.from_bytes(digest, "big") >> 1)
