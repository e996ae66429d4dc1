"""Style and scripts: how heavy, whose, for how long; and what browsers may do."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING

import pytest

from worker_lib.dashboard.assets import FOLDER, Assets

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

MAX_BYTES = 60_000
VENDOR = FOLDER / "vendor"
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}
EVERYWHERE = ("/jobs/", "/jobs/overview.json", "/jobs/overview/part", "/jobs/login")


def test_all_assets_together_are_light() -> None:
    packed = {name: len(one.packed) for name, one in Assets().files.items()}

    assert MAX_BYTES >= sum(packed.values()), packed


def test_what_others_wrote_is_what_they_published() -> None:
    """Every file has its checksum, every library its licence."""
    lines = (VENDOR / "CHECKSUMS").read_text().splitlines()
    known = {name: digest for digest, name in (line.split() for line in lines)}
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name not in {"CHECKSUMS", "README"}
    }

    assert known == found
    assert {"htmx.LICENSE", "uplot.LICENSE"} < set(found)


def test_every_asset_of_a_page_may_be_kept_for_a_year(admin: FlaskClient) -> None:
    """At an address that names its version; compressed for who takes that."""
    page = admin.get("/jobs/").text
    addresses = re.findall(r'(?:href|src)="(/jobs/assets/[^"]+)"', page)
    assert 5 == len(addresses)
    for address in addresses:
        plain = admin.get(address)
        packed = admin.get(address, headers={"Accept-Encoding": "gzip"})

        assert "public, max-age=31536000, immutable" == plain.headers["Cache-Control"]
        assert plain.data == gzip.decompress(packed.data)
        assert Assets().version in address


@pytest.mark.parametrize("name", ["../access.py", "vendor/CHECKSUMS", "none.js", ""])
def test_nothing_else_is_served(admin: FlaskClient, name: str) -> None:
    assert 404 == admin.get(f"/jobs/assets/x/{name}").status_code


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_keeps_the_browser_to_the_rules(
    admin: FlaskClient, path: str
) -> None:
    headers = admin.get(path).headers

    assert POLICY == set(headers["Content-Security-Policy"].split("; "))
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert "no-store" == headers["Cache-Control"]


def test_a_page_has_no_style_and_no_script_of_its_own(admin: FlaskClient) -> None:
    """The policy would not let them be."""
    page = admin.get("/jobs/").text

    assert not re.findall(r"\son[a-z]+=|\sstyle=|<style|<script(?![^>]*\ssrc=)", page)
    assert not re.findall(r'(?:href|src|action)="(?:https?:)?//', page)


def test_the_theme_is_in_the_page_that_the_server_makes(admin: FlaskClient) -> None:
    """So that none flashes up in the wrong one; nothing else gets through there."""
    before = admin.get("/jobs/").text
    admin.set_cookie("worker_lib_theme", "dark")
    dark = admin.get("/jobs/").text
    admin.set_cookie("worker_lib_theme", '"><script>')
    strange = admin.get("/jobs/").text

    assert '<html lang="en">' in before
    assert '<html lang="en" data-theme="dark">' in dark
    assert '<html lang="en">' in strange


def test_a_mounted_dashboard_finds_itself(
    make_browser: Callable[..., FlaskClient],
) -> None:
    """Below whatever path the server says."""
    browser, below = make_browser(lambda _: "admin"), {"SCRIPT_NAME": "/shop"}
    page = browser.get("/jobs/", environ_overrides=below).text
    locked = make_browser(password="open sesame")
    asked = locked.get("/jobs/overview", environ_overrides=below)

    assert 'data-stream="/shop/jobs/overview/live"' in page
    assert 'href="/shop/jobs/assets/' in page
    assert "/shop/jobs/login?goto=%2Fshop%2Fjobs%2Foverview" == asked.location
