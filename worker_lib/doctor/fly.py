"""Checks the token, the apps, the image and the region.

Each function takes replies of the Machines API and returns one finding; it sends
nothing. Where the token may not read something, the finding is `unknown`, never `ok`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker_lib.doctor.findings import Finding, failed, ok, unknown, warning
from worker_lib.errors import RateLimited
from worker_lib.fly.images import parse_image
from worker_lib.fly.naming import METADATA_OWNER, METADATA_SLOT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from worker_lib.doctor.fly_facts import FlyFacts, Reply
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
_LISTED = 3
_LATER = "try again in a minute: Fly limits the rate of requests"


def check_api(reply: Reply, settings: Settings) -> Finding:
    """Check whether the API accepts the token."""
    name, error = "fly token", reply.error
    if error is None or error.status in (403, 404):
        return ok(name, f"{settings.api_hostname} accepts it")
    if isinstance(error, RateLimited):
        return unknown(name, f"it was not checked: {error}", _LATER)
    if error.status == 401:
        remedy = f"make another: fly tokens create deploy -a {settings.fly_app}"
        return failed(name, f"it is refused: {error}", remedy)
    remedy = "check FLY_API_HOSTNAME and the network, or wait: status.flyio.net"
    return failed("fly api", str(error), remedy)


def check_app(reply: Reply, app: str) -> Finding:
    """Check whether the tasks app exists and the token is for it."""
    name, error = "tasks app", reply.error
    if error is None:
        return ok(name, f"{app!r} exists")
    if error.status == 404:
        remedy = f"fly apps create {app}, or correct FLY_TASKS_APP"
        return failed(name, f"there is no app {app!r}", remedy)
    if error.status == 403:
        remedy = f"use a token for it: fly tokens create deploy -a {app}"
        return failed(name, f"this token is not for the app {app!r}", remedy)
    return failed(name, str(error), "try again in a minute")


def check_apart(reply: Reply, app: str, web_app: str) -> Finding:
    """Check that jobs do not run in an app that is deployed.

    Args:
        reply: The tasks app's machines.
        app: The tasks app.
        web_app: The app in which the doctor runs, or "".
    """
    name = "tasks app apart"
    remedy = f"fly apps create {app}-tasks, and FLY_TASKS_APP={app}-tasks"
    if app == web_app:
        text = "jobs run in the web app itself: they get its secrets, and the token "
        return warning(name, text + "for machines can change the web app", remedy)
    deployed = [one for one in reply.objects() if _PLATFORM in _metadata(one)]
    if deployed:
        text = f"{app!r} has {len(deployed)} machines that fly deploy manages"
        return warning(name, text, remedy)
    if reply.error is not None:
        return unknown(name, f"its machines are not known: {reply.error}", "see above")
    return ok(name, f"{app!r} has no deployed machines")


def check_scope(facts: FlyFacts, app: str) -> Finding:
    """Check whether the token can do more than start machines in one app.

    Source: OpenAPI file, `main.tokenInfo`: `apps`, `user`.
    """
    name = "token scope"
    remedy = f"fly tokens create deploy -a {app} -x 8760h"
    tokens = facts.token.objects("tokens")
    if any(one.get("user") for one in tokens):
        return warning(name, "it is a person's: it can do all that they can", remedy)
    seen = {str(one.get("name")) for one in facts.neighbours.objects("apps")}
    for one in tokens:
        seen.update(map(str, one.get("apps") or ()))
    others = sorted(seen - {app})
    if others:
        more = f" and {len(others) - _LISTED} more" if len(others) > _LISTED else ""
        text = f"it can also reach {', '.join(others[:_LISTED])}{more}"
        return warning(name, text, remedy)
    if app in seen:
        return ok(name, f"it can only reach {app!r}")
    return unknown(name, "Fly does not say what it can reach", f"use: {remedy}")


def check_secrets(reply: Reply, app: str) -> Finding:
    """Check by name that machines get the secrets they need, and no others."""
    name = "tasks app secrets"
    if reply.error is not None:
        text = f"their names are not known: {reply.error}"
        return unknown(name, text, f"fly secrets list -a {app}")
    names = {str(one.get("name")) for one in reply.objects("secrets")}
    missing = [needed for needed in _NEEDED_SECRETS if needed not in names]
    if missing:
        remedy = f"fly secrets set -a {app} {' '.join(f'{one}=…' for one in missing)}"
        return failed(name, f"machines do not get {' and '.join(missing)}", remedy)
    needless = sorted({"FLY_API_TOKEN", "FLY_ACCESS_TOKEN"} & names)
    if needless:
        remedy = f"fly secrets unset -a {app} {' '.join(needless)}"
        text = f"machines get {' and '.join(needless)}, and need no token"
        return warning(name, text, remedy)
    return ok(name, f"{' and '.join(_NEEDED_SECRETS)} are set")


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
    """Check for machines that Redis does not know.

    Args:
        reply: The tasks app's machines.
        slots: Slot and machine id of our machines.
        unknown_slots: Those slots that Redis does not know.
    """
    name = "machines"
    if isinstance(reply.error, RateLimited):
        return unknown(name, f"they were not listed: {reply.error}", _LATER)
    if reply.error is not None:
        remedy = "try again in a minute"
        return failed(name, f"they cannot be listed: {reply.error}", remedy)
    strays = sorted(slots[slot] for slot in unknown_slots)
    if strays:
        text = f"{len(strays)} without a slot: {', '.join(strays[:5])}"
        remedy = "worker-lib sweep destroys those that are older than 11 minutes"
        return warning(name, text, remedy)
    return ok(name, f"{len(slots)} of ours, each with its slot")


def check_image(image: str, known: Iterable[Reply]) -> Finding:
    """Check whether some machine has the image: the API cannot say more.

    Args:
        image: The value of `WORKER_IMAGE`.
        known: Machines of the apps that may use it.
    """
    name, parts = "image", parse_image(image)
    if parts is None:
        text = f"{image!r} is not the name of an image"
        return failed(name, text, "copy it from: fly image show -a <web app>")
    for machine in (one for reply in known for one in reply.objects()):
        if _runs(machine, image, parts):
            return ok(name, f"machine {machine.get('id')} was made from it")
    text = f"no machine that this token sees uses {image}, so it may not exist"
    return unknown(name, text, "worker-lib doctor --probe boots a machine from it")


def check_region(reply: Reply, region: str) -> Finding:
    """Check whether Fly has the region, or each of a list."""
    name = "region"
    if not region:
        return ok(name, "none is set: Fly takes one near the caller")
    codes = {str(one.get("code")) for one in reply.objects("regions")}
    codes |= {
        str(one.get("Code") or one.get("code")) for one in reply.objects("Regions")
    }
    if not codes:
        text = f"Fly does not list its regions, so {region!r} was not checked"
        return unknown(name, text, "fly platform regions lists them")
    strange = [one for one in region.split(",") if one.strip() not in codes | _AREAS]
    if strange:
        remedy = f"set FLY_REGION to one of {', '.join(sorted(codes))}"
        return failed(
            name, f"Fly has no region {', '.join(map(repr, strange))}", remedy
        )
    return ok(name, f"Fly has {region!r}")


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
