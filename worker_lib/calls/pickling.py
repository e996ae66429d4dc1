"""Calls and outcomes as bytes, before they are signed and after they are verified.

A function of an importable module travels as its name, since the machine runs the
same image; one of `__main__`, a lambda or a closure travels by value, as code that
is stored once per content. What is loaded here must have been verified first.
"""

from __future__ import annotations

import sys

from worker_lib.errors import (
    ArgumentsNotEncodable,
    JobFailed,
    PayloadError,
    TaskNotRegistered,
)
from worker_lib.printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Sequence
    from typing import Any, NamedTuple, TypeAlias

    from worker_lib.errors import FailureKind
    from worker_lib.retry import Retry

    # Pieces are bytes in a row: to put large ones together is left to who sends them.
    Body: TypeAlias = bytes | list[bytes]
else:
    # The part of `pickle` that is written in C: the other one is not needed, and
    # imports `re`, so a machine's cold start would be 4 ms longer.
    import _pickle as pickle

    from worker_lib.records import NamedTuple

__all__ = [
    "Call",
    "Failure",
    "NotPicklable",
    "bare",
    "describe",
    "dump_call",
    "dump_code",
    "dump_failure",
    "dump_value",
    "load_call",
    "load_code",
    "load_outcome",
    "rebuild",
    "reference",
    "resolve",
    "shortened",
    "whole",
    "with_arguments",
]

# Before a call whose arguments were replaced; no pickle begins so.
_REPLACED = b"\0"
_LENGTH_BYTES = 8
_MAX_TEXT = 10_000
_MAX_EXCEPTION_BYTES = 100_000


class Call(NamedTuple):
    """What a machine needs to run a call, besides its function.

    Attributes:
        generation: As `CurrentJob.generation`.
        queue: In which it was stored.
        headers: As `CurrentJob.headers`; None if there are none.
        items: Above 0 this is a chunk of so many calls; see `chunks`.
    """

    args: Sequence[Any]
    kwargs: dict[str, Any]
    retry: Retry | None
    generation: int = 1
    queue: str = ""
    headers: dict[str, str] | None = None
    items: int = 0


class NotPicklable(ArgumentsNotEncodable, pickle.PicklingError):
    """The same for who expects the error of `pickle`, as from a process pool."""


class Failure(NamedTuple):
    """What ended an attempt.

    Attributes:
        kind: See `JobFailed.kind`.
        message: One line, no traceback.
        remote_type: Qualified name of the exception's class, or "".
        remote_traceback: Its traceback as text, or "".
        exception: The exception itself, pickled; b"" if it cannot be.
        rebuild_error: Why it cannot be, or "".
        exit_code: Of the process, if that ended: below zero the number of a signal.
    """

    kind: FailureKind
    message: str
    remote_type: str = ""
    remote_traceback: str = ""
    exception: bytes = b""
    rebuild_error: str = ""
    exit_code: int | None = None

    @property
    def summary(self) -> str:
        """The class and the message, as a traceback ends."""
        return ": ".join(part for part in (self.remote_type, self.message) if part)


def reference(function: Callable[..., Any]) -> str:
    """Return `module:name` if a machine can import the function, else ""."""
    module, name = function.__module__, function.__qualname__
    if module == "__main__" or "<" in name or module not in sys.modules:
        return ""
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if bare(found) is function else ""


def bare(found: Any) -> Any:
    """Return the function in a task, however it is bound; anything else as it is."""
    return getattr(found, "_fly_function", found)


