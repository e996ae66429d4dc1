"""The tasks of the page on the command line."""

from worker_lib import fly_task


@fly_task(tags={"tenant": "x"})
def report(user_id: int, *, month: str) -> str:
    """Return a report."""
    print("rendering")
    return f"report of user {user_id} for {month}"


@fly_task(queue="bulk")
def resize(name: str) -> None:
    """Print, and find no such file."""
    print(f"resizing {name}")
    raise FileNotFoundError(f"no such file: {name}")
