"""The pages below docs: their commands run, their links lead somewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages import Block, anchors, blocks, links
from processes import in_session, kill_all
from sweep.yaml_file import read_yaml

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "docs" / "index.md"
PAGES = sorted(ROOT.glob("docs/*.md"))
BLOCKS = [block for page in PAGES for block in blocks(page)]
# pages whose commands are shown by other tests, on what those pages need
ELSEWHERE = {
    "cluster.md": "three machines, containers, Kubernetes",
    "terminal.md": "terminals of several sizes",
}
RUN = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE and any(block.is_run for block in blocks(page))
]
BLOCK_TIMEOUT_S = 400


@pytest.fixture
def reader(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A reader's folder with our experiments in it, and their shell's variables.

    `python` is the interpreter that runs the tests.
    """
    folder, programs = tmp_path / "here", tmp_path / "bin"
    for made in (folder, programs):
        made.mkdir()
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    places = {"PATH": ":".join(path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return folder, {**os.environ, **places}


def run(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a block as a reader would who pastes it, and stop at the first error."""
    with subprocess.Popen(
        ["bash", "-euo", "pipefail"] if block.language == "sh" else ["python"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environment,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(block.code, timeout=BLOCK_TIMEOUT_S)
        finally:
            kill_all(in_session(process.pid))
    assert process.returncode == 0, f"{block}:\n{block.code}\n{said}"


@pytest.mark.slow
@pytest.mark.timeout(1500)  # a page is a handful of sweeps
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(
    page: Path, reader: tuple[Path, dict[str, str]]
) -> None:
    """From top to bottom, in a new folder that has our experiments."""
    for block in blocks(page):
        if block.is_run:
            run(block, *reader)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    """`no-run: the reason`, where everybody sees it who reads the source."""
    if block.mark:
        mark, _, reason = block.mark.partition(": ")
        assert mark == "no-run"
        assert len(reason) > 10, f"{block} has no reason"
    assert block.language in ("sh", "python", "yaml", "text", "mermaid")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    """To a file that is there and, where it names one, a heading of it."""
    for file, anchor in links(page):
        assert file.exists(), f"{page.name}: {file.name}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {file.name}#{anchor}"


def test_every_page_is_found_from_the_first() -> None:
    """Nobody has to guess a file's name."""
    found, todo = {INDEX}, [INDEX]
    for page in todo:
        news = {file for file, _ in links(page) if file.suffix == ".md"} - found
        found |= news
        todo += sorted(file for file in news if file.parent == INDEX.parent)

    assert set(PAGES) <= found


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "yaml"], ids=str
)
def test_the_yaml_of_a_page_is_yaml(block: Block, tmp_path: Path) -> None:
    """Also where it is a part of a file, or a comment that belongs on top of one."""
    (tmp_path / "page.yaml").write_text(f"name: page\n{block.code}")

    assert read_yaml(tmp_path / "page.yaml").values
