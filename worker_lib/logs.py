"""Loggers of this library: `worker_lib.<area>`, silent until somebody listens.

The message of a record is the fixed name of an event (`machine_started`); the facts are
in `extra`. Nothing here opens a file or adds a visible handler.
"""

from __future__ import annotations

import logging

__all__ = ["get_logger"]

logging.getLogger("worker_lib").addHandler(logging.NullHandler())


def get_logger(area: str) -> logging.Logger:
    """Return the logger of one area of the library, such as `launcher`."""
    return logging.getLogger(f"worker_lib.{area}")
