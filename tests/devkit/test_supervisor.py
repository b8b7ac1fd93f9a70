"""Processes under supervision: small programs stand for the platform's."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devkit.children import Child, ChildFailed
from devkit.servers import free_port
from devkit.supervisor import HttpAnswers, LogSays, Probe, ProcessFailed, Program, Supervisor, TcpAccepts
from tests.devkit.processes import Who, await_nothing, line_of, mentioning, program

pytestmark = pytest.mark.processes

SERVER = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ.get("STATUS", 404)))
        self.end_headers()
    def log_message(self, *arguments):
        pass
print("serving", os.environ.get("WORD"), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
# Has children of its own, one of which leaves the session and ignores polite signals, as a daemon would.
FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("grandchild", flush=True)
    time.sleep(600)
time.sleep(600)
"""


STOP = 1.0


def python(source: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", source, *map(str, arguments)]


def make(name: str, command: list[str], ready: Probe, *, folder: Path, stage: int = 0, **env: str) -> Program:
    marks = {**os.environ, **env, "FOLDER": str(folder)}
    return Program(name, command, marks, ready, stage=stage, stop=((signal.SIGTERM, STOP),))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "logs") as supervisor:
        yield supervisor
    assert mentioning(str(tmp_path)) == []


def test_each_probe_waits_until_the_process_can_be_used(processes: Supervisor, tmp_path: Path) -> None:
    http, tcp = free_port(), free_port()
    processes.start(
        [
            make("http", python(SERVER, http), HttpAnswers(http), folder=tmp_path),
            make("tcp", python(SERVER, tcp), TcpAccepts(tcp), folder=tmp_path),
            make("log", python(FAMILY), LogSays("grandchild"), folder=tmp_path),
        ]
    )
    for port in (http, tcp):
        socket.create_connection(("127.0.0.1", port)).close()
    assert all(processes.alive(name) for name in ("http", "tcp", "log"))
    assert "serving" in processes.log("http").read_text()


def test_a_process_sees_the_environment_it_was_given_and_no_other(processes: Supervisor, tmp_path: Path) -> None:
    os.environ["LEAKED"] = "yes"
    try:
        show = "import os; print('WORD', os.environ['WORD'], 'LEAKED' in os.environ, flush=True); input()"
        bare = Program(
            "bare",
            python("import time;" + show.replace("input()", "time.sleep(600)")),
            {"WORD": "mine"},
            LogSays("WORD"),
        )
        processes.start([bare])
    finally:
        del os.environ["LEAKED"]
    assert "WORD mine False" in processes.log("bare").read_text()


def test_killed_process_comes_back(processes: Supervisor, tmp_path: Path) -> None:
    port = free_port()
    processes.start([make("api", python(SERVER, port), HttpAnswers(port), folder=tmp_path)])
    first = processes.pid("api")
    processes.kill("api")
    assert not processes.alive("api")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))
    processes.restart("api")
    assert processes.pid("api") != first
    socket.create_connection(("127.0.0.1", port)).close()
    assert processes.fallen() == []


def test_other_signals_reach_the_process(processes: Supervisor, tmp_path: Path) -> None:
    stubborn = (
        "import signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('got it', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(1)"
    )
    processes.start([make("one", python(stubborn), LogSays("up"), folder=tmp_path)])
    processes.kill("one", signal.SIGUSR1)
    deadline = time.monotonic() + 20
    while "got it" not in processes.log("one").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "got it" in processes.log("one").read_text()
    assert processes.alive("one")


