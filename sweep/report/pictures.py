"""Images and weights as PNG, written into the page itself.

Letters: H units, C channels, R rows and S columns of an image.
"""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CLIPPED = 0.005  # share of a unit's weights that may be beyond black and white


def unit_picture(weights: NDArray[np.float32], image_shape: tuple[int, ...]) -> str:
    """A hidden unit's weights as an image: grey for zero, bright for positive.

    Args:
        weights: Of shape (C * R * S,), in that order.
        image_shape: (C, R, S); more than one channel is in colour if they are three.
    """
    largest = float(np.quantile(np.abs(weights), 1 - _CLIPPED)) or 1.0
    shades = np.clip(127.5 + 127.5 * weights / largest, 0, 255).round()
    image = shades.astype(np.uint8).reshape(image_shape)
    return image_picture(image.transpose(1, 2, 0))


def image_picture(image: NDArray[np.uint8]) -> str:
    """An image of shape (R, S, C) as a data URL; its mean if C is neither 1 nor 3."""
    if image.shape[2] not in (1, 3):
        image = image.mean(axis=2, keepdims=True).astype(np.uint8)
    pixels = image[..., 0] if image.shape[2] == 1 else image
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
