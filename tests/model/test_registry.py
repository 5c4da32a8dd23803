"""`best --register`: MLflow's own registry, pyfunc and server, without our code."""

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fcnet.image_data import Data
from processes import descendants, free_port, kill_all, wait_until
from sweep.model.network import best_model, score
from swept import Swept, held_out_digits, write_images

# read by every Python before anything else: an import of our code raises
NO_SOURCES = "import sys\nsys.modules['sweep'] = sys.modules['fcnet'] = None\n"
LOAD = """\
import sys
import mlflow, numpy
model = mlflow.pyfunc.load_model("models:/digits@champion")
answer = model.predict(numpy.load(sys.argv[1]))
numpy.save(sys.argv[2], answer["scores"])
"""


@pytest.fixture
def elsewhere(swept: Swept, tmp_path: Path) -> dict[str, str]:
    """The environment of processes that do not have this package's sources."""
    sources = tmp_path / "no-sources"
    sources.mkdir()
    (sources / "sitecustomize.py").write_text(NO_SOURCES)
    return {
        **os.environ,
        # where `mlflow models serve` looks for uvicorn
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(sources),
        "MLFLOW_TRACKING_URI": swept.stores.tracking_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def expected_scores(swept: Swept) -> NDArray[np.float32]:
    """What fcnet says of the test split."""
    rows = torch.from_numpy(held_out_digits()[0]).flatten(1)
    return np.asarray(score(best_model(swept.experiment).checkpoint, rows))


def test_a_version_of_the_best_trial_is_the_champion(swept: Swept) -> None:
    """One version for a trial, however often; it names run, trial and accuracy."""
    first = swept.call("best", "--register", "digits")
    second = swept.call("best", "--register", "digits")
    client = swept.stores.client
    version = client.get_model_version_by_alias("digits", "champion")
    trial = int(version.tags["sweep.trial"])
    run = swept.stores.runs()[1][trial]

    assert first.exit_code == 0, first.output
    assert "models:/digits@champion is version 1, trial" in first.stdout
    assert "is version 1, which was there already" in second.stdout
    assert len(client.search_model_versions("name = 'digits'")) == 1
    assert int(version.version) == 1
    assert version.run_id == run.info.run_id
    assert (
        float(version.tags["val_accuracy"]) == (run.data.metrics["best_val_accuracy"])
    )


def test_a_better_trial_becomes_the_champion(young: Swept, digits: Data) -> None:
    """A new version; the alias moves, the old one stays."""
    young.call("best", "--register", "digits")
    young.run(2, digits)
    result = young.call("best", "--register", "digits")
    client = young.stores.client
    version = client.get_model_version_by_alias("digits", "champion")

    assert "is version 2, trial 0001; it was version 1" in result.stdout
    assert (int(version.version), version.tags["sweep.trial"]) == (2, "1")
    assert client.get_model_version("digits", "1").tags["sweep.trial"] == "0"


def test_predict_takes_the_champion(swept: Swept, tmp_path: Path) -> None:
    """Its classes are those of the network in the registry."""
    swept.call("best", "--register", "digits")
    files = list(map(str, write_images(tmp_path, 20)))
    where = ("--tracking-uri", swept.stores.tracking_uri)
    result = swept.call("predict", "models:/digits@champion", *files, *where, "--json")
    found = [one["class"] for one in json.loads(result.stdout)]

    assert found == [str(c) for c in expected_scores(swept)[:20].argmax(1)]


@pytest.mark.slow
def test_pyfunc_loads_it_without_our_sources(
    swept: Swept, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    """In a process where importing this package fails; equal scores."""
    swept.call("best", "--register", "digits")
    np.save(tmp_path / "images.npy", held_out_digits()[0][:, None])
    code = [sys.executable, "-c", LOAD, "images.npy", "scores.npy"]
    subprocess.run(code, cwd=tmp_path, env=elsewhere, check=True, timeout=100)

    scores = np.load(tmp_path / "scores.npy")
    np.testing.assert_allclose(scores, expected_scores(swept), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_mlflow_serves_it_without_our_sources(
    swept: Swept, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    """Over HTTP, from a real server in an empty folder; equal scores."""
    swept.call("best", "--register", "digits")
    (tmp_path / "empty").mkdir()
    port = free_port()
    words = ["models", "serve", "-m", "models:/digits@champion", "-p", str(port)]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words, "--env-manager", "local"],
        cwd=tmp_path / "empty",
        env=elsewhere,
        stdout=log,
        stderr=log,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        with suppress(OSError):
            urllib.request.urlopen(f"{address}/health", timeout=5).close()
            return True
        return False

    try:
        wait_until(answers, 200, "the server answers")
        asked = json.dumps({"inputs": held_out_digits()[0][:50, None].tolist()})
        request = urllib.request.Request(
            f"{address}/invocations",
            asked.encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)
    finally:
        kill_all([server.pid, *descendants(server.pid)])
        server.wait()
        log.close()
    scores = np.array(said["predictions"]["scores"])
    np.testing.assert_allclose(scores, expected_scores(swept)[:50], rtol=0, atol=1e-5)
