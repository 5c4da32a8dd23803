"""The package's face."""

import subprocess
import sys

import fcnet


def test_names_are_sorted_and_there() -> None:
    """`__all__` is sorted as ruff sorts it: constants, classes, functions."""
    constants = [n for n in fcnet.__all__ if n.isupper()]
    classes = [n for n in fcnet.__all__ if n[0].isupper() and not n.isupper()]
    functions = [n for n in fcnet.__all__ if n[0].islower()]
    expected = sorted(constants) + sorted(classes) + sorted(functions)
    assert fcnet.__all__ == expected
    assert all(getattr(fcnet, name) is not None for name in fcnet.__all__)


def test_the_package_imports_no_data_library() -> None:
    """`import fcnet` brings in neither its data sets nor what they need."""
    code = (
        "import sys, fcnet; print([m for m in ('fcnet.datasets', 'torchvision', "
        "'sklearn', 'PIL.Image') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
