"""What runs in a machine: environment, files, memory, signals to every process."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from worker_lib.emulator import HostImage

from .client import SLEEP, on_every_runtime, python, shell

if TYPE_CHECKING:
    from .client import Api
    from .conftest import StartEmulator

SHOW_ENV = python("import json, os; print(json.dumps(dict(os.environ)))")
HOG = (
    "hog = bytearray({mb} << 20); import time; "
    "print('full', flush=True); time.sleep(60)"
)


def env_of(api: Api, **config: Any) -> dict[str, str]:
    """Run a machine to its end and return the environment it saw."""
    machine_id = api.create(SHOW_ENV, **config)["id"]
    api.wait(machine_id, "stopped")
    env: dict[str, str] = json.loads(api.log(machine_id))
    return env


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@on_every_runtime
def test_a_machine_finds_fly_s_variables(api: Api) -> None:
    """Every documented one is there and matches the machine."""
    view = api.create(SHOW_ENV, top={"region": "fra"}, guest={"memory_mb": 512})
    api.wait(view["id"], "stopped")

    env = json.loads(api.log(view["id"]))

    expected = {
        "FLY_APP_NAME": "demo",
        "FLY_MACHINE_ID": view["id"],
        "FLY_ALLOC_ID": view["id"],
        "FLY_MACHINE_VERSION": view["instance_id"],
        "FLY_REGION": "fra",
        "FLY_PRIVATE_IP": view["private_ip"],
        "FLY_IMAGE_REF": view["config"]["image"],
        "FLY_VM_MEMORY_MB": "512",
    }
    assert expected == {name: env[name] for name in expected}
    assert env["FLY_PUBLIC_IP"]


def test_a_machine_inherits_nothing_but_the_base_environment(
    start_emulator: StartEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets the image's variables only; `env` overrides them."""
    monkeypatch.setenv("NOT_FOR_MACHINES", "1")
    base_env = {"PATH": os.defpath, "FROM_IMAGE": "1", "A": "base"}
    env = env_of(
        start_emulator(host_image=lambda _: HostImage(env=base_env)),
        env={"A": "config"},
    )

    assert "NOT_FOR_MACHINES" not in env
    assert ("1", "config") == (env["FROM_IMAGE"], env["A"])


@on_every_runtime
def test_secrets_beat_the_config_and_fly_s_variables_beat_both(api: Api) -> None:
    """Env, secrets, Fly: the later one wins."""
    api.emulator.set_secrets("demo", {"C": "secret", "FLY_REGION": "secret"})

    env = env_of(api, env={"B": "config", "C": "config", "FLY_REGION": "config"})

    expected = ("config", "secret", "iad")
    assert expected == (env["B"], env["C"], env["FLY_REGION"])


@on_every_runtime
def test_secrets_can_be_left_out(api: Api) -> None:
    """A process with `ignore_app_secrets` does not see them."""
    api.emulator.set_secrets("demo", {"HIDDEN": "secret"})
    process = {"cmd": SHOW_ENV, "ignore_app_secrets": True, "env": {"OWN": "1"}}

    env = env_of(api, init={}, processes=[process])

    assert "HIDDEN" not in env
    assert "1" == env["OWN"]


@on_every_runtime
@pytest.mark.parametrize(
    "config",
    [
        {"init": {"exec": ["echo", "right"], "cmd": ["echo", "wrong"]}},
        {"init": {"entrypoint": ["echo"], "cmd": ["right"]}},
        {"init": {"cmd": ["echo", "right"]}},
        {"init": {}, "processes": [{"entrypoint": ["echo"], "cmd": ["right"]}]},
        {"init": {}, "processes": [{"exec": ["echo", "right"]}]},
    ],
)
def test_the_command_is_found_in_fly_s_order(api: Api, config: dict[str, Any]) -> None:
    """`init.exec`, else entrypoint and cmd, else the first process."""
    machine_id = api.create(**config)["id"]
    api.wait(machine_id, "stopped")

    assert "right\n" == api.log(machine_id)


def test_python_is_the_interpreter_of_the_emulator(api: Api) -> None:
    """The present interpreter stands for the image's."""
    machine_id = api.create(python("import sys; print(sys.executable)"))["id"]
    api.wait(machine_id, "stopped")

    assert sys.executable == api.log(machine_id).strip()


def test_a_machine_works_in_the_project_s_directory(api: Api, tmp_path: Path) -> None:
    """`project_dir` is the working directory."""
    machine_id = api.create(["pwd"])["id"]
    api.wait(machine_id, "stopped")

    assert str(tmp_path) == api.log(machine_id).strip()


