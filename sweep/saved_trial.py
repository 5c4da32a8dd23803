"""A trial in training, on disk: what its next attempt needs to go on from there.

Its files are named by epoch and by a digest of what they hold. So one that is torn, or
was changed, is found out, and the one before it is taken.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from torch import Tensor

from sweep.checkpoint import pack_tensors, unpack_tensors
from sweep.errors import DataError
from sweep.files import write_whole
from sweep.trial import EpochReport, HParams, TrialSpec

_KEPT = 2  # files of a trial, so that a torn one has one before it


@dataclass(frozen=True)
class SavedTrial:
    """All that changes while a trial trains.

    Attributes:
        hparams: The trial's settings, which make its network and solver.
        seed: The trial's seed.
        tensors: The solver's tensors, by name.
        numbers: The solver's plain numbers; what JSON can hold.
        reports: Of all its epochs.
        seconds: How long it has trained.
    """

    hparams: HParams
    seed: int
    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]
    reports: tuple[EpochReport, ...]
    seconds: float

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.reports)


def save_trial(folder: Path, saved: SavedTrial) -> None:
    """Write a trial's state, and let go of all but the one before it.

    Raises:
        OSError: The disk is full, or the folder may not be written; what was saved
            before is untouched.
    """
    plain = {
        "hparams": dict(saved.hparams),
        "seed": saved.seed,
        "numbers": saved.numbers,
        "reports": [asdict(report) for report in saved.reports],
        "seconds": saved.seconds,
    }
    content = pack_tensors(saved.tensors, json.dumps(plain))
    name = f"epoch-{saved.epoch:06d}-{_digest(content)}.safetensors"
    write_whole(folder / name, content)
    for old in _newest_first(folder)[_KEPT:]:
        old.unlink(missing_ok=True)


def load_trial(spec: TrialSpec) -> SavedTrial | None:
    """The newest state of a trial that is whole; None if there is none.

    What belongs to other settings or another seed is left alone.
    """
    if spec.folder is None:
        return None
    for path in _newest_first(Path(spec.folder)):
        saved = _read(path)
        if saved is not None and (saved.hparams, saved.seed) == (
            spec.hparams,
            spec.seed,
        ):
            return saved
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*.safetensors"), reverse=True)


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()


def _read(path: Path) -> SavedTrial | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if _digest(content) != path.stem.rpartition("-")[2]:
        return None
    try:
        tensors, text = unpack_tensors(content)
        plain = json.loads(text)
        reports = tuple(_report(report) for report in plain.pop("reports"))
        return SavedTrial(tensors=tensors, reports=reports, **plain)
    except (DataError, ValueError, KeyError, TypeError):
        return None  # whole, but of another version


def _report(plain: Mapping[str, Any]) -> EpochReport:
    losses = tuple((iteration, loss) for iteration, loss in plain["losses"])
    return EpochReport(**{**plain, "losses": losses})
