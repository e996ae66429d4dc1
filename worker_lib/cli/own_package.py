"""How this library gets into an image: from where pip took it for this computer.

That is an index, a git commit or an archive; or the wheel of a clone, which goes into
the project's folder `vendor`.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from worker_lib import __version__
from worker_lib.errors import ConfigError, Problem

__all__ = ["NAME", "own_package"]

NAME = "worker-lib"


def own_package(scratch: Path) -> tuple[str, Path | None]:
    """Return the requirement by which the image gets this library, and its wheel.

    Args:
        scratch: A folder for a wheel.

    Returns:
        A line as in a requirements.txt; the file that has to be copied to the place
        that it names, or None.

    Raises:
        ConfigError: no wheel of the clone could be built.
    """
    origin = _origin()
    url = re.sub(r"//[^/@]*@", "//", origin.get("url", ""))  # without a login
    if url.startswith("file:"):
        wheel = _wheel_of(Path(unquote(urlsplit(url).path)), scratch)
        return f"./vendor/{wheel.name}", wheel
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{NAME} @ {url}" if url else f"{NAME}=={__version__}", None


def _origin() -> dict[str, Any]:
    """Return where pip took this library from; {} for an index (PEP 610)."""
    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:  # imported from a clone, never installed
        return {"url": Path(__file__).resolve().parents[2].as_uri()}
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _wheel_of(origin: Path, scratch: Path) -> Path:
    if origin.suffix == ".whl":
        return origin
    # With the backend here, pip needs no network.
    here = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    words = ["pip", "wheel", "--quiet", "--no-deps", *here, "--wheel-dir", str(scratch)]
    try:
        subprocess.run(
            [sys.executable, "-m", *words, str(origin)],
            capture_output=True,
            text=True,
            check=True,
            timeout=180,
        )
        return next(scratch.glob("worker_lib-*.whl"))
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip()
        reason = output.splitlines()[-1] if output else "pip made none"
        text = f"no wheel of worker_lib could be built from {origin} ({reason})"
        remedy = f"try pip wheel --no-deps --wheel-dir vendor {origin}"
        raise ConfigError(Problem(text, remedy)) from error
