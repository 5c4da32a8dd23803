"""The floors of the house: imports point down only, one owner for each library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# floor 1 has a tower of its own: the modules that import each other, from the ground up
TOWER = (
    "paths",
    "trial",
    "space",
    "yaml_file",
    "json_schema",
    "distributions",
    "settings",
    "kinds",
    "sections",
    "experiment",
    "config",
)
# A name without a dot is a module, or a folder with all its modules.
FLOORS = (
    {"errors"},
    {*TOWER},
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
        "words",
    },
    {
        "provenance",
        "interrupt",
        "authentication",
        "variables",
        "saved_view",
        "library_settings",
        "reference",
    },
    {"cluster", "membership", "worker_process", "stores"},
    {"event_log", "saved_trial", "lease", "run_writers", "opening", "notes"},
    {"search", "storage", "memory", "trial_tables", "runs"},
    {"summary", "batch", "artifacts", "lane", "calibration"},
    {"study_run", "plots"},
    {"tracking"},
    {
        "study",
        "workers",
        "tracking_process",
        "tracking_server",
        "data",
        "objective",
        "recorder",
        "live",
        "usage",
    },
    {"runner", "opened"},
    {"session", "status", "launch", "ui"},
    {"model"},
    {"report"},
    {"conduct"},
    {"api"},
    {"commands"},
    {"jobs"},
    {"cli"},
    {"__main__"},
)
# so has each folder; everywhere else neighbours do not know each other
TOWERS: tuple[tuple[str, ...], ...] = (
    ("reference.schema", "reference.page", "reference.__main__"),
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
    ("ui.tied", "ui.server", "ui.pages", "ui.command"),
    ("api.experiment", "api.result", "api.running"),
    (
        "model.best",
        "model.records",
        "model.network",
        "model.evaluation",
        "model.retraining",
        "model.onnx_graph",
        "model.export",
        "model.registry",
        "model.classifier",
        "model.source",
        "model.printing",
        "model.command",
    ),
    (
        "plots.colors",
        "plots.study_data",
        "plots.spans",
        "plots.optuna_plots",
        "plots.curves",
        "plots.parallel",
        "plots.contours",
        "plots.timeline",
        "plots.confusion",
        "plots.figures",
        "plots.images",
    ),
    (
        "report.pictures",
        "report.network",
        "report.origin",
        "report.contents",
        "report.render",
        "report.command",
    ),
    (
        "live.sparkline",
        "live.pace",
        "live.eta",
        "live.layout",
        "live.picture",
        "live.board",
        "live.lines",
        "live.tables",
        "live.head",
        "live.sections",
        "live.view",
        "live.stray",
        "live.display",
        "live.pulse",
        "live.stored",
        "live.watch",
    ),
)
PLOTLY = {
    f"plots.{name}"
    for name in (
        "optuna_plots",
        "curves",
        "parallel",
        "contours",
        "timeline",
        "confusion",
        "figures",
    )
}
OWNERS = {
    "optuna": {
        "study",
        "summary",
        "search",
        "storage",
        "memory",
        "trial_tables",
        "lease",
        "plots.study_data",
        "api.result",
        "plots.optuna_plots",
        "plots.curves",
        "plots.parallel",
        "plots.contours",
        "plots.images",
    },
    "plotly": PLOTLY | {"report.contents", "report.render", "api.result"},
    "matplotlib": {"plots.images"},
    "jinja2": {"report.render"},
    "PIL": {"report.pictures"},
    "scipy": {"search", "plots.contours"},
    "psutil": {"lease"},
    "ray": {"authentication", "cluster", "worker_process", "workers", "jobs.client"},
    "pydantic": {
        "kinds",
        "sections",
        "experiment",
        "config",
        "event_log",
        "reference.schema",
    },
    "mlflow": {
        "tracking",
        "study_run",
        "artifacts",
        "runs",
        "run_writers",
        "batch",
        "ui.pages",
        "plots.spans",
        "model.records",
        "model.registry",
        "model.source",
    },
    "ruamel": {"yaml_file"},
    "sqlalchemy": {"databases"},
    "safetensors": {"checkpoint"},
    "rich": {
        "live.lines",
        "live.tables",
        "live.head",
        "live.sections",
        "live.view",
        "live.display",
        "live.watch",
        "model.printing",
        "model.command",
        "session",
        "conduct",
        "jobs.driver",
        "commands",
        "api.running",
    },
    "onnx": {"model.onnx_graph"},
    "onnxruntime": {"model.classifier"},
    "pandas": {"api.result"},
    "aiohttp": {"jobs.client"},
    "typer": {"cli"},
    "fcnet": {
        "objective",
        "lane",
        "calibration",
        "data",
        "model.network",
        "model.evaluation",
        "model.retraining",
        "model.classifier",
        "report.network",
    },
    "torch": {
        "objective",
        "lane",
        "calibration",
        "checkpoint",
        "saved_trial",
        "model.network",
        "model.evaluation",
        "model.retraining",
    },
    "numpy": {
        "objective",
        "model.registry",
        "model.classifier",
        "plots.parallel",
        "plots.contours",
        "report.pictures",
    },
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
