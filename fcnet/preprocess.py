"""How a stored image becomes an input of a network: each value scaled and shifted.

Images stay uint8 where they are stored, a quarter of the memory of float32; what is
computed here is computed a minibatch at a time, on the device.

Letters: N images, C channels, H rows, W columns, D = C * H * W values of an image.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Preprocess:
    """x = scale * image + shift, value by value; in training, images may be mirrored.

    Attributes:
        scale: Of shape (D,), floating; its dtype is that of the inputs.
        shift: As scale.
        image_shape: (C, H, W), the order of an image's values.
        flip: Whether, in training, each image is mirrored left to right with
            probability 1/2.
    """

    scale: Tensor
    shift: Tensor
    image_shape: tuple[int, ...]
    flip: bool = False

    def __post_init__(self) -> None:
        """Check that shapes and dtypes belong together.

        Raises:
            ValueError: They do not; the message names both.
        """
        size = (math.prod(self.image_shape),)
        scale, shift = self.scale, self.shift
        if not scale.shape == shift.shape == size:
            raise ValueError(
                f"scale and shift must be {size} for images {self.image_shape}, but "
                f"got {tuple(scale.shape)} and {tuple(shift.shape)}"
            )
        if scale.dtype != shift.dtype or not scale.is_floating_point():
            raise ValueError(
                f"scale and shift must be of one floating dtype, but got {scale.dtype} "
                f"and {shift.dtype}"
            )

    def to(self, device: str | torch.device, dtype: torch.dtype) -> "Preprocess":
        """Return the same for inputs of that dtype on that device."""
        scale, shift = (tensor.to(device, dtype) for tensor in (self.scale, self.shift))
        return replace(self, scale=scale, shift=shift)

    def __call__(self, images: Tensor) -> Tensor:
        """Make inputs of images as they are, mirroring none: for evaluation.

        Args:
            images: Of shape (N, d_1, ..., d_k) with d_1 * ... * d_k = D, of any dtype,
                on the device of scale and shift.

        Returns:
            The inputs, of images' shape and scale's dtype, in memory of their own.
        """
        x = images.flatten(1).to(self.scale.dtype)
        return torch.addcmul(self.shift, x, self.scale).view(images.shape)

    def mirror(self, x: Tensor) -> Tensor:
        """Mirror every image left to right.

        Args:
            x: Images, of shape (N, D).

        Returns:
            Copies with the values of each row of each channel in reverse, (N, D).
        """
        return x.view(-1, *self.image_shape).flip(-1).view(x.shape)
