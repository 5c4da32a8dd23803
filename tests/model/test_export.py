"""`best --export` and `predict`: the files, and what onnxruntime makes of them."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from sweep.checkpoint import Checkpoint, CheckpointInfo, read_checkpoint
from sweep.cli import app
from sweep.model.network import best_model, score
from sweep.model.onnx_graph import onnx_model
from swept import Swept, held_out_digits, write_images

CLASSES = tuple("0123456789")


def draw_checkpoint(widths: tuple[int, ...], shape: tuple[int, ...]) -> Checkpoint:
    """A network of any depth, whose scores are of the size that trained ones have."""
    generator, dim = torch.Generator().manual_seed(0), int(np.prod(shape))
    sizes, params = (dim, *widths, len(CLASSES)), {}
    for layer, (rows, columns) in enumerate(pairwise(sizes), 1):
        w = torch.randn(rows, columns, generator=generator)
        params[f"W{layer}"] = w / rows**0.5
        params[f"b{layer}"] = torch.randn(columns, generator=generator)
    scale = torch.rand(dim, generator=generator) / 128
    info = CheckpointInfo(3, 4, 0.5, {}, 0, CLASSES, shape)
    return Checkpoint(params, scale, -128 * scale, info)


@pytest.fixture(scope="module")
def folder_of_export(swept: Swept, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the best network, together with its evaluation."""
    folder = tmp_path_factory.mktemp("export") / "new" / "out"
    result = swept.call("best", "--evaluate", "--export", str(folder))
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("widths", [(), (50,), (200, 100), (64, 32, 16)])
def test_onnx_gives_the_scores_of_fcnet(
    widths: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """From raw bytes to scores to 1e-5, and probabilities, at any depth."""
    checkpoint = draw_checkpoint(widths, shape)
    images = np.random.default_rng(0).integers(0, 256, (64, *shape), np.uint8)
    session = onnxruntime.InferenceSession(onnx_model(checkpoint).SerializeToString())
    scores, probabilities = session.run(None, {"images": images})
    expected = score(checkpoint, torch.from_numpy(images).flatten(1))

    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(probabilities, expected.softmax(1), rtol=0, atol=1e-5)


def test_an_export_has_the_trained_network(
    swept: Swept, folder_of_export: Path
) -> None:
    """Weights to the last bit; scores of the test split to 1e-5; a checked graph."""
    model, images = best_model(swept.experiment), held_out_digits()[0]
    read = read_checkpoint(folder_of_export / "model.safetensors")
    path = folder_of_export / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    scores = session.run(["scores"], {"images": images[:, None]})[0]
    expected = score(model.checkpoint, torch.from_numpy(images).flatten(1))

    assert read.info == model.checkpoint.info
    assert all(
        torch.equal(read.params[k], t) for k, t in model.checkpoint.params.items()
    )
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_an_export_tells_what_it_is(swept: Swept, folder_of_export: Path) -> None:
    """Sizes, preprocessing, classes, both accuracies, and where it comes from."""
    said = json.loads((folder_of_export / "model.json").read_text())
    parent, children = swept.stores.runs()
    run = children[said["trial"]]
    hidden = int(run.data.params["hidden_dim"])

    layers = [(x["inputs"], x["outputs"]) for x in said["architecture"]["layers"]]
    assert layers == [(64, hidden), (hidden, 10)]
    assert said["preprocessing"]["image"] == {"channels": 1, "rows": 8, "columns": 8}
    assert said["classes"] == list(CLASSES)
    assert said["accuracy"] == {
        "validation": run.data.metrics["best_val_accuracy"],
        "test": parent.data.metrics["test_accuracy"],
    }
    assert said["provenance"]["run_id"] == run.info.run_id
    assert said["provenance"]["git_commit"] == "abc"


@pytest.mark.parametrize("name", ["", "model.onnx", "model.safetensors"])
def test_predict_classifies_image_files(
    swept: Swept, folder_of_export: Path, tmp_path: Path, name: str
) -> None:
    """The classes that the network gives the very pixels; probabilities sum to 1."""
    images, files = held_out_digits()[0][:20], write_images(tmp_path, 20)
    words = [str(folder_of_export / name), *map(str, files), "--json", "--top", "99"]
    said = json.loads(swept.call("predict", *words).stdout)
    checkpoint = best_model(swept.experiment).checkpoint
    expected = score(checkpoint, torch.from_numpy(images).flatten(1)).argmax(1)

    assert [one["image"] for one in said] == list(map(str, files))
    assert [one["class"] for one in said] == [CLASSES[place] for place in expected]
    for one in said:
        assert sum(x["probability"] for x in one["top"]) == pytest.approx(1, abs=1e-5)


def test_predict_brings_images_to_the_size_and_colours_of_training(
    folder_of_export: Path, tmp_path: Path
) -> None:
    """A large image in colours is classified as its small grey one."""
    small = Image.fromarray(held_out_digits()[0][0])
    small.save(tmp_path / "small.png")
    large = small.resize((64, 64), Image.Resampling.NEAREST).convert("RGBA")
    large.save(tmp_path / "large.png")
    files = [str(tmp_path / name) for name in ("small.png", "large.png")]
    words = ["predict", str(folder_of_export), *files, "--top", "2"]
    result = CliRunner().invoke(app, words)

    assert result.exit_code == 0
    one, other = (line.split() for line in result.stdout.splitlines())
    assert [one[0], other[0]] == files
    assert one[1] == other[1]


@pytest.mark.parametrize(
    ("model", "image", "message"),
    [
        ("out", "no.png", "no.png: no such file; allowed: files of images"),
        ("out", "folder", "folder: it is a folder"),
        ("out", "text.txt", "cannot decode text.txt"),
        ("nowhere", "0.png", "nowhere: no such file; allowed: the folder of an export"),
        ("folder", "0.png", "model.onnx: no such file"),
        ("text.txt", "0.png", "text.txt: not a model"),
        ("broken.onnx", "0.png", "broken.onnx: not a model of ours"),
        ("broken.safetensors", "0.png", "not a checkpoint of a sweep"),
        ("models:/digits@champion", "0.png", "no such file: mlflow.db"),
        ("models:/digits", "0.png", "allowed: models:/NAME@ALIAS"),
    ],
)
def test_predict_names_what_is_wrong(
    folder_of_export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    image: str,
    message: str,
) -> None:
    """Exit code 2 and one message, with nothing predicted and nothing made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "out").symlink_to(folder_of_export)
    (tmp_path / "folder").mkdir()
    for name in ("text.txt", "broken.onnx", "broken.safetensors"):
        (tmp_path / name).write_text("no such thing")
    [file] = write_images(tmp_path, 1)
    file.rename(tmp_path / "0.png")
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(app, ["predict", model, image])

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.iterdir()) == before
