"""The dashboard with jobs of every kind, to look at: no test needs this.

    export PYTHONPATH=tests/support
    .venv/bin/python -m tests.browser                      # serves until Ctrl-C
    .venv/bin/python -m tests.browser --pictures FOLDER    # of what is served

Jobs go on to be made while it serves, so that charts get something to show.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright
from seeding import Seeded, customers, seed
from site_of import Site, serve
from tabs import THEMES, WIDTHS, Tab, launch
from views import VIEWS

from worker_lib.dashboard.registry import Registry

FOLDER = Path(tempfile.gettempdir()) / "worker-lib-dashboard"
NOTES = "seeded.json"
SECONDS_BETWEEN = 6.0


def main() -> None:
    """Serve, or take pictures of every page in each theme and size."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser")
    parser.add_argument("--port", type=int, default=9192)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the stack")
    parser.add_argument("--still", action="store_true", help="make no further jobs")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="", help="pages whose name starts so")
    args = parser.parse_args()
    project = args.folder
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        site = Site(f"http://127.0.0.1:{args.port}/jobs/", Registry.load())
        seeded = Seeded(*json.loads((project / NOTES).read_text()))
        _take_pictures(site, seeded, args.pictures, args.only)
    else:
        project.mkdir(exist_ok=True)
        os.chdir(project)
        os.environ["XDG_STATE_HOME"] = str(project)
        _serve(args.port, project / NOTES, still=args.still)


def _serve(port: int, notes: Path, *, still: bool) -> None:
    with serve(port) as site:
        if not notes.exists():
            notes.write_text(json.dumps(seed(notes.with_name("gate"))))
        print(f"{site.url} with the cookie role=admin or role=read", flush=True)
        for number in itertools.count(5000):
            if not still:
                customers(number, random.Random(number))
            time.sleep(SECONDS_BETWEEN)


def _take_pictures(site: Site, seeded: Seeded, folder: Path, only: str) -> None:
    with sync_playwright() as driver, launch(driver) as browser:
        for theme, width in itertools.product(THEMES, WIDTHS):
            with Tab.opened(browser, site, theme=theme, width=width) as tab:
                for view in (one for one in VIEWS if str(one).startswith(only)):
                    tab.goto(view.path(site, seeded))
                    tab.page.wait_for_timeout(400)  # for charts, which are drawn later
                    name = f"{view}-{width}-{theme}.png"
                    tab.page.screenshot(path=folder / name, full_page=True)


if __name__ == "__main__":
    main()