@on_every_runtime
def test_output_and_errors_of_every_run_are_in_one_log(api: Api) -> None:
    """The log goes on over restarts and outlives the machine."""
    machine_id = api.create(shell("echo out; echo err >&2"))["id"]
    api.wait(machine_id, "stopped")
    api.post(machine_id, "start")
    api.wait(machine_id, "stopped")
    api.destroy(machine_id)

    assert ["err", "err", "out", "out"] == sorted(api.log(machine_id).split())


@pytest.mark.parametrize("machine_id", ["0123456789abcd", "..%2Fx", "x"])
def test_a_log_that_is_not_there_is_not_found(api: Api, machine_id: str) -> None:
    """404, also for what is no id at all."""
    reply = api.call("GET", f"/_emulator/machines/{machine_id}/log")

    assert 404 == reply.status_code


def test_files_are_written_below_the_machine_s_own_root(api: Api) -> None:
    """Content, mode and a secret's content; never at the path itself."""
    api.emulator.set_secrets("demo", {"KEY": base64.b64encode(b"secret").decode()})
    files = [
        {
            "guest_path": "/etc/../app/a.txt",
            "raw_value": base64.b64encode(b"plain").decode(),
            "mode": 0o600,
        },
        {"guest_path": "/app/b.txt", "secret_name": "KEY"},
    ]
    show = "cat etc/app/a.txt app/b.txt; stat -c %a etc/app/a.txt"
    script = f"cd $WORKER_LIB_MACHINE_ROOT; {show}"

    machine_id = api.create(shell(script), files=files)["id"]
    api.wait(machine_id, "stopped")

    assert "plainsecret600\n" == api.log(machine_id)


@on_every_runtime
def test_children_in_their_own_groups_and_sessions_die_with_the_machine(
    api: Api, runtime: str
) -> None:
    """A group of its own or a session of its own is no way out."""
    code = (
        "import os, subprocess as s, time\n"
        "a = s.Popen(['sleep', '60'], process_group=0)\n"
        "b = s.Popen(['sleep', '60'], start_new_session=True)\n"
        "print(a.pid, b.pid, 'ready', flush=True); time.sleep(60)"
    )
    machine_id = api.create(python(code))["id"]
    pids = [int(word) for word in api.printed(machine_id, "ready").split()[:2]]
    if "docker" == runtime:  # they have other numbers in there than here
        pids = [p["pid"] for p in api.call("GET", f"machines/{machine_id}/ps").json()]
    assert len(pids) >= 2
    assert all(map(is_alive, pids))

    api.destroy(machine_id)
    api.wait(machine_id, "destroyed")

    assert not any(map(is_alive, pids))


def test_what_the_main_process_leaves_behind_dies_with_it(api: Api) -> None:
    """A machine is over when its main process is."""
    machine_id = api.create(shell("sleep 60 & echo $! ready"))["id"]
    api.wait(machine_id, "stopped")

    assert not is_alive(int(api.log(machine_id).split()[0]))


@on_every_runtime
def test_a_machine_over_its_memory_is_killed(api: Api) -> None:
    """The main process is the only one: 137 and `oom_killed`."""
    machine_id = api.create(python(HOG.format(mb=320)), guest={"memory_mb": 256})["id"]
    api.wait(machine_id, "stopped")

    event = api.exit_event(machine_id)

    assert (137, True) == (event["exit_code"], event["oom_killed"])
    assert "Out of memory: Killed process" in api.log(machine_id)


@on_every_runtime
def test_a_child_over_the_memory_dies_and_the_machine_lives_on(api: Api) -> None:
    """The largest process is killed; the exit event remembers it."""
    code = (
        "import subprocess as s, sys\n"
        f"r = s.run([sys.executable, '-c', {HOG.format(mb=320)!r}]).returncode\n"
        "print('child', r)"
    )
    machine_id = api.create(python(code), guest={"memory_mb": 256})["id"]
    api.wait(machine_id, "stopped")

    event = api.exit_event(machine_id)

    assert "child -9" in api.log(machine_id)
    assert (0, True) == (event["exit_code"], event["oom_killed"])


@on_every_runtime
def test_memory_that_forked_children_share_counts_once(api: Api) -> None:
    """Three processes with the same 150 MB fit into 256."""
    code = (
        "import os, time\n"
        "hog = bytearray(b'x') * (150 << 20)\n"
        "os.fork() and os.fork()\n"
        "print('forked', flush=True); time.sleep(0.4)"
    )
    machine_id = api.create(python(code), guest={"memory_mb": 256})["id"]
    api.wait(machine_id, "stopped")

    assert not api.exit_event(machine_id)["oom_killed"]


