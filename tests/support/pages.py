"""Pages of Markdown: their blocks of code, their headings, their links."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The file it stands in.
        line: Where it begins, from 1.
        language: As the fence names it: sh, python, yaml, text.
        mark: What stands behind the language, such as `no-run: needs a GPU`.
        code: The lines within.
    """

    page: Path
    line: int
    language: str
    mark: str
    code: str

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        return self.language in ("sh", "python") and not self.mark

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Every block of a page, in order."""
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, m.start()) + 1, m[1], m[2].strip(), m[3])
        for m in _BLOCK.finditer(text)
    ]


def links(page: Path) -> list[tuple[Path, str]]:
    """Files that a page links to, itself among them, and the anchor in each."""
    found = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", _prose(page))
    return [((page.parent / file).resolve() if file else page, a) for file, a in found]


def anchors(page: Path) -> set[str]:
    """What can be linked to on a page: its headings, spelt as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def _prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())
