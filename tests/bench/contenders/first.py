"""Prints the milliseconds of a fresh process from its first import to a stored call."""

import sys
import time

began = time.perf_counter()
library = __import__(f"use_{sys.argv[1]}")
stored = library.call("echo", "x" * 100)
if type(stored).__name__ == "coroutine":
    import asyncio

    asyncio.run(stored)
took = time.perf_counter() - began

import os  # noqa: E402 - loaded long ago, and not to be measured as if it were not

print(took * 1000, flush=True)
os._exit(0)
