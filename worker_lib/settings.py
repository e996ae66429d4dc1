"""Settings: one frozen object, read once at the edge.

An explicit argument beats the environment, the environment beats the default. All
problems are reported together, each with its variable and its remedy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from worker_lib import checks, labels
from worker_lib.checks import unknown_name
from worker_lib.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker_lib.checks import Check

__all__ = ["Settings"]

# Set by the launcher for its machines, or by machines for their jobs; not by people.
_INTERNAL = frozenset(
    {
        *("WORKER_LIB_SLOT", "WORKER_LIB_POOL", "WORKER_LIB_GENERATION"),
        *("WORKER_LIB_MACHINE_ROOT", "WORKER_LIB_MACHINE_API", "WORKER_LIB_PARKING"),
    }
)

# Machines are told the order of queues; they read no setting of it.
_CHECKS = {**checks.SETTINGS, "queues": labels.queue_order}


def _env(*names: str, secret: bool = False, default: Any = "") -> Any:
    return field(default=default, repr=not secret, metadata={"env": names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the library.

    Attributes:
        redis_url: `REDIS_URL`. `redis://`, `rediss://` or `unix://`. Empty, with no
            token either: the local stack of this folder is used.
        fly_api_token: `FLY_API_TOKEN`, else `FLY_ACCESS_TOKEN`. A deploy token of the
            tasks app is enough.
        fly_app: `FLY_TASKS_APP`, else `FLY_APP_NAME`: the app that owns the machines.
        region: `FLY_REGION`. Where machines start unless a task says otherwise.
        image: `WORKER_IMAGE`, else `FLY_IMAGE_REF`: this very app's image.
        api_hostname: `FLY_API_HOSTNAME`, else `FLY_FLAPS_BASE_URL`: base URL of the
            Machines API.
        secret: `WORKER_LIB_SECRET`. Signing key of calls and results, 32 bytes or
            more.
        old_secret: `WORKER_LIB_SECRET_OLD`. Still accepted, no longer used to sign.
        namespace: `WORKER_LIB_NAMESPACE`. First part of every Redis key.
        max_machines: `WORKER_LIB_MAX_MACHINES`. Machines of one pool at the same
            time, for tasks that do not say.
        park: `WORKER_LIB_PARK`. How many machines of a pool may stay parked when it has
            no more calls, for tasks that do not say.
        previews: `WORKER_LIB_PREVIEWS`. `off`: pages show no arguments and results of
            any task.
        queues: `WORKER_LIB_QUEUES`. The order in which machines serve queues, for
            tasks that do not say: `high,default,low`, all of one before the next, or
            by weight, as `high=5,default=2,low=1`; others come last.
        max_payload_bytes: `WORKER_LIB_MAX_PAYLOAD`. The largest call or result, in
            bytes, after compression.
        max_output_bytes: `WORKER_LIB_MAX_OUTPUT`. How much of what an attempt prints
            is kept with the job, in bytes: half from its beginning, half from its end;
            0 keeps nothing. Never more than `WORKER_LIB_MAX_PAYLOAD`.
        result_ttl: `WORKER_LIB_RESULT_TTL`. How long outcomes are kept.
        pending_ttl: `WORKER_LIB_PENDING_TTL`. How long a job may wait for a machine
            before it expires; counted anew from each retry and each lost machine.
        lease_ttl: `WORKER_LIB_LEASE_TTL`. A machine silent for so long has lost its
            job; it renews its lease after a third of this.
        boot_timeout: `WORKER_LIB_BOOT_TIMEOUT`. How long a machine may take from its
            creation to its first claim.
        max_lifetime: `WORKER_LIB_MAX_LIFETIME`. A machine older than this takes no
            further job.
        max_generations: `WORKER_LIB_MAX_GENERATIONS`. How deep jobs may make jobs: a
            job of this generation may make no further one.
        nested_rate: `WORKER_LIB_NESTED_RATE`. How many jobs a second jobs may make,
            all machines together; ten times as many at once after a pause.
        hooks: `WORKER_LIB_HOOKS`. A module to import before the first call and, on
            machines, before the first job: it registers hooks.
        runtime: `WORKER_LIB_RUNTIME`. What the local stack's machines are: `process`
            of this computer, `docker`: containers of `image`, with no capability and
            a read-only root, or `docker-unconfined`: with what the engine allows.
        dashboard_password: `WORKER_LIB_DASHBOARD_PASSWORD`. Opens the dashboard to who
            may do everything: 8 characters or more, or a hash of werkzeug's.
        dashboard_read_password: `WORKER_LIB_DASHBOARD_READ_PASSWORD`. The same for who
            may only look.
        metrics_token: `WORKER_LIB_METRICS_TOKEN`. Opens the metrics to who sends it as
            bearer token; 16 characters or more.
        local_path: `WORKER_LIB_LOCAL_PATH`. The folders in which machines of the local
            stack find the modules of this process; set by the stack, empty on Fly.
        local_env: `WORKER_LIB_LOCAL_ENV`. The digest of the environment that machines
            of the local stack get; set by the stack, empty on Fly.
        local_stay: `WORKER_LIB_LOCAL_STAY`. How long the local stack stays up, at
            most, for jobs that run or are due when its last user has ended.
    """

    redis_url: str = _env("REDIS_URL", secret=True)
    fly_api_token: str = _env("FLY_API_TOKEN", "FLY_ACCESS_TOKEN", secret=True)
    fly_app: str = _env("FLY_TASKS_APP", "FLY_APP_NAME")
    region: str = _env("FLY_REGION")
    image: str = _env("WORKER_IMAGE", "FLY_IMAGE_REF")
    api_hostname: str = _env(
        "FLY_API_HOSTNAME", "FLY_FLAPS_BASE_URL", default="https://api.machines.dev"
    )
    secret: str = _env("WORKER_LIB_SECRET", secret=True)
    old_secret: str = _env("WORKER_LIB_SECRET_OLD", secret=True)
    namespace: str = _env("WORKER_LIB_NAMESPACE", default=checks.NAMESPACE)
    max_machines: int = _env("WORKER_LIB_MAX_MACHINES", default=10)
    park: int = _env("WORKER_LIB_PARK", default=0)
    previews: str = _env("WORKER_LIB_PREVIEWS", default="on")
    queues: str = _env("WORKER_LIB_QUEUES", default=labels.QUEUES)
    max_payload_bytes: int = _env(
        "WORKER_LIB_MAX_PAYLOAD", default=checks.MAX_PAYLOAD_BYTES
    )
    max_output_bytes: int = _env(
        "WORKER_LIB_MAX_OUTPUT", default=checks.MAX_OUTPUT_BYTES
    )
    result_ttl: float = _env("WORKER_LIB_RESULT_TTL", default=86400.0)
    pending_ttl: float = _env("WORKER_LIB_PENDING_TTL", default=14 * 86400.0)
    lease_ttl: float = _env("WORKER_LIB_LEASE_TTL", default=checks.LEASE_TTL)
    boot_timeout: float = _env("WORKER_LIB_BOOT_TIMEOUT", default=60.0)
    max_lifetime: float = _env("WORKER_LIB_MAX_LIFETIME", default=checks.MAX_LIFETIME)
    max_generations: int = _env("WORKER_LIB_MAX_GENERATIONS", default=10)
    nested_rate: int = _env("WORKER_LIB_NESTED_RATE", default=100)
    hooks: str = _env("WORKER_LIB_HOOKS")
    runtime: str = _env("WORKER_LIB_RUNTIME", default="process")
    dashboard_password: str = _env("WORKER_LIB_DASHBOARD_PASSWORD", secret=True)
    dashboard_read_password: str = _env(
        "WORKER_LIB_DASHBOARD_READ_PASSWORD", secret=True
    )
    metrics_token: str = _env("WORKER_LIB_METRICS_TOKEN", secret=True)
    local_path: str = _env("WORKER_LIB_LOCAL_PATH")
    local_env: str = _env("WORKER_LIB_LOCAL_ENV")
    local_stay: float = _env("WORKER_LIB_LOCAL_STAY", default=600.0)

    @classmethod
    def load(cls, environ: Mapping[str, str], **explicit: Any) -> Settings:
        """Return the settings of `environ`, overridden by the named arguments.

        Raises:
            ConfigError: unknown names or values out of bounds, all at once.
        """
        problems = _unknown_names(environ, explicit)
        values: dict[str, Any] = {}
        for one in fields(cls):
            source, raw = _raw(one.name, one.metadata["env"], environ, explicit)
            if raw is None:
                continue
            try:
                check: Check[Any] = _CHECKS.get(one.name, checks.stripped)
                values[one.name] = check(raw, source)
            except ConfigError as error:
                problems += [one._replace(source=source) for one in error.problems]
        if problems:
            raise ConfigError(*problems)
        return cls(**values)

    @property
    def local(self) -> bool:
        """Whether these settings ask for the local stack."""
        return not self.redis_url and not self.fly_api_token

    def require_remote(self) -> None:
        """Check that calls can be stored and signed.

        Raises:
            ConfigError: something is missing; each sentence names the remedy.
        """
        problems = []
        if not self.redis_url:
            problems.append(
                Problem(
                    "REDIS_URL is not set but FLY_API_TOKEN is",
                    "set REDIS_URL to the Redis that this app and its machines share, "
                    "or unset both to work locally",
                    "REDIS_URL",
                )
            )
        if not self.secret:
            problems.append(
                Problem(
                    "WORKER_LIB_SECRET is not set",
                    "calls in Redis are signed with it; set the same random value of "
                    "32 bytes or more here and as a secret of the tasks app "
                    "(openssl rand -hex 32)",
                    "WORKER_LIB_SECRET",
                )
            )
        if problems:
            raise ConfigError(*problems)

    def require_machines(self) -> None:
        """Check that machines can be created.

        Raises:
            ConfigError: something is missing; each sentence names the remedy.
        """
        wanted = {
            "FLY_API_TOKEN": (self.fly_api_token, "fly tokens create deploy"),
            "FLY_TASKS_APP": (self.fly_app, "the name of the app that owns machines"),
            "WORKER_IMAGE": (self.image, "the image to run, as fly image show prints"),
        }
        missing = [
            Problem(
                f"{name} is not set, so no machine can be started",
                f"set it ({remedy})",
                name,
            )
            for name, (value, remedy) in wanted.items()
            if not value
        ]
        if missing:
            raise ConfigError(*missing)


def _unknown_names(
    environ: Mapping[str, str], explicit: Mapping[str, Any]
) -> list[Problem]:
    known = {name for one in fields(Settings) for name in one.metadata["env"]}
    ours = {name for name in known if name.startswith("WORKER_LIB_")}
    given = {name for name in environ if name.startswith("WORKER_LIB_")}
    strange = sorted(given - ours - _INTERNAL)
    problems = [unknown_name("variable", name, ours) for name in strange]
    names = {one.name for one in fields(Settings)}
    strange = sorted(set(explicit) - names)
    return problems + [unknown_name("setting", name, names) for name in strange]


def _raw(
    name: str,
    variables: tuple[str, ...],
    environ: Mapping[str, str],
    explicit: Mapping[str, Any],
) -> tuple[str, Any]:
    if explicit.get(name) is not None:
        return name, explicit[name]
    for variable in variables:
        if environ.get(variable):
            return variable, environ[variable]
    return name, None
