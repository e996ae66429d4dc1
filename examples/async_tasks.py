"""Tasks that await, awaited without blocking: `python examples/async_tasks.py`."""

from __future__ import annotations

import asyncio

from worker_lib import current_job, fly_task


@fly_task
async def greet(name: str, pause: float) -> str:
    """Wait a little, as for a slow service, and say so."""
    for step in range(1, 4):
        current_job().progress(step, 3, f"greeting {name}")
        await asyncio.sleep(pause)
    return f"hello, {name}"


async def main() -> None:
    """Store three calls, await them together."""
    names = ("Ada", "Grace", "Katherine")
    jobs = [await greet.adelay(name, 0.1) for name in names]
    print(await asyncio.gather(*jobs))


if __name__ == "__main__":
    asyncio.run(main())
