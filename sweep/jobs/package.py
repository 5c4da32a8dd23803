"""What is sent to a cluster: the code of this installation and one experiment."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sweep.experiment import Experiment
from sweep.jobs.versions import to_json, versions

EXPERIMENT = "experiment.yaml"
VERSIONS = "versions.json"
ENTRYPOINT = "driver.sh"

_PACKAGES = ("fcnet", "sweep")
# A job's PATH need not lead to the Python that Ray runs with there. It stands in the
# command line of the raylet, the parent of the process that starts the job.
_ENTRYPOINT = """\
raylet=$(cut -d ' ' -f 4 /proc/$PPID/stat)
python=$(tr '\\0' '\\n' < /proc/$raylet/cmdline |
  sed -n 's/^--python_worker_command=\\([^ ]*\\) .*/\\1/p')
exec "${python:-python}" -m sweep job "$@"
"""


@dataclass(frozen=True)
class Package:
    """A zip file for Ray to unpack as a job's working directory.

    Attributes:
        file: Where it is.
        size: In bytes.
        counts: How many files it holds of each package, or of each name.
    """

    file: Path
    size: int
    counts: Mapping[str, int]

    def __str__(self) -> str:
        files = sum(self.counts.values())
        parts = (n if c == 1 else f"{n} ({c} files)" for n, c in self.counts.items())
        return f"{files} files, {self.size / 1000:.0f} kB: {', '.join(parts)}"


def write_package(file: Path, experiment: Experiment) -> Package:
    """Pack the code and an experiment, every setting and override written out.

    The same content makes the same file, which Ray keeps once. Neither data nor stores
    are in it.

    Args:
        file: The zip file to write.
        experiment: What the job is to run, on the cluster that it is a job of.
    """
    ray = experiment.ray.model_copy(update={"address": "auto"})
    there = experiment.model_copy(update={"ray": ray})
    contents = {
        **dict(_code()),
        EXPERIMENT: there.to_yaml().encode(),
        VERSIONS: to_json(versions()).encode(),
        ENTRYPOINT: _ENTRYPOINT.encode(),
    }
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    tops = [name.partition("/")[0] for name in contents]
    counts = {top: tops.count(top) for top in dict.fromkeys(tops)}
    return Package(file, file.stat().st_size, counts)


def _code() -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield (
                    f"{package}/{path.relative_to(root).as_posix()}",
                    path.read_bytes(),
                )
