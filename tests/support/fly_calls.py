"""What a person does to a machine with Fly's own tools, and this library never does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from worker_lib.client.client import Client


def stop_machine(client: Client, machine_id: str) -> None:
    """Ask a machine of the client's app to stop."""
    _act(client, f"{machine_id}/stop", json={"signal": "SIGTERM"})


def restart_machine(client: Client, machine_id: str, signal: str) -> None:
    """Stop a machine with a signal, and start it under the same id."""
    _act(client, f"{machine_id}/restart", params={"signal": signal})


def _act(client: Client, path: str, **options: Any) -> None:
    settings = client.settings
    url = f"{settings.api_hostname}/v1/apps/{settings.fly_app}/machines/{path}"
    headers = {"Authorization": f"Bearer {settings.fly_api_token}"}
    reply = requests.post(url, headers=headers, timeout=10, **options)
    assert reply.ok, reply.text
