"""Fetch CPython's own tests of executors, which `tests/executor` runs.

Most interpreters come without their tests. Debian has those of its Python in a package
of its own, which is unpacked here without being installed, so no rights are needed.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WANTED = "test_concurrent_futures.py"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def main() -> None:
    """Put them into the folder that is given; say so if they cannot be had."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as place:
            fetch(folder, Path(place))
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder)
        print(
            f"CPython's tests of executors are not here, and are left out ({error}): "
            "they need apt-get, dpkg-deb and Debian's lists of packages"
        )


def fetch(folder: Path, place: Path) -> None:
    """Fetch the tests, and what they import of CPython's if that is missing, too.

    Raises:
        OSError: they cannot be had.
        SubprocessError: a download takes too long.
    """
    own = importlib.util.find_spec("test")
    found = [Path(one) for one in (own and own.submodule_search_locations) or ()]
    if not any((one / WANTED).exists() for one in found):
        found.append(unpack(f"libpython{VERSION}-testsuite", place))
    if not (found[-1] / WANTED).exists():
        raise FileNotFoundError(f"the tests of Python {VERSION} are arranged otherwise")
    shutil.copy(found[-1] / WANTED, folder)
    if not any((one / "support").is_dir() for one in found):
        shutil.copytree(unpack(f"libpython{VERSION}-stdlib", place), folder / "test")


def unpack(package: str, place: Path) -> Path:
    """Return the folder `test` of a package of Debian's.

    Raises:
        OSError: there is no such package, or no such folder in it.
        SubprocessError: the download takes too long.
    """
    run("apt-get", "download", package, cwd=place)
    archive = next(place.glob(f"{package}_*.deb"))
    run("dpkg-deb", "-x", archive.name, package, cwd=place)
    found = place / package / "usr" / "lib" / f"python{VERSION}" / "test"
    if not found.is_dir():
        raise FileNotFoundError(f"{package} has no folder {found.name}")
    return found


def run(*command: str, cwd: Path) -> None:
    """Run a program quietly; its complaint is the error.

    Raises:
        OSError: it is not there, or it failed.
    """
    done = subprocess.run(
        command, cwd=cwd, check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr else command)


if __name__ == "__main__":
    main()
