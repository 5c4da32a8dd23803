"""Builds the image and what stands in for the images that it needs, with buildah.

buildah wants no engine. What a registry of images would have is made of Debian's
packages: our image's base (the build argument BASE), and PostgreSQL's official image.
"""

import re
import subprocess
from ast import literal_eval
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
REPOSITORY = HERE.parent
IMAGE, BASE, POSTGRES = "fcnet-sweep", "fcnet-sweep-base", "fcnet-sweep-postgres"
_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_MOUNTS = "/run/pip"
_PATH_OF_A_FILE = re.compile(r"(?:(?<= )|(?<=file://))/\w\S*")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# 999: the number of the official image's user
_INSTALL_POSTGRES = """
useradd --system --uid 999 --user-group --home-dir /var/lib/postgresql postgres
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends postgresql
install --directory --owner postgres /var/lib/postgresql/data
"""


def buildah(*words: str) -> str:
    """Run a command of buildah's; returns what it prints.

    Raises:
        RuntimeError: with the end of what it printed, if it fails.
    """
    done = subprocess.run(
        ["buildah", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = f"{done.stdout}\n{done.stderr}".strip()[-4000:]
        raise RuntimeError(f"buildah {' '.join(words)}\n{said}")
    return done.stdout.strip()


def build_base() -> None:
    """Make the base image, a Debian with Python and nothing else, if there is none."""
    if _is_there(BASE):
        return
    with TemporaryDirectory(prefix="fcnet-sweep-") as folder:
        root = f"{folder}/root"
        subprocess.run(
            [
                "debootstrap",
                "--variant=minbase",
                f"--include={_PACKAGES}",
                _SUITE,
                root,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        container = buildah("from", "scratch")
        buildah("add", "--quiet", container, root, "/")
    buildah("config", "--env", f"PATH={_PATH}", container)
    _commit(container, BASE)


def build_postgres() -> None:
    """Make the stand-in for PostgreSQL's official image, if there is none."""
    if _is_there(POSTGRES):
        return
    container = buildah("from", BASE)
    buildah("run", "--isolation=chroot", container, "sh", "-ec", _INSTALL_POSTGRES)
    entrypoint = HERE / "postgres_stand_in.sh"
    buildah("copy", "--quiet", container, str(entrypoint), "/usr/local/bin/entrypoint")
    buildah("config", "--user", "postgres", container)
    _commit(container, POSTGRES)


def build_image() -> None:
    """Build docker/Dockerfile on our base, if there is no image."""
    if _is_there(IMAGE):
        return
    with TemporaryDirectory(prefix="fcnet-sweep-") as folder:
        buildah(
            *("bud", "--isolation=chroot", "--build-arg", f"BASE=localhost/{BASE}"),
            *_pip_options(Path(folder)),
            *("--file", str(HERE / "Dockerfile"), "--tag", IMAGE, str(REPOSITORY)),
        )


def remove_images() -> None:
    """Remove all that was built here."""
    for name in filter(_is_there, (IMAGE, POSTGRES, BASE)):
        buildah("rmi", "--force", name)


def _is_there(name: str) -> bool:
    return bool(buildah("images", "--quiet", "--filter", f"reference=localhost/{name}"))


def _commit(container: str, name: str) -> None:
    buildah("commit", "--quiet", container, name)
    buildah("rm", container)


def _pip_options(folder: Path) -> list[str]:
    """Have pip install in the build as it does on this machine, and leave no trace.

    The build sees this machine's settings as a secret, and the files that they name as
    mounts. The certificates get a folder of their own: dpkg writes to the usual one.
    """
    said = subprocess.run(
        ["pip", "config", "list"], capture_output=True, text=True, check=True
    )
    lines = [line.partition("=") for line in said.stdout.splitlines()]
    # what the environment says goes before what a file says
    lines.sort(key=lambda line: line[0].startswith(":env:"))
    settings = {key.rpartition(".")[2]: literal_eval(text) for key, _, text in lines}
    written = "".join(f"{key} = {value}\n" for key, value in settings.items())
    paths = {p for p in map(Path, _PATH_OF_A_FILE.findall(written)) if p.exists()}
    file = folder / "pip.conf"
    inside = _PATH_OF_A_FILE.sub(lambda path: _MOUNTS + path[0], written)
    file.write_text(f"[global]\n{inside}")
    # an index is two folders, of pages and of the files that they link to
    folders = {p if p.is_dir() and p.name != "simple" else p.parent for p in paths}
    volumes = [f"--volume={path}:{_MOUNTS}{path}:ro" for path in sorted(folders)]
    return [f"--secret=id=pip.conf,src={file}", *volumes]
