"""Pictures of products."""

from __future__ import annotations

import ctypes
import os
import signal
import time

from worker_lib import fly_task


@fly_task(queue="images", linger="5s", max_machines=2, machine="shared-cpu-2x")
def make_thumbnail(photo: str, width: int = 320) -> dict[str, int]:
    """Return the size of a thumbnail; some photos cannot be read."""
    print(f"reading {photo}")
    if photo.endswith(".heic"):
        raise ValueError(f"cannot identify image file {photo!r}")
    time.sleep(0.02)
    return {"width": width, "height": width * 3 // 4}


@fly_task(queue="images", timeout="500ms")
def render_video(name: str) -> None:
    """Take longer than it may."""
    print(f"rendering {name}: frame 1 of 18000", flush=True)
    time.sleep(60)


@fly_task(queue="images", on_lost="fail")
def convert(photo: str, how: str) -> None:
    """End in one of the ways that are no exception."""
    print(f"converting {photo}", flush=True)
    if how == "lost":
        os.kill(os.getppid(), signal.SIGKILL)
    if how == "crash":
        ctypes.string_at(0)
    if how == "memory":
        raise MemoryError
    time.sleep(60)