@on_every_runtime
def test_an_oom_kill_is_not_remembered_by_the_next_run(api: Api) -> None:
    """Each run answers for itself."""
    code = f"import os; os.environ.get('CALM') and os._exit(0); {HOG.format(mb=320)}"
    view = api.create(python(code), guest={"memory_mb": 256})
    machine_id = view["id"]
    api.wait(machine_id, "stopped")
    calm = {"config": {**view["config"], "env": {"CALM": "1"}}}
    version = api.call("POST", f"machines/{machine_id}", json=calm).json()["version"]
    path = f"machines/{machine_id}/wait?state=stopped&version={version}"
    assert 200 == api.call("GET", path).status_code

    newest, older = (
        event["request"]["exit_event"]["oom_killed"]
        for event in api.get(machine_id)["events"]
        if "exit" == event["type"]
    )

    assert (False, True) == (newest, older)


@on_every_runtime
def test_a_suspended_machine_stands_still_and_then_goes_on(api: Api) -> None:
    """Every process is stopped by suspend, and resumed by start."""
    ticker = "while :; do echo tick; sleep 0.01; done"
    machine_id = api.create(shell(f"({ticker}) & {ticker}"))["id"]
    api.printed(machine_id, "tick")

    assert {"ok": True} == api.post(machine_id, "suspend").json()

    assert "suspended" == api.get(machine_id)["state"]
    frozen = api.log(machine_id)
    time.sleep(0.1)
    assert frozen == api.log(machine_id)
    assert "suspended" == api.post(machine_id, "start").json()["previous_state"]
    assert "started" == api.get(machine_id)["state"]
    until(lambda: frozen != api.log(machine_id))
    expected = [
        *("suspend/suspending/user", "suspend/suspended/flyd"),
        *("start/starting/user", "start/started/flyd"),
    ]
    assert expected == api.steps(machine_id)[-4:]


@on_every_runtime
def test_only_a_running_machine_can_be_suspended(api: Api) -> None:
    """412 otherwise."""
    machine_id = api.prepare()

    assert 412 == api.post(machine_id, "suspend").status_code


@on_every_runtime
def test_stopping_a_suspended_machine_ends_it_at_once(api: Api) -> None:
    """Its snapshot is dropped; no grace is waited for."""
    machine_id = api.run()
    api.post(machine_id, "suspend")

    api.post(machine_id, "stop", timeout="60s")

    assert "stopped" == api.wait(machine_id, "stopped")["state"]


@on_every_runtime
def test_a_suspended_machine_is_destroyed_without_force(api: Api) -> None:
    """It is not running."""
    machine_id = api.run()
    api.post(machine_id, "suspend")

    assert 200 == api.call("DELETE", f"machines/{machine_id}").status_code
    assert "destroyed" == api.wait(machine_id, "destroyed")["state"]


@on_every_runtime
def test_exec_runs_a_command_in_the_machine(api: Api) -> None:
    """Input, output, errors, code and the machine's environment."""
    machine_id = api.run(env={"WORD": "hello"})
    command = shell("cat; echo $WORD; echo err >&2; exit 3")

    body = api.post(machine_id, "exec", command=command, stdin="in ").json()

    expected = {
        "exit_code": 3,
        "exit_signal": 0,
        "stdout": "in hello\n",
        "stderr": "err\n",
    }
    assert expected == body


@on_every_runtime
def test_exec_takes_the_old_form_of_a_command(api: Api) -> None:
    """`cmd` is one string."""
    machine_id = api.run()

    assert "a b\n" == api.post(machine_id, "exec", cmd="echo 'a b'").json()["stdout"]


@on_every_runtime
def test_exec_ends_a_command_that_takes_too_long(api: Api) -> None:
    """After `timeout` seconds it is killed, and the reply says so."""
    machine_id = api.run()

    body = api.post(machine_id, "exec", command=SLEEP, timeout=1).json()

    assert signal.SIGKILL == body["exit_signal"]


@on_every_runtime
@pytest.mark.parametrize("command", [[], ["/no/such"], [1]])
def test_exec_refuses_what_cannot_be_executed(api: Api, command: list[Any]) -> None:
    """400."""
    machine_id = api.run()

    assert 400 == api.post(machine_id, "exec", command=command).status_code


@on_every_runtime
def test_ps_lists_the_processes(api: Api) -> None:
    """Each with command, directory and memory; sorted as asked."""
    machine_id = api.create(shell("sleep 60 & echo ready; wait"))["id"]
    api.printed(machine_id, "ready")
    path = f"machines/{machine_id}/ps?sort_by=command&order=desc"

    def commands() -> list[str]:
        return [process["command"] for process in api.call("GET", path).json()]

    first, second = until(lambda: found if "sleep 60" in (found := commands()) else [])
    assert first.startswith("sleep 60")
    assert second.startswith("/bin/sh -c")
    assert api.call("GET", path).json()[0]["rss"] > 0


def test_ps_refuses_to_sort_by_nonsense(api: Api) -> None:
    """400."""
    machine_id = api.create()["id"]

    assert 400 == api.call("GET", f"machines/{machine_id}/ps?sort_by=x").status_code
