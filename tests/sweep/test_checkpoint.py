"""Checkpoints: tensors and plain numbers, and nothing else."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sweep.checkpoint import Checkpoint, CheckpointInfo, encode, read_checkpoint
from sweep.errors import DataError

INFO = CheckpointInfo(
    number=7,
    epoch=3,
    val_accuracy=0.1 + 0.2,
    hparams={"hidden_dim": 5, "reg": 1e-7, "update_rule": "sgd", "flag": True},
    seed=0,
    classes=("cat", "dög"),
    image_shape=(3, 32, 32),
)


def test_a_checkpoint_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """Every bit of the weights and every number beside them."""
    params = {"W1": torch.randn(3, 4).T, "b1": torch.randn(4, dtype=torch.float64)}
    file = tmp_path / "net.safetensors"
    scale, shift = torch.rand(12), torch.rand(24)[::2]
    file.write_bytes(encode(Checkpoint(params, scale, shift, INFO)))
    found = read_checkpoint(file)

    assert found.info == INFO
    assert found.params.keys() == params.keys()
    assert all(torch.equal(found.params[name], params[name]) for name in params)
    assert torch.equal(found.scale, scale)
    assert torch.equal(found.shift, shift)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\xff" * 64])
def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    """The message names the file and what would do."""
    file = tmp_path / "net.safetensors"
    file.write_bytes(content)
    with pytest.raises(DataError, match="net.safetensors: not a checkpoint of a sweep"):
        read_checkpoint(file)


def test_somebody_else_s_safetensors_are_refused(tmp_path: Path) -> None:
    """Weights without our numbers are no checkpoint of a sweep."""
    save_file({"W1": torch.zeros(2)}, tmp_path / "net.safetensors")
    with pytest.raises(DataError, match="not a checkpoint of a sweep"):
        read_checkpoint(tmp_path / "net.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The system's own reason is in the message."""
    with pytest.raises(DataError, match=r"nowhere: cannot be read: No such file"):
        read_checkpoint(tmp_path / "nowhere")
