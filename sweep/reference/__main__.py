"""`python -m sweep.reference FOLDER` writes both into a folder: `make docs`."""

import sys
from pathlib import Path

from sweep.reference.page import reference_page
from sweep.reference.schema import experiment_schema, schema_text


def write(folder: Path) -> None:
    """Write the page and the JSON Schema, under the names that docs/ has them."""
    schema = experiment_schema()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reference.md").write_text(reference_page(schema), encoding="utf-8")
    file = folder / "experiment.schema.json"
    file.write_text(schema_text(schema), encoding="utf-8")


if __name__ == "__main__":
    write(Path(*sys.argv[1:2]))
