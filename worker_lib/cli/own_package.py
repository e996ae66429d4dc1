"""How this very library gets into an image: the way it came to this computer.

From an index, if it came from one; else from the same git commit or archive; and from
a wheel in the project's folder `vendor`, if it was installed from a clone.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from worker_lib import __version__
from worker_lib.errors import ConfigError

__all__ = ["VENDOR", "OwnPackage", "own_package"]

NAME = "worker-lib"
VENDOR = "vendor"
_BUILD_SECONDS = 180
_BACKEND = "hatchling"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPackage:
    """What pip is told, and what it needs for that.

    Attributes:
        requirement: A line for requirements.txt.
        wheel: To be copied into the project's folder `vendor`, or None.
        needs_git: The image has to have git to install it.
    """

    requirement: str
    wheel: Path | None = None
    needs_git: bool = False

    @property
    def place(self) -> str:
        """Where the wheel goes in the project; "" without one."""
        return f"{VENDOR}/{self.wheel.name}" if self.wheel else ""

    @property
    def is_from_index(self) -> bool:
        """Whether its name and version are all that pip needs."""
        return self.requirement.startswith(f"{NAME}==")


def own_package(scratch: Path) -> OwnPackage:
    """Return how the image gets this library.

    Args:
        scratch: A folder for a wheel, if one has to be built.

    Raises:
        ConfigError: no wheel could be built of the clone.
    """
    origin = _origin()
    url, vcs = str(origin.get("url", "")), origin.get("vcs_info")
    if vcs:
        commit = vcs.get("commit_id", "")
        requirement = f"{NAME} @ {vcs['vcs']}+{_without_login(url)}@{commit}"
        return OwnPackage(requirement=requirement, needs_git=True)
    if url.startswith("file:"):
        wheel = _wheel_of(Path(unquote(urlsplit(url).path)), scratch)
        return OwnPackage(requirement=f"./{VENDOR}/{wheel.name}", wheel=wheel)
    if url:
        return OwnPackage(requirement=f"{NAME} @ {_without_login(url)}")
    return OwnPackage(requirement=f"{NAME}=={__version__}")


def _origin() -> dict[str, Any]:
    """Return where pip took this library from; {} for an index (PEP 610)."""
    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:  # imported from a clone, never installed
        return {"url": Path(__file__).resolve().parents[2].as_uri()}
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _without_login(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _wheel_of(origin: Path, scratch: Path) -> Path:
    if origin.is_file() and origin.suffix == ".whl":
        return Path(shutil.copy(origin, scratch))
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    if importlib.util.find_spec(_BACKEND):  # then it takes no network
        words.append("--no-build-isolation")
    words += ["--wheel-dir", str(scratch), str(origin)]
    try:
        ran = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
        trouble = (
            "" if ran.returncode == 0 else (ran.stderr.strip() or "no reason told")
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        trouble = str(error)
    built = sorted(scratch.glob("worker_lib-*.whl"))
    if trouble or not built:
        raise ConfigError(
            f"no wheel of worker_lib could be built of {origin} "
            f"({trouble.splitlines()[-1] if trouble else 'pip made none'}): try "
            f"pip wheel --no-deps --wheel-dir {VENDOR} {origin}"
        )
    return built[-1]
