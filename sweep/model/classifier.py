"""A network in an ONNX file, put to use. The only file that knows onnxruntime.

Letters: N images; C channels, H rows and W columns of an image; K classes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from fcnet.errors import DatasetError
from fcnet.image_data import Images
from fcnet.image_folder import decode_image
from sweep.errors import DataError, ModelError
from sweep.model.onnx_graph import INPUT, PROBABILITIES

_BATCH = 256  # images decoded and scored at once


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image.

    Attributes:
        file: The image's file.
        ranking: Pairs of class and probability, the likeliest first.
    """

    file: str
    ranking: tuple[tuple[str, float], ...]


class Classifier:
    """The network of an ONNX file that this package has written.

    Attributes:
        classes: The class names.
        image_shape: (C, H, W).
    """

    def __init__(self, content: bytes, name: str) -> None:
        """Load it.

        Args:
            content: The ONNX file.
            name: What people know it by, for messages.

        Raises:
            ModelError: It is no ONNX file, or none of ours.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised, too
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            image = self._session.get_inputs()[0]
            known = self._session.get_modelmeta().custom_metadata_map
            self.classes: tuple[str, ...] = tuple(json.loads(known["classes"]))
            _, *shape = image.shape
            channels, rows, columns = map(int, shape)
        except Exception as error:  # its errors have no type in common
            raise ModelError(
                f"{name}: not a model of ours ({error}); allowed: what "
                "`python -m sweep best FILE --export DIR` or --register has written"
            ) from error
        self.image_shape = channels, rows, columns

    def classify(self, files: Sequence[Path]) -> list[Prediction]:
        """Classify image files, each decoded as the training images were.

        Raises:
            DataError: A file is missing or is no image.
        """
        found: list[Prediction] = []
        for start in range(0, len(files), _BATCH):
            some = files[start : start + _BATCH]
            images = np.stack([self._decode(file) for file in some])
            shares = self._probabilities(images.transpose(0, 3, 1, 2))
            found += map(self._prediction, some, shares)
        return found

    def _probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probability of each class for images (N, C, H, W): (N, K)."""
        answer = self._session.run([PROBABILITIES], {INPUT: images})
        shares: NDArray[np.float32] = answer[0]
        return shares

    def _decode(self, file: Path) -> Images:
        channels, rows, columns = self.image_shape
        if not file.is_file():
            found = "it is a folder" if file.is_dir() else "no such file"
            raise DataError(f"{file}: {found}; allowed: files of images")
        try:
            return decode_image(file, (rows, columns), channels)
        except DatasetError as error:
            raise DataError(str(error)) from error

    def _prediction(self, file: Path, shares: NDArray[np.float32]) -> Prediction:
        order = np.argsort(-shares, kind="stable")
        ranking = tuple((self.classes[place], float(shares[place])) for place in order)
        return Prediction(str(file), ranking)
