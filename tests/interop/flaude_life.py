"""A machine's whole life with PyPI's flaude, printed as one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

from flaude import fly_client  # type: ignore[import-not-found]  # see make interop
from flaude.app import ensure_app, get_app  # type: ignore[import-not-found]  # the same
from flaude.machine import (  # type: ignore[import-not-found]  # the same
    create_machine,
    destroy_machine,
    get_machine,
    start_machine,
    stop_machine,
)
from flaude.machine_config import MachineConfig  # type: ignore[import-not-found]  # the same
from flaude.runner import run_and_destroy  # type: ignore[import-not-found]  # the same

APP, TOKEN = "by-flaude", "fm2_of-nobody"
# It has no words for a command: with none, the image's own runs, which fails at once
# as it finds no job's environment.
CONFIG = MachineConfig(
    claude_code_oauth_token="-", prompt="-", region="ams", metadata={"pool": "a"}
)


async def main(url: str) -> None:
    """Run a machine to its end, and another one step by step."""
    fly_client.FLY_API_BASE = f"{url}/v1"
    missing = await get_app(APP, token=TOKEN)
    app = await ensure_app(APP, token=TOKEN)
    ran = await run_and_destroy(
        APP, CONFIG, name="one", token=TOKEN, raise_on_failure=False
    )
    made = await create_machine(APP, CONFIG, name="two", token=TOKEN)
    await stop_machine(APP, made.id, token=TOKEN)
    await start_machine(APP, "0123456789abcd", token=TOKEN)
    await destroy_machine(APP, made.id, token=TOKEN)
    await destroy_machine(APP, made.id, token=TOKEN)
    seen = {
        "missing": missing,
        "app": asdict(app),
        "ran": asdict(ran),
        "created": asdict(made),
        "last": (await get_machine(APP, made.id, token=TOKEN)).state,
    }
    print(json.dumps(seen))


asyncio.run(main(sys.argv[1]))
