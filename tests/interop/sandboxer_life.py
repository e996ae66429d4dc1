"""A machine's whole life with hyperterse-sandboxer, printed as one JSON object."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from sandboxer.config import (  # type: ignore[import-not-found]  # see make interop
    ProviderConfig,
)
from sandboxer.errors import NotFoundError  # type: ignore[import-not-found]  # the same
from sandboxer.providers.fly_machines import (  # type: ignore[import-not-found]  # the same
    FlyMachinesProvider,
)
from sandboxer.types import (  # type: ignore[import-not-found]  # the same
    CreateSandboxRequest,
)


def main(url: str, folder: Path) -> None:
    """Create a machine, suspend and resume it, and kill it."""
    # It has no words for a command: this keeps the image's own busy.
    (folder / "sitecustomize.py").write_text("import time; time.sleep(60)")
    os.environ["FLY_APP_NAME"] = "by-sandboxer"
    provider = FlyMachinesProvider(
        ProviderConfig(api_key="fm2_of-nobody", base_url=url)
    )
    wanted = CreateSandboxRequest(
        metadata={"pool": "a"}, envs={"PYTHONPATH": str(folder)}, memory_mb=512
    )
    sandbox, created = provider.create_sandbox(wanted)
    sandbox.pause()
    paused = [one.status.value for one in provider.list_sandboxes()]
    sandbox.resume()
    info = provider.attach_sandbox(created.id).info()
    sandbox.kill()
    try:
        provider.kill_sandbox("0123456789abcd")
        missing = ""
    except NotFoundError as error:
        missing = str(error)
    seen = {
        "created": created.status.value,
        "paused": paused,
        "resumed": [info.status.value, info.template, info.memory_mb],
        "missing": missing,
    }
    provider.close()
    print(json.dumps(seen))


with tempfile.TemporaryDirectory() as name:
    main(sys.argv[1], Path(name))
