"""A real Chromium at a real server of the dashboard, on one local stack for all."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import secrets
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright
from seeding import Seeded, seed
from site_of import Site, serve
from tabs import CHROMIUM, Tab, launch

from worker_lib import local
from worker_lib.client import client as client_module
from worker_lib.client.client import Client
from worker_lib.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PASSWORD = "open, sesame"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes of a run have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@pytest.fixture(scope="session")
def stack(folder: Path) -> Settings:
    """The local stack that the processes of this run share, with short deadlines."""
    project = folder / "browser"
    project.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("XDG_STATE_HOME", str(project))
        joined = local.join(Settings(local_stay=1.0))
    return dataclasses.replace(joined, lease_ttl=1.0, boot_timeout=20.0)


@pytest.fixture(scope="session")
def seeded_client(stack: Settings) -> Iterator[Client]:
    """A client of the namespace that has jobs of every kind."""
    client = Client(dataclasses.replace(stack, namespace="seeded"))
    yield client
    client.close()


@pytest.fixture(scope="session")
def _seeded(folder: Path, seeded_client: Client) -> Seeded:
    notes, gate = folder / "browser" / "seeded.json", folder / "browser" / "gate"
    with notes.with_suffix(".lock").open("w") as lock, _default(seeded_client):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not notes.exists():
            notes.write_text(json.dumps(seed(gate)))
    return Seeded(*json.loads(notes.read_text()))


@pytest.fixture
def seeded(_seeded: Seeded, seeded_client: Client) -> Iterator[Seeded]:
    """Ids of jobs of every kind, in the namespace that the dashboard shows."""
    with _default(seeded_client):
        yield _seeded


@pytest.fixture
def own(stack: Settings) -> Iterator[Client]:
    """A client of an empty namespace, which the dashboard shows."""
    name = f"own-{secrets.token_hex(6)}"
    client = Client(dataclasses.replace(stack, namespace=name))
    with _default(client):
        yield client
    client.close()


@contextlib.contextmanager
def _default(client: Client) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client_module, "_default", client)
        yield


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The dashboard under /jobs; a visitor's role is in the cookie `role`."""
    with serve() as running:
        yield running


@pytest.fixture
def locked_site() -> Iterator[Site]:
    """A dashboard that a password opens."""
    with serve(password=PASSWORD) as running:
        yield running


# Not of the session: other tests start event loops of their own, which the driver's
# forbids in its thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A Chromium for the tests of a module."""
    if shutil.which(CHROMIUM) is None:
        if os.environ.get("CI"):
            pytest.fail(f"no {CHROMIUM} on the PATH: apt-get install chromium")
        pytest.skip(f"no {CHROMIUM} on the PATH")
    with sync_playwright() as driver, launch(driver) as browser:
        yield browser


@pytest.fixture
def open_tab(chromium: Browser, site: Site) -> Iterator[Callable[..., Tab]]:
    """Opens a tab in a browser profile of its own; see `Tab`."""
    with contextlib.ExitStack() as opened:

        def make(at: Site = site, **options: Any) -> Tab:
            return opened.enter_context(Tab.opened(chromium, at, **options))

        yield make