def resolve(name: str) -> Callable[..., Any]:
    """Return the function that `module:name` stands for.

    Raises:
        TaskNotRegistered: this image has no such module or name.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = __import__(module, fromlist=["__name__"])
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise TaskNotRegistered(
            f"this image has no task {name} ({type(error).__name__}: {error}): deploy "
            "the image that has it, or correct WORKER_IMAGE"
        ) from error
    function: Callable[..., Any] = bare(found)
    return function


def dump_call(name: str, call: Call, *, bound: int = 0) -> Body:
    """Return a call as bytes.

    Args:
        bound: How many of the arguments are not the caller's: 1 for the instance.

    Raises:
        ArgumentsNotEncodable: the message names the argument that cannot be pickled.
    """
    try:
        return _dumps(tuple(call))
    except Exception as error:
        raise NotPicklable(_blame(name, call, error, bound)) from error


def load_call(body: bytes | bytearray) -> Call:
    """Return the call of verified bytes."""
    if body[:1] != _REPLACED:
        return Call(*pickle.loads(body))
    first, arguments = _split(body)
    args, kwargs = pickle.loads(arguments)
    return Call(*pickle.loads(first))._replace(args=args, kwargs=kwargs)


def with_arguments(
    name: str, body: bytes | bytearray, args: Sequence[Any], kwargs: dict[str, Any]
) -> bytes:
    """Return a call with other arguments as bytes; the call itself is not loaded.

    Args:
        name: Of the task.
        body: Of the call, as it was dumped.
        args: Instead of its positional arguments.
        kwargs: Instead of the others.

    Raises:
        ArgumentsNotEncodable: as by `dump_call`.
    """
    first = _split(body)[0] if body[:1] == _REPLACED else body
    try:
        arguments = whole(_dumps((tuple(args), kwargs)))
    except Exception as error:
        call = Call(args, kwargs, None)
        raise NotPicklable(_blame(name, call, error, 0)) from error
    return b"".join(
        (_REPLACED, len(first).to_bytes(_LENGTH_BYTES, "big"), first, arguments)
    )


def _split(body: bytes | bytearray) -> tuple[bytes | bytearray, bytes | bytearray]:
    """Return a call as it was first, and the arguments that it has now."""
    begin = len(_REPLACED) + _LENGTH_BYTES
    end = begin + int.from_bytes(body[len(_REPLACED) : begin], "big")
    return body[begin:end], body[end:]


def dump_code(function: Callable[..., Any]) -> bytes:
    """Return a function by value.

    Raises:
        ArgumentsNotEncodable: it refers to something that cannot be pickled.
    """
    try:
        return whole(_dumps(function))
    except Exception as error:
        raise NotPicklable(
            f"the function {function.__qualname__} cannot be sent to a machine, "
            f"because it refers to something that cannot be pickled ({error}): create "
            "that inside the function, or move the function to a module of its own"
        ) from error


def whole(body: Body) -> bytes:
    """Return what was dumped as one piece."""
    return body if isinstance(body, bytes) else b"".join(body)


def load_code(body: bytes | bytearray) -> Callable[..., Any]:
    """Return the function of verified bytes."""
    function: Callable[..., Any] = pickle.loads(body)
    return function


def dump_value(value: object, task: str = "the task") -> Body:
    """Return a successful outcome of this task as bytes.

    Raises:
        PayloadError: the value cannot be pickled.
    """
    try:
        return _dumps_cheaply((True, value))
    except Exception as error:
        raise PayloadError(
            f"{task} returned a {type(value).__name__}, which cannot be pickled "
            f"({error}): return plain data, or store it and return its key"
        ) from error


def describe(error: BaseException) -> Failure:
    """Return what can be told of an exception that a task raised; never raises."""
    import traceback  # noqa: PLC0415 - only after a failure

    kind = type(error)
    message = _text_of(error)
    try:
        shown = traceback.format_exception(kind, error, _users_part(error))
        text = "".join(shown)
    except Exception:  # noqa: BLE001 - it asks the user's __str__, too
        text = ""
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    data, rebuild_error = _dump_exception(error)
    return Failure(
        kind="error",
        message=_cut(message),
        remote_type=name,
        remote_traceback=_cut(text),
        exception=data,
        rebuild_error=rebuild_error,
    )


def dump_failure(failure: Failure) -> bytes:
    """Return a failed outcome as bytes; plain text, so it always can be."""
    safe = (_cut(part) if isinstance(part, str) else part for part in failure)
    return pickle.dumps((False, tuple(safe)))


def load_outcome(body: bytes | bytearray, job_id: str) -> tuple[bool, Any]:
    """Return (True, value) or (False, exception to raise) of verified bytes."""
    try:
        good, content = pickle.loads(body)
    except (Exception, SystemExit) as error:
        raise PayloadError(
            f"the result of job {job_id} cannot be loaded here ({error}): the program "
            "that reads it needs the same modules as the machine that made it"
        ) from error
    return (True, content) if good else (False, rebuild(Failure(*content), job_id))


def rebuild(failure: Failure, job_id: str) -> BaseException:
    """Return the exception to raise for a failure: the task's own if it can be had."""
    original, why = _load_exception(failure)
    told = failure.summary
    if why:
        told += f" ({failure.remote_type} itself cannot be raised here: {why})"
    failed = JobFailed.type_of(failure.kind)(
        printable(f"job {job_id} failed: {told}"),
        job_id=job_id,
        kind=failure.kind,
        remote_type=failure.remote_type,
        remote_traceback=printable(failure.remote_traceback),
        rebuild_error=why,
        exit_code=failure.exit_code,
    )
    if original is None:
        return failed
    if failure.kind == "refused":  # what was raised is not of the task's making
        failed.__cause__ = original
        return failed
    original.__cause__ = failed
    return original


