"""Every address of the dashboard that is worth a look, found from its registry."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit
from urllib.request import Request, urlopen

from worker_lib.dashboard.registry import Registry

if TYPE_CHECKING:
    from seeding import Seeded
    from site_of import Site

__all__ = ["PAGES", "VIEWS", "View"]

_WORD = re.compile(r"<(?:\w+:)?\w+>")
_LINK = re.compile(r'href="([^"]+)"')
_JOBS = ("failed", "lost", "gave up", "retried", "timeout", "photo 0", "expired")
_WAITING = ("scheduled", "retrying", "held 0")


class View(NamedTuple):
    """A page as somebody opens it.

    Attributes:
        slug: Of the page.
        job: What the page's job is an example of; "" for pages of no job.
    """

    slug: str
    job: str = ""

    def __str__(self) -> str:
        """Name it in the names of tests."""
        return f"{self.slug}-{self.job}".strip("-").replace(" ", "_")

    def path(self, site: Site, seeded: Seeded) -> str:
        """Return its address below the dashboard's own."""
        page = site.registry.pages[self.slug]
        if self.slug == "overview":
            return ""
        if not _WORD.search(page.path):
            return page.path
        if self.job:
            return _WORD.sub(_id(seeded, self.job), page.path, count=1)
        if "batch" in page.path:
            return _WORD.sub(seeded.batch, page.path, count=1)
        return _linked(site, page.path)

    def json_path(self, site: Site, seeded: Seeded) -> str:
        """Return the address of its JSON."""
        return (self.path(site, seeded) or "overview") + ".json"


def _all() -> list[View]:
    jobs = [*_JOBS, *_WAITING, "running"]
    pages = Registry.load().pages.values()
    return [
        View(page.slug, job)
        for page in pages
        for job in (jobs if page.path == "jobs/<id>" else [""])
    ]


VIEWS = _all()
# One of each page.
PAGES = list({view.slug: view for view in VIEWS}.values())


def _id(seeded: Seeded, job: str) -> str:
    if job == "running":
        return seeded.running
    return seeded.ended.get(job) or seeded.waiting[job]


@cache
def _linked(site: Site, rule: str) -> str:
    """Return an address of this rule that a page of the navigation leads to."""
    wanted = re.compile("[^/]+".join(map(re.escape, _WORD.split(rule))))
    for page in site.registry.pages.values():
        if _WORD.search(page.path):
            continue
        for link in _LINK.findall(_read(site.url + page.path)):
            path = urlsplit(urljoin(site.url, link)).path
            own: str = path.removeprefix(urlsplit(site.url).path)
            if wanted.fullmatch(own):
                return own
    raise AssertionError(f"no page leads to {rule}")


def _read(url: str) -> str:
    asked = Request(url, headers={"Cookie": "role=admin", "Accept": "text/html"})
    with urlopen(asked) as answer:
        content: bytes = answer.read()
    return content.decode()
