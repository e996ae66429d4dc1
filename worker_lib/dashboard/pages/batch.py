"""One batch: how far it is, when it will be done, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib import inspection
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PAGE"]


def load(query: Query) -> dict[str, Any]:
    """Read the batch: three commands to Redis.

    Raises:
        BatchNotFound: there is none of this id.
    """
    return {"batch": as_document(inspection.batch_progress(query["id"]))}


def title_of(document: Mapping[str, Any]) -> str:
    """Name it by its task, without the module."""
    return f"Batch of {document['batch']['task'].rpartition(':')[2]}"


PAGE = Page(
    slug="batch",
    title="Batch",
    load=load,
    rule="batches/<id>",
    parent="jobs",
    title_of=title_of,
)