def _load_exception(failure: Failure) -> tuple[Exception | None, str]:
    """Return the exception that a task raised, or None and why it cannot be had."""
    if not failure.exception:
        return None, failure.rebuild_error if failure.remote_type else ""
    try:
        original = pickle.loads(failure.exception)
    except Exception as error:  # noqa: BLE001 - its class may be unknown here
        return None, _why("it cannot be loaded here", error)
    if isinstance(original, Exception):
        return original, ""
    if isinstance(original, BaseException):
        # A KeyboardInterrupt or CancelledError of the task's is none of the reader's.
        return None, "it would end the program that waits for the job"
    return None, f"loaded, it is a {type(original).__name__}"


def _why(what: str, error: Exception) -> str:
    return printable(f"{what}: {type(error).__name__}: {_text_of(error)[:300]}")


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - the user's __str__ may do anything
        return f"(its __str__ raised {type(second).__name__})"


class _Pieces(list[bytes]):
    """A file that keeps what is written to it.

    Large bytes in a value are pieces as they are. `dumps` would copy them to a buffer
    that it makes larger and smaller again, which takes longer than all the rest.
    """

    write = list.append

    @property
    def body(self) -> Body:
        return self[0] if len(self) == 1 else self


def _dumps(value: object) -> Body:
    import cloudpickle  # noqa: PLC0415 - the machine rarely needs it

    pieces = _Pieces()
    cloudpickle.Pickler(pieces).dump(value)
    return pieces.body


def _dumps_cheaply(value: object) -> Body:
    # cloudpickle costs a machine tens of milliseconds to import. Where it has been
    # imported already it is used, since only it knows functions sent by value.
    if "cloudpickle" in sys.modules:
        return _dumps(value)
    pieces = _Pieces()
    try:
        pickle.Pickler(pieces).dump(value)
    except Exception:  # noqa: BLE001 - whatever pickle cannot do, try the other
        return _dumps(value)
    return pieces.body


def _dump_exception(error: BaseException) -> tuple[bytes, str]:
    """Return an exception as bytes, or b"" and why it cannot travel."""
    bare_error = error.with_traceback(None)
    try:
        data = whole(_dumps_cheaply(bare_error))
    except Exception as cause:  # noqa: BLE001 - it may hold anything
        return b"", _why("it cannot be pickled", cause)
    try:
        pickle.loads(data)
    except Exception as cause:  # noqa: BLE001 - many do not survive a round trip
        return b"", _why("its class cannot be made again from its args", cause)
    if len(data) > _MAX_EXCEPTION_BYTES:
        return (
            b"",
            f"it is {len(data):,} bytes, and {_MAX_EXCEPTION_BYTES:,} may travel",
        )
    return data, ""


def _users_part(error: BaseException) -> Any:
    trace = error.__traceback__
    while trace is not None and "worker_lib" in trace.tb_frame.f_code.co_filename:
        if trace.tb_next is None:
            break
        trace = trace.tb_next
    return trace


def _blame(name: str, call: Call, error: Exception, bound: int) -> str:
    if call.items:
        return _blame_item(name, call, error, bound)
    for label, value in [*enumerate(call.args, 1 - bound), *call.kwargs.items()]:
        try:
            _dumps(value)
        except Exception as found:  # noqa: BLE001 - any failure names the culprit
            which = f"argument {label!r}" if label else "the instance"
            what = f"{which} of {name} is a {type(value).__name__}"
            return (
                f"{what}, which cannot be pickled ({found}): pass plain data, "
                "and open files, locks and connections inside the task"
            )
    return f"the call of {name} cannot be pickled ({error})"


def _blame_item(name: str, call: Call, error: Exception, bound: int) -> str:
    for args in call.args:
        one = call._replace(args=args, items=0)
        try:
            _dumps(tuple(one))
        except Exception as found:  # noqa: BLE001 - any failure names the culprit
            return _blame(name, one, found, bound)
    return f"a chunk of calls of {name} cannot be pickled ({error})"


def shortened(text: str, most: int) -> str:
    """Return a text, without its middle if it has more characters than `most`."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - most} characters cut …\n{text[-half:]}"


def _cut(text: str) -> str:
    return shortened(text.encode("utf-8", "backslashreplace").decode(), _MAX_TEXT)
