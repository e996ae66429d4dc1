"""The first page, on real jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask.testing import FlaskClient


def test_the_first_page_of_an_empty_redis_teaches(admin: FlaskClient) -> None:
    """It shows how a task is called."""
    page = admin.get("/jobs/")

    assert 200 == page.status_code, page.text
    assert "add.delay(1, 2).result()" in page.text


def test_its_json_has_what_the_page_shows(admin: FlaskClient) -> None:
    document = admin.get("/jobs/overview.json").get_json()

    assert {"overview", "history", "costs", "windows"} == set(document)
    assert 0 == document["overview"]["counts"]["queued"]
