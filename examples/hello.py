"""One task, no configuration: `python examples/hello.py`."""

from worker_lib import fly_task


@fly_task
def add(a: int, b: int) -> int:
    """Add two numbers, on a machine."""
    return a + b


if __name__ == "__main__":
    print(add.delay(1, 2).result())
