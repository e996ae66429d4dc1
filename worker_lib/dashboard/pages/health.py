"""The health: what is wrong, the versions, and the settings without their secrets."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

from worker_lib import inspection
from worker_lib.client.client import default_client
from worker_lib.client.configuration import settings_in_use
from worker_lib.dashboard.registry import Page, Query
from worker_lib.inspection import as_document
from worker_lib.ping import versions

__all__ = ["PAGE"]


def load(_query: Query) -> dict[str, Any]:
    """Read the page: one command to Redis."""
    now = inspection.overview()
    settings = default_client().settings
    return {
        "alerts": as_document(now.alerts),
        "server": as_document(now.server),
        "jobs": now.jobs,
        "versions": {
            **versions(),
            "redis": version("redis"),
            "flask": version("flask"),
        },
        "settings": [as_document(one) for one in settings_in_use(settings, os.environ)],
    }


PAGE = Page(slug="health", title="Health", load=load, order=8, icon="health")
