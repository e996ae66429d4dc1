"""Stand-ins for Mailjet and S3, for whoever has no credentials at hand.

Real HTTP servers on loopback, reached through the very client libraries that reach
the services: a mail catcher and moto's S3. Each takes over only if the service's
variables are missing, and lives as long as the process that asked for it. Machines on
Fly could not reach them: for those there are none.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from demo.config import machines_elsewhere
from demo.mailcatcher import MailCatcher
from worker.services import MailSettings, NotConfigured, StorageSettings
from worker.storage import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MissingDependency", "running"]

_BUCKET = "worker-lib-demo"
_KEY, _SECRET = "standin", "not-a-secret"


class MissingDependency(Exception):
    """A stand-in cannot be started: its package is not installed."""


@contextmanager
def running() -> Iterator[tuple[str, ...]]:
    """Start what is needed and set the environment for this process and its children.

    Yields the names of the services that are stood in for. Afterwards the servers are
    gone, with everything they held, and the environment is as before.

    Raises:
        MissingDependency: moto is not installed.
    """
    with ExitStack() as stack:
        started: list[str] = []
        if machines_elsewhere(os.environ):
            yield ()
            return
        if _missing(MailSettings.load):
            stack.enter_context(_environment(stack.enter_context(_mailjet())))
            started.append("Mailjet")
        if _missing(StorageSettings.load):
            stack.enter_context(_environment(stack.enter_context(_s3())))
            started.append("S3")
        yield tuple(started)


def _missing(load: Callable[[Mapping[str, str]], object]) -> bool:
    try:
        load(os.environ)
    except NotConfigured:
        return True
    return False


@contextmanager
def _mailjet() -> Iterator[dict[str, str]]:
    """Run the catcher; yield the variables that lead to it."""
    with MailCatcher(api_key=_KEY, secret_key=_SECRET) as catcher:
        yield {
            "MAILJET_API_KEY": _KEY,
            "MAILJET_SECRET_KEY": _SECRET,
            "MAILJET_SENDER": "demo@worker-lib.example",
            "MAILJET_API_URL": catcher.url,
        }


@contextmanager
def _s3() -> Iterator[dict[str, str]]:
    """Run moto's S3 with an empty bucket; yield the variables that lead to it."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingDependency(
            "The stand-in for S3 needs moto: pip install 'moto[s3]>=5' flask-cors, "
            "or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and S3_BUCKET."
        ) from error
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        variables = {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
            "S3_BUCKET": _BUCKET,
            "S3_ENDPOINT_URL": f"http://{host}:{port}",
        }
        settings = StorageSettings.load(variables)
        connect(settings).create_bucket(Bucket=settings.bucket)
        yield variables
    finally:
        server.stop()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
