"""The README says what is so: its commands, its YAML, its error message, its links."""

import re
import shlex
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

from sweep.cli import app
from sweep.config import load
from sweep.errors import ClusterError

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("[a-z]*/*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Every command line of the README's shell blocks, split into words."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_of_the_readme_is_one(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A make target exists; a verb has its options, its file and overrides pass."""
    if words[0] == "make":
        assert re.search(
            rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        return
    assert words[:3] == ["python", "-m", "sweep"]
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    verb, *rest = words[3:]
    said = CliRunner().invoke(app, [verb, "--help"]).output
    assert all(word in said for word in rest if word.startswith("--"))
    file = [word for word in rest if word.endswith(".yaml")]
    if verb == "predict":
        assert file == []
        return
    if verb == "submit":
        assert_is_sent(words[3:], monkeypatch)
        return
    overrides = [f"--set={word}" for word in rest if "=" in word]
    result = CliRunner().invoke(app, ["check", *file, *overrides])

    assert result.exit_code == 0, result.output


def assert_is_sent(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with a submission before the cluster is looked for."""

    def find_none(address: str) -> NoReturn:
        raise ClusterError(f"no cluster at {address}")

    monkeypatch.setattr("sweep.jobs.command.JobClient", find_none)
    result = CliRunner().invoke(app, words)

    assert "no cluster at http://" in result.stderr, result.output


def test_the_yaml_of_the_readme_is_an_experiment(tmp_path: Path) -> None:
    """It loads as it stands."""
    [text] = blocks("yaml")
    (tmp_path / "readme.yaml").write_text(text)

    assert load(tmp_path / "readme.yaml").name == "cifar10-two-layer"


def test_the_error_of_the_readme_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The misspelt key gives this very line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    right = (ROOT / "experiments" / "cifar.yaml").read_text()
    wrong = right.replace("  hidden_dim:", "  hiden_dim:")
    (tmp_path / "experiments" / "cifar.yaml").write_text(wrong)
    result = CliRunner().invoke(app, ["check", "experiments/cifar.yaml"])

    assert result.stderr.splitlines()[0] in README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_relative_link_leads_somewhere(document: Path) -> None:
    """Files, folders and pictures that our pages point to are there."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target
