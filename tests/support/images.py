"""A small image for machines that are containers, made of this computer's own files.

It has the Python that runs the tests, a shell and a few tools, each at its own path
with the libraries it is linked to: no registry and no network are needed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import pytest

import worker_lib
from worker_lib.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = ("sh", "sleep", "cat", "stat", "echo", "true", "false", "wc", "touch", "setsid")
_REPOSITORY = "worker-lib-contract"
_WORKER_REPOSITORY = "worker-lib-test-worker"
_PYTHON = Path("/usr/local/bin/python")
_SHELL = Path("/bin/sh")
_LIBRARY = re.compile(r"(/\S+) \(0x")
_UNUSED = ("site-packages", "dist-packages", "test", "idlelib", "ensurepip")


def docker_engine(*, required: bool = False) -> Any:
    """Return a client of the engine; skip the test, or raise, where none answers."""
    pytest.importorskip("docker")
    from worker_lib.emulator.runtimes.docker import connect

    try:
        return connect()
    except ConfigError as error:
        if required:
            raise
        pytest.skip(str(error))


def contract_image(client: Any) -> str:
    """Return the image's name; it is made if the engine has none of this recipe."""
    recipe = Path(__file__).read_bytes() + sys.version.encode()
    tag = hashlib.sha256(recipe).hexdigest()[:12]
    name = f"{_REPOSITORY}:{tag}"
    if not client.images.list(name):
        paths = sorted(set(_paths()))
        folders = {str(path.parent) for path in paths if ".so" in path.name}
        client.api.import_image_from_data(
            _packed(paths),
            repository=_REPOSITORY,
            tag=tag,
            changes=[
                "ENV PATH=/usr/local/bin:/usr/bin:/bin",
                f"ENV LD_LIBRARY_PATH={':'.join(sorted(folders))}",
                'CMD ["echo", "the image\'s own command"]',
            ],
        )
    return name


@contextmanager
def worker_image(client: Any) -> Iterator[str]:
    """Make an image with this library in /app, which runs as user 10001.

    As `worker/Dockerfile` makes it: code and interpreter belong to root.
    """
    base = contract_image(client)
    container = client.containers.create(base)
    try:
        container.put_archive("/", _library())
        image = container.commit(
            _WORKER_REPOSITORY,
            secrets.token_hex(6),
            changes=["USER 10001", "ENV PYTHONPATH=/app", "WORKDIR /app"],
        )
    finally:
        container.remove()
    yield image.tags[0]
    client.images.remove(image.id, force=True)


def _library() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for package in (worker_lib, cloudpickle):
            folder = Path(str(package.__file__)).parent
            archive.add(folder, f"app/{folder.name}", filter=_owned_by_root)
    return packed.getvalue()


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.mode |= 0o555 if entry.isdir() else 0o444
    return entry


def _paths() -> Iterator[Path]:
    """Everything to be packed, at the paths where this computer has it."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    tools = [Path(found) for tool in TOOLS if (found := shutil.which(tool))]
    tools.append(_SHELL)
    linked = [_interpreter(), *tools]
    yield from (stdlib, *linked)
    for path in [*linked, *stdlib.glob("lib-dynload/*")]:
        yield from _libraries(path)


def _interpreter() -> Path:
    return Path(os.path.realpath(sys.executable))


def _libraries(path: Path) -> list[Path]:
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    return [Path(found) for found in _LIBRARY.findall(listed.stdout)]


def _packed(paths: list[Path]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for path in paths:
            archive.add(path, filter=_needed)
        for name in ("python", "python3"):
            link = tarfile.TarInfo(str(_PYTHON.with_name(name)).lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, str(_interpreter())
            if _PYTHON.with_name(name) != _interpreter():
                archive.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return packed.getvalue()


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if set(entry.name.split("/")) & set(_UNUSED) else entry
