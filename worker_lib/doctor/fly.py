"""Judges what the Machines API says of the token, the apps, the image and the region.

Pure: answers go in, one finding comes out. A question that the token may not ask is
`unknown`, never `ok`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.doctor.findings import Finding, bad, good, poor, unknown
from worker_lib.doctor.fly_facts import FlyFacts, Reply, parts_of_image
from worker_lib.errors import RateLimited
from worker_lib.fly.naming import METADATA_OWNER, METADATA_SLOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from worker_lib.settings import Settings

__all__ = [
    "check_apart",
    "check_api",
    "check_app",
    "check_image",
    "check_leftovers",
    "check_region",
    "check_scope",
    "check_secrets",
    "slots_of",
]

# Source: Fly's guide, "Machine placement".
_AREAS = frozenset({"any", "us", "na", "eu", "apac", "sa"})
_NEEDED_SECRETS = ("REDIS_URL", "WORKER_LIB_SECRET")
_PLATFORM = "fly_platform_version"
_TOLD = 3
_LATER = "look again in a minute: Fly limits how often it may be asked"


def check_api(reply: Reply, settings: Settings) -> Finding:
    """Judge whether the API lets us in."""
    name, error = "fly token", reply.error
    if error is None or error.status in (403, 404):
        return good(name, f"{settings.api_hostname} accepts it")
    if isinstance(error, RateLimited):
        return unknown(name, f"it was not looked at: {error}", _LATER)
    if error.status == 401:
        remedy = f"make another: fly tokens create deploy -a {settings.fly_app}"
        return bad(name, f"it is refused: {error}", remedy)
    remedy = "check FLY_API_HOSTNAME and the network, or wait: status.flyio.net"
    return bad("fly api", str(error), remedy)


def check_app(reply: Reply, app: str) -> Finding:
    """Judge whether the tasks app is there and ours."""
    name, error = "tasks app", reply.error
    if error is None:
        return good(name, f"{app!r} exists")
    if error.status == 404:
        remedy = f"fly apps create {app}, or correct FLY_TASKS_APP"
        return bad(name, f"there is no app {app!r}", remedy)
    if error.status == 403:
        remedy = f"use a token for it: fly tokens create deploy -a {app}"
        return bad(name, f"this token is not for the app {app!r}", remedy)
    return bad(name, str(error), "try again in a minute")


def check_apart(reply: Reply, app: str, web_app: str) -> Finding:
    """Judge whether machines of jobs are apart from the web app's.

    Args:
        reply: The tasks app's machines.
        app: The tasks app.
        web_app: The app that this runs in, or "".
    """
    name = "tasks app apart"
    remedy = f"fly apps create {app}-tasks, and FLY_TASKS_APP={app}-tasks"
    if app == web_app:
        text = "jobs run in the web app itself: its secrets are theirs, and the token "
        return poor(name, text + "for them can change the web app", remedy)
    deployed = [one for one in reply.objects() if _PLATFORM in _metadata(one)]
    if deployed:
        text = f"{app!r} has {len(deployed)} machines that fly deploy manages"
        return poor(name, text, remedy)
    if reply.error is not None:
        return unknown(name, f"its machines are not told: {reply.error}", "see above")
    return good(name, f"{app!r} has no deployed machines")


def check_scope(facts: FlyFacts, app: str) -> Finding:
    """Judge whether the token can do more than start machines in one app.

    Source: OpenAPI file, `main.tokenInfo`: `apps`, `user`.
    """
    name = "token scope"
    remedy = f"fly tokens create deploy -a {app} -x 8760h"
    tokens = facts.token.objects("tokens")
    if any(one.get("user") for one in tokens):
        return poor(name, "it is a person's: it can do all that they can", remedy)
    seen = {str(one.get("name")) for one in facts.neighbours.objects("apps")}
    for one in tokens:
        seen.update(map(str, one.get("apps") or ()))
    others = sorted(seen - {app})
    if others:
        more = f" and {len(others) - _TOLD} more" if len(others) > _TOLD else ""
        text = f"it also reaches {', '.join(others[:_TOLD])}{more}"
        return poor(name, text, remedy)
    if app in seen:
        return good(name, f"it reaches {app!r} only")
    return unknown(name, "Fly does not tell what it reaches", f"use: {remedy}")


def check_secrets(reply: Reply, app: str) -> Finding:
    """Judge by their names whether machines get what they need, and not too much."""
    name = "tasks app secrets"
    if reply.error is not None:
        text = f"their names are not told: {reply.error}"
        return unknown(name, text, f"fly secrets list -a {app}")
    names = {str(one.get("name")) for one in reply.objects("secrets")}
    missing = [needed for needed in _NEEDED_SECRETS if needed not in names]
    if missing:
        remedy = f"fly secrets set -a {app} {' '.join(f'{one}=…' for one in missing)}"
        return bad(name, f"machines do not get {' and '.join(missing)}", remedy)
    spare = sorted({"FLY_API_TOKEN", "FLY_ACCESS_TOKEN"} & names)
    if spare:
        remedy = f"fly secrets unset -a {app} {' '.join(spare)}"
        text = f"machines get {' and '.join(spare)}, and need none"
        return poor(name, text, remedy)
    return good(name, f"{' and '.join(_NEEDED_SECRETS)} are set")


def slots_of(reply: Reply, tags: Collection[str]) -> dict[str, str]:
    """Return slot and machine id of each machine that has one of these owners."""
    return {
        _metadata(one).get(METADATA_SLOT, ""): str(one.get("id"))
        for one in reply.objects()
        if _metadata(one).get(METADATA_OWNER) in tags
        and one.get("state") not in ("destroyed", "destroying")
    }


def check_leftovers(
    reply: Reply, slots: dict[str, str], unknown_slots: Collection[str]
) -> Finding:
    """Judge whether machines run that nobody knows of.

    Args:
        reply: The tasks app's machines.
        slots: Slot and machine id of those that are ours.
        unknown_slots: Those of them that Redis knows nothing of.
    """
    name = "machines"
    if isinstance(reply.error, RateLimited):
        return unknown(name, f"they were not listed: {reply.error}", _LATER)
    if reply.error is not None:
        remedy = "try again in a minute"
        return bad(name, f"they cannot be listed: {reply.error}", remedy)
    strays = sorted(slots[slot] for slot in unknown_slots)
    if strays:
        text = f"{len(strays)} without a slot: {', '.join(strays[:5])}"
        remedy = "worker-lib sweep destroys those that are older than 11 minutes"
        return poor(name, text, remedy)
    return good(name, f"{len(slots)} of ours, each with its slot")


def check_image(image: str, known: Iterable[Reply]) -> Finding:
    """Judge the image as far as the API can say: does some machine have it?

    Args:
        image: As `WORKER_IMAGE` names it.
        known: Machines of the apps that may have it.
    """
    name, parts = "image", parts_of_image(image)
    if parts is None:
        text = f"{image!r} is no name of an image"
        return bad(name, text, "copy it from: fly image show -a <web app>")
    for machine in (one for reply in known for one in reply.objects()):
        if _runs(machine, image, parts):
            return good(name, f"machine {machine.get('id')} was made of it")
    text = f"{image} is on no machine that this token sees, so it may not exist"
    return unknown(name, text, "worker-lib doctor --probe boots a machine of it")


def check_region(reply: Reply, region: str) -> Finding:
    """Judge whether Fly has the region, or each of a list."""
    name = "region"
    if not region:
        return good(name, "none is set: near the caller")
    codes = {str(one.get("code")) for one in reply.objects("regions")}
    codes |= {
        str(one.get("Code") or one.get("code")) for one in reply.objects("Regions")
    }
    if not codes:
        text = f"Fly does not list its regions, so {region!r} was not checked"
        return unknown(name, text, "fly platform regions lists them")
    strange = [one for one in region.split(",") if one.strip() not in codes | _AREAS]
    if strange:
        text = f"Fly has no region {', '.join(map(repr, strange))}"
        return bad(name, text, f"set FLY_REGION to one of {', '.join(sorted(codes))}")
    return good(name, f"Fly has {region!r}")


def _runs(machine: dict[str, Any], image: str, parts: dict[str, str]) -> bool:
    config, ref = machine.get("config") or {}, machine.get("image_ref") or {}
    if config.get("image") == image:
        return True
    if any(ref.get(part) != parts[part] for part in ("registry", "repository")):
        return False
    exact = "digest" if parts["digest"] else "tag"
    return bool(parts[exact]) and ref.get(exact) == parts[exact]


def _metadata(machine: dict[str, Any]) -> dict[str, str]:
    found = (machine.get("config") or {}).get("metadata")
    return found if isinstance(found, dict) else {}