def test_fall_is_noticed_once(processes: Supervisor, tmp_path: Path) -> None:
    processes.start([make("one", python(FAMILY), LogSays("grandchild"), folder=tmp_path)])
    os.kill(processes.pid("one"), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not (fallen := processes.fallen()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert fallen == ["one"]
    assert processes.fallen() == []
    assert mentioning(str(tmp_path)) == []


def test_stages_stop_downwards(tmp_path: Path) -> None:
    note = (
        "import signal, sys, time\n"
        "def end(*_): print('stopped', time.monotonic_ns(), flush=True); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('started', time.monotonic_ns(), flush=True)\n"
        "while True: time.sleep(1)"
    )
    with Supervisor(tmp_path) as processes:
        high = make("high", python(note), LogSays("started"), folder=tmp_path, stage=2)
        low = make("low", python(note), LogSays("started"), folder=tmp_path, stage=1)
        processes.start([high, low])
    stopped = {
        name: int((tmp_path / f"{name}.log").read_text().splitlines()[-1].removeprefix("stopped "))
        for name in ("low", "high")
    }
    assert stopped["high"] < stopped["low"]


def test_process_that_ends_while_starting_shows_its_log(processes: Supervisor, tmp_path: Path) -> None:
    broken = make("one", python("raise SystemExit('no such thing as a port')"), LogSays("never"), folder=tmp_path)
    with pytest.raises(ProcessFailed, match="no such thing as a port"):
        processes.start([broken])


def test_port_of_another_program_is_not_taken_for_ready(processes: Supervisor, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ProcessFailed, match=f"port {port} is taken"):
            processes.start([make("one", python(SERVER, port), TcpAccepts(port), folder=tmp_path)])


def test_command_that_does_not_exist(processes: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="No such file"):
        processes.start([make("one", ["/no/such/program"], LogSays("x"), folder=tmp_path)])
    with pytest.raises(ProcessFailed, match="there is no process 'one'"):
        processes.alive("one")


def test_never_ready_is_told_in_the_end(processes: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devkit.supervisor.READY_SECONDS", 0.3)
    with pytest.raises(ProcessFailed, match="not ready"):
        processes.start([make("one", python(FAMILY), LogSays("never"), folder=tmp_path)])


SUPERVISE = """
import sys, time
from pathlib import Path
from tests.devkit.test_supervisor import FAMILY, SERVER, LogSays, make, python
from devkit.supervisor import Supervisor
folder, end = Path(sys.argv[1]), sys.argv[2]
with Supervisor(folder) as processes:
    processes.start([make(name, python(FAMILY), LogSays("grandchild"), folder=folder) for name in ("a", "b")])
    print("READY", flush=True)
    if end == "error":
        raise RuntimeError("something went wrong")
    while True:
        time.sleep(1)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, "error"])
def test_nothing_survives_the_supervisor(tmp_path: Path, who_ever: Who, end: signal.Signals | str) -> None:
    with program(SUPERVISE, tmp_path, end if isinstance(end, str) else "hold", who=who_ever) as process:
        line_of(process, "READY")
        if isinstance(end, signal.Signals):
            assert len(mentioning(str(tmp_path))) > 6
            process.send_signal(end)
        process.wait(30)
        assert await_nothing(str(tmp_path)) == []


def test_second_interrupt_ends_an_orderly_stop_at_once(tmp_path: Path, who_ever: Who) -> None:
    patient = SUPERVISE.replace(
        "processes.start(", "import tests.devkit.test_supervisor as t; t.STOP = 600; processes.start("
    )
    with program(patient, tmp_path, "hold", who=who_ever) as process:
        line_of(process, "READY")
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert await_nothing(str(tmp_path)) == []


def test_guard_that_is_killed_takes_the_family_along(tmp_path: Path) -> None:
    child = Child.start(
        python(FAMILY), name="one", log=tmp_path / "one.log", env={**os.environ, "FOLDER": str(tmp_path)}
    )
    with pytest.raises(ChildFailed, match="still running"):
        child.wait(0.1)
    guard = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert child.stop() == -signal.SIGKILL


def test_long_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devkit.children.LOG_LIMIT_BYTES", 10)
    log = tmp_path / "one.log"
    log.write_text("from the last run, and rather long")
    child = Child.start(python("print('new')"), name="one", log=log)
    assert child.wait() == 0
    assert log.read_text() == "new\n"
    assert (tmp_path / "one.log.1").read_text().startswith("from the last run")
