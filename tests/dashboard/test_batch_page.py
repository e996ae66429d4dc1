"""The page of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jobs as tasks

if TYPE_CHECKING:
    from flask.testing import FlaskClient


def test_a_batch_shows_how_far_it_is(reader: FlaskClient) -> None:
    """While it waits, and when all of it has ended; its jobs lead there."""
    later = tasks.add.options(delay="1h").delay_many([(1, 2), (3, 4)])
    page = reader.get(f"/jobs/batches/{later.id}").text
    assert "0 of 2 jobs ended" in page
    first = next(later.jobs())
    assert (
        f'href="/jobs/batches/{later.id}"' in reader.get(f"/jobs/jobs/{first.id}").text
    )

    batch = tasks.boom.delay_many([("no",), ("no",)])
    assert batch.wait(30)
    assert "2 of 2 jobs ended, 2 failed" in reader.get(f"/jobs/batches/{batch.id}").text
    found = reader.get(f"/jobs/batches/{batch.id}.json").get_json()["batch"]
    assert (2, 2, 2) == (found["done"], found["total"], found["failed"])
    assert found["cost_usd"] is None


def test_a_batch_that_is_not_there_is_not_found(reader: FlaskClient) -> None:
    """Whatever its id is."""
    for wanted in ("0" * 16, "x"):
        assert 404 == reader.get(f"/jobs/batches/{wanted}").status_code
