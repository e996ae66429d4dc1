"""All checks, in the order in which one fault explains the next."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from worker_lib import local
from worker_lib.doctor import fly, local_stack, probe, server, signing
from worker_lib.doctor.clocks import check_clock, moment_of
from worker_lib.doctor.configuration import check_secret_strength, check_url, load
from worker_lib.doctor.findings import Finding, from_error, ok, unknown
from worker_lib.doctor.fly_facts import Reply, read_fly
from worker_lib.doctor.redaction import redacted, secrets_of
from worker_lib.doctor.rights import check_rights
from worker_lib.errors import ConfigError, StoreError
from worker_lib.fly.naming import owners
from worker_lib.local.paths import StackPaths
from worker_lib.ping import versions
from worker_lib.store.keys import trial_key

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )

    from worker_lib.doctor.fly_facts import FlyFacts
    from worker_lib.settings import Settings

__all__ = ["examine", "examine_in_use"]

_PROBE_SPARE = 30.0
_REDIS_FIRST = "fix Redis first, then run the doctor again"


def examine(
    environ: Mapping[str, str],
    *,
    probing: bool = False,
    clock: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Yield each finding as soon as it is known, in the same order in every run.

    Reads the settings, and asks Redis and the Machines API. In Redis it writes a key
    that it deletes again, and the mark that `signing` describes. It starts the local
    stack where the settings ask for it, and one machine if `probing`.

    Args:
        environ: The variables to check.
        probing: Boot a machine and run a tiny task on it.
        clock: Seconds since 1970 by this computer.
    """
    checks = _Checks(environ, clock)
    for finding in checks.run(probing=probing):
        yield redacted(finding, checks.secrets)


