"""Mail to customers."""

from __future__ import annotations

from worker_lib import Retry, current_job, fly_task


@fly_task(
    queue="mail",
    linger="5s",
    max_machines=1,
    retry=Retry(max_attempts=3, backoff="50ms", on=(ConnectionError,)),
)
def send_receipt(order: int, to: str) -> str:
    """Send a receipt; a server that is down answers at the third try or never."""
    attempt = current_job().attempt
    print(f"order {order}: connecting to the mail server, attempt {attempt}")
    if to.endswith("@down.example"):
        raise ConnectionError("[Errno 111] Connection refused: smtp.down.example:587")
    if to.endswith("@flaky.example") and attempt < 3:
        raise ConnectionError("the server closed the connection (421)")
    if "@" not in to:
        raise ValueError(f"no address: {to!r}")
    print(f"order {order}: accepted by the server, 250 2.0.0 Ok")
    return f"<{order}@shop.example>"


@fly_task(
    queue="mail",
    linger="5s",
    max_machines=1,
    retry=Retry(max_attempts=5, backoff="2h", max_backoff="6h"),
)
def send_newsletter(issue: str) -> None:
    """Fail, to be tried again in some hours."""
    raise TimeoutError(f"the list of readers of {issue} took longer than 10 s")
