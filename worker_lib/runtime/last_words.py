"""How a machine that cannot work tells why, so that its callers can read it.

It prints a line on stderr, ends with an exit code (`worker_lib.fly.exits`), and writes
the line to its own metadata at Fly, which can be read where Redis cannot be reached.
Only then does a machine use its socket to Fly's API.

Source: "Suspend and resume a Machine" (requests to `/.fly/api` need no token). That the
metadata may be written this way is *unsure*; if Fly refuses, the exit code remains.
"""

from __future__ import annotations

import json
import sys

from worker_lib.fly.exits import METADATA_EXIT_MESSAGE
from worker_lib.runtime.machine_api import ask

__all__ = ["tell"]

_MAX_CHARACTERS = 200
# Seconds: a machine that ends must not wait long for this.
_TIMEOUT = 2.0


def tell(text: str) -> None:
    """Print a line on stderr and leave it in this machine's metadata, if that works.

    Args:
        text: No secret; shortened to 200 printable characters in the metadata.
    """
    print(f"worker_lib: {text}", file=sys.stderr, flush=True)
    shown = "".join(one if one.isprintable() else " " for one in text)
    body = json.dumps({"value": shown[:_MAX_CHARACTERS]}).encode()
    path = f"/metadata/{METADATA_EXIT_MESSAGE}"
    try:
        ask("POST", path, body, timeout=_TIMEOUT)
    except OSError as error:
        said = f"worker_lib: exit message not stored: {error}"
        print(said, file=sys.stderr, flush=True)