def examine_in_use(
    settings: Settings,
    environ: Mapping[str, str],
    clock: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Yield the findings of `examine` that a web process can have at any time.

    No machine is started and no local stack is joined: the settings are those that the
    process uses already. It takes some seconds if Redis or Fly does not answer.

    Args:
        settings: In use, of the local stack if that is joined.
        environ: The variables of the process.
        clock: Seconds since 1970 by this computer.
    """
    checks = _Checks(environ, clock)
    for finding in checks.run_in_use(settings):
        yield redacted(finding, checks.secrets)


class _Checks:
    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._environ = environ
        self._clock = clock
        self._local = False
        self._redis_replied = False
        self._failures = 0
        self.secrets = secrets_of(environ)

    def run(self, *, probing: bool) -> Iterator[Finding]:
        settings, findings = load(self._environ)
        yield from self._counted(findings)
        if settings.local:
            joined = yield from self._join_local(settings)
            if joined is None:
                return
            self._local, settings = True, joined
        yield from self._counted(self._services(settings))
        yield from self._probe(settings, probing=probing)
        # Last, since what a probe has signed is the best evidence.
        if settings.secret and self._redis_replied:
            yield self._shared_secret(settings)

    def run_in_use(self, settings: Settings) -> Iterator[Finding]:
        self._local = load(self._environ)[0].local
        self._know(settings)
        yield ok("settings", f"in use (namespace {settings.namespace!r})")
        yield from self._services(settings)
        if settings.secret and self._redis_replied:
            yield self._shared_secret(settings)

    def _counted(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Pass findings on, and count those that failed."""
        for finding in findings:
            self._failures += finding.verdict == "failed"
            yield finding

    def _services(self, settings: Settings) -> Iterator[Finding]:
        if settings.secret:
            yield check_secret_strength(settings.secret)
        if settings.redis_url:
            yield from self._redis(settings)
        if settings.fly_api_token:
            yield from self._fly(settings)

    def _join_local(
        self, settings: Settings
    ) -> Generator[Finding, None, Settings | None]:
        """Return settings that point at the local stack; None if it cannot run."""
        if not self._failures:
            paths = StackPaths.of(Path.cwd(), settings.runtime)
            yield from self._counted(local_stack.check_local(paths))
        if self._failures:
            return None
        try:
            joined = local.join(settings)
        except ConfigError as error:
            yield from from_error("local stack", error)
            return None
        self._know(joined)
        return joined

    def _know(self, settings: Settings) -> None:
        """Hide the secrets of these settings too."""
        known = {
            one.metadata["env"][0]: getattr(settings, one.name)
            for one in fields(settings)
            if not one.repr
        }
        self.secrets += secrets_of(known)

    def _redis(self, settings: Settings) -> Iterator[Finding]:
        redis = server.RedisServer(settings.redis_url)
        try:
            yield check_url(settings.redis_url)
            yield server.check_latency(redis.pings())
            self._redis_replied = True
            yield from _judge_info(redis)
            yield server.check_scripts(redis)
            yield server.check_writes(redis, trial_key(settings.namespace))
            yield check_rights(redis, settings.redis_url, settings.namespace)
            yield check_clock("redis clock", self._clock(), redis.time())
        except StoreError as error:
            yield server.unreachable(error)
        finally:
            redis.close()

    def _shared_secret(self, settings: Settings) -> Finding:
        host = signing.host_name(self._environ)
        with closing(server.RedisServer(settings.redis_url)) as redis:
            try:
                found = signing.outcome_evidence(settings)
                found += signing.read_marks(redis, settings, host)
                signing.write_mark(redis, settings, host)
            except (StoreError, ConfigError) as error:
                return unknown("secret shared", f"Redis refused: {error}", _REDIS_FIRST)
        return signing.check_secret_shared(found)

    def _fly(self, settings: Settings) -> Iterator[Finding]:
        try:
            facts = read_fly(settings, self._clock)
        except ConfigError as error:
            yield from from_error("fly api", error)
            return
        if isinstance(facts, Reply):
            yield fly.check_api(facts, settings)
            return
        yield from self._judge_fly(facts, settings)

    def _judge_fly(self, facts: FlyFacts, settings: Settings) -> Iterator[Finding]:
        app = settings.fly_app
        yield fly.check_api(facts.app, settings)
        yield fly.check_app(facts.app, app)
        if facts.app.error is not None:
            return
        yield _leftovers(facts, settings)
        if not self._local:
            web_app = self._environ.get("FLY_APP_NAME", "")
            yield fly.check_apart(facts.machines, app, web_app)
            yield fly.check_scope(facts, app)
            yield fly.check_secrets(facts.secrets, app)
            yield fly.check_region(facts.regions, settings.region)
            if settings.image:
                known = (facts.machines, facts.image_machines)
                yield fly.check_image(settings.image, known)
        yield check_clock("fly clock", facts.app.at, moment_of(facts.app.date))

    def _probe(self, settings: Settings, *, probing: bool) -> Iterator[Finding]:
        """Boot a machine if that is wanted and nothing has failed."""
        reported: Mapping[str, str] = {}
        if probing and self._failures:
            remedy = "fix what failed above first"
            yield unknown("probe", "no machine was started", remedy)
        elif probing:
            result = probe.run_probe(settings, settings.boot_timeout + _PROBE_SPARE)
            yield probe.check_probe(result, settings)
            reported = result.reported
        yield probe.check_versions(reported, versions())


def _judge_info(redis: server.RedisServer) -> Iterator[Finding]:
    info = redis.info()
    yield server.check_version(info)
    yield server.check_eviction(info, redis.option("maxmemory-policy"))
    yield server.check_persistence(info, redis.option("save"))
    yield server.check_memory(info)
    cluster = server.check_cluster(info)
    if cluster is not None:
        yield cluster


def _leftovers(facts: FlyFacts, settings: Settings) -> Finding:
    ours = owners(settings.namespace, settings.secret, settings.old_secret)
    slots = fly.slots_of(facts.machines, ours)
    try:
        strays = _unknown_slots(settings, slots)
    except (StoreError, ConfigError) as error:
        text = f"their slots cannot be read from Redis: {error}"
        return unknown("machines", text, _REDIS_FIRST)
    return fly.check_leftovers(facts.machines, slots, strays)


def _unknown_slots(settings: Settings, slots: Collection[str]) -> set[str]:
    if not slots or not settings.redis_url:
        return set()
    with closing(signing.open_store(settings)) as store:
        _, strays = store.strays.unknown([*slots])
    return strays
