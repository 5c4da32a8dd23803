"""The floors of the house: imports point down only, one owner for each library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    {"errors"},
    {"paths", "trial", "space", "yaml_file", "settings", "experiment", "config"},
    {"placement"},
    {
        "budget",
        "plan",
        "verdict",
        "slots",
        "ray_token",
        "files",
        "checkpoint",
        "databases",
    },
    {"provenance", "interrupt", "cluster", "variables"},
    {"membership", "worker_process"},
    {"event_log", "saved_trial", "lease", "run_writers", "opening"},
    {"search", "storage", "memory", "trial_tables", "runs"},
    {"summary", "batch", "artifacts", "lane", "calibration"},
    {"study_run"},
    {"tracking"},
    {
        "study",
        "workers",
        "tracking_process",
        "tracking_server",
        "data",
        "objective",
        "recorder",
        "display",
        "usage",
    },
    {"runner"},
    {"session", "status", "launch"},
    {"commands"},
    {"jobs"},
    {"cli"},
    {"__main__"},
)
# A name without a dot is a module, or a folder with all its modules.
# floor 1 has a tower of its own, and so has each folder: the modules that import each
# other, from the ground up; everywhere else neighbours do not know each other
TOWER = ("paths", "trial", "space", "yaml_file", "settings", "experiment", "config")
TOWERS: tuple[tuple[str, ...], ...] = (
    (
        "jobs.words",
        "jobs.versions",
        "jobs.package",
        "jobs.places",
        "jobs.preflight",
        "jobs.driver",
        "jobs.client",
        "jobs.command",
        "jobs.call",
    ),
)
OWNERS = {
    "optuna": {
        "study",
        "summary",
        "search",
        "storage",
        "memory",
        "trial_tables",
        "lease",
    },
    "scipy": {"search"},
    "psutil": {"lease"},
    "ray": {"cluster", "worker_process", "workers", "jobs.client"},
    "mlflow": {"tracking", "study_run", "artifacts", "runs", "run_writers", "batch"},
    "pydantic": {"experiment", "config", "event_log"},
    "ruamel": {"yaml_file"},
    "sqlalchemy": {"databases"},
    "safetensors": {"checkpoint"},
    "rich": {"display", "session", "commands"},
    "aiohttp": {"jobs.client"},
    "typer": {"cli"},
    "fcnet": {"objective", "lane", "calibration", "data"},
    "torch": {"objective", "lane", "calibration", "checkpoint", "saved_trial"},
    "numpy": {"objective"},
}
FCNET_OWNERS = {
    "torchvision": {"datasets"},
    "sklearn": {"datasets"},
    "PIL": {"image_folder"},
    "numpy": {"datasets", "image_data", "image_folder", "image_statistics"},
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    """A module's name below its package: `runner`, or `report.page` in a folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file it does so."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names = [alias.name for alias in node.names]
            module = node.module or ""
            # what is imported from a folder is a module
            is_folder = (ROOT / Path(*module.split("."))).is_dir()
            yield from [f"{module}.{n}" for n in names] if is_folder else [module]


def floor(module: str) -> int:
    room = module.partition(".")[0]
    return next(level for level, names in enumerate(FLOORS) if room in names)


def allowed(module: str, imported: str) -> bool:
    for tower in (TOWER, *TOWERS):
        if module in tower and imported in tower:
            return tower.index(imported) < tower.index(module)
    return floor(imported) < floor(module)


@pytest.mark.parametrize("path", modules("sweep"), ids=name_of)
def test_a_module_of_sweep_imports_only_from_floors_below_it(path: Path) -> None:
    """Each import of sweep by sweep points down."""
    if path.stem == "__init__":
        return
    for name in imports(path):
        package, _, imported = name.partition(".")
        if package == "sweep":
            assert allowed(name_of(path), imported), f"{path} imports {imported}"


@pytest.mark.parametrize(
    ("package", "owners"), [("sweep", OWNERS), ("fcnet", FCNET_OWNERS)]
)
def test_a_foreign_library_is_known_to_its_owner_alone(
    package: str, owners: dict[str, set[str]]
) -> None:
    """Each library is imported by the files that own it, and each of those does so."""
    users: dict[str, set[str]] = {name: set() for name in owners}
    for path in modules(package):
        for name in imports(path):
            library = name.split(".")[0]
            if library in users:
                users[library].add(name_of(path))

    assert users == owners


def test_fcnet_knows_neither_sweep_nor_its_own_data_sets() -> None:
    """Fcnet stands alone, and its networks do not know where images come from."""
    images = {"datasets", "image_data", "image_folder", "image_statistics"}
    for path in modules("fcnet"):
        for name in imports(path):
            parts = name.split(".")
            assert parts[0] != "sweep", f"{path.name} imports {name}"
            if parts[0] == "fcnet" and path.stem not in images:
                assert parts[1] not in images, f"{path.name} imports {name}"


def test_no_module_is_imported_for_its_types_alone() -> None:
    """A TYPE_CHECKING block would hide an import from the tests above."""
    for path in modules("sweep") + modules("fcnet"):
        assert "TYPE_CHECKING" not in path.read_text(), path.name
