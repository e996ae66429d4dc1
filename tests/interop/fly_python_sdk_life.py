"""A machine's whole life with PyPI's fly-python-sdk, printed as one JSON object."""

from __future__ import annotations

import asyncio
import json
import sys

from fly_python_sdk.fly import Fly  # type: ignore[import-not-found]  # see make interop
from fly_python_sdk.fly.api import FlyApi  # type: ignore[import-not-found]  # the same
from fly_python_sdk.models.machine import (  # type: ignore[import-not-found]  # the same
    FlyMachine,
    FlyMachineConfig,
    FlyMachineConfigGuest,
    FlyMachineConfigProcess,
    FlyMachineConfigRestart,
)

APP = "by-fly-python-sdk"
CONFIG = FlyMachineConfig(
    image="registry-1.docker.io/library/alpine:3.20",
    metadata={"pool": "a"},
    guest=FlyMachineConfigGuest(cpu_kind="shared"),
    restart=FlyMachineConfigRestart(policy="no"),
    processes=[
        FlyMachineConfigProcess(name="it", entrypoint=["sleep"], cmd=["0.1"], env={})
    ],
)


async def main(url: str) -> None:
    """Create an app and machines, look at them, and destroy them."""
    # The address cannot be given to apps and machines, whose classes make their own.
    FlyApi.__init__.__defaults__ = (60, 1, url)
    org = Fly("fm2_of-nobody").Org()
    await org.create_app(APP)
    app = org.App(APP)
    made = await app.create_machine(FlyMachine(region="ams", config=CONFIG))
    machine = app.Machine(made.id)
    state = await stopped(machine)
    events = await machine.get_events()
    await machine.start()
    clone = await machine.clone(region="fra")
    seen = {
        "apps": [one.name for one in await org.list_apps()],
        "created": made.state,
        "state": state,
        "events": [f"{one.type}/{one.status}/{one.source}" for one in events],
        "exit_code": events[0].request.exit_event["exit_code"],
        "cloned": [clone.region, clone.config.metadata],
        "regions": sorted(one.region for one in await app.list_machines()),
    }
    for each in (machine, app.Machine(clone.id)):
        await stopped(each)
        await each.destroy()
    await app.delete()
    print(json.dumps(seen))


async def stopped(machine: object) -> str:
    """Ask for a machine until it is stopped; this client knows no wait."""
    async with asyncio.timeout(20):
        while True:
            state = (await machine.inspect()).state  # type: ignore[attr-defined]  # no types
            if state == "stopped":
                return str(state)
            await asyncio.sleep(0.3)


asyncio.run(main(sys.argv[1]))
