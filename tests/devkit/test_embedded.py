"""Embedded servers, run as the users that a machine may offer."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from devkit import postgres
from devkit.embedded import embedded
from devkit.locks import Claimed
from devkit.postgres import start_postgres
from devkit.servers import EmbeddedFailed, free_port
from devkit.valkey import start_valkey
from tests.devkit.processes import Who, await_nothing, line_of, mentioning, program

pytestmark = pytest.mark.processes

HOLD = """
import sys, time
from pathlib import Path
from devkit import embedded, postgres
folder, identity, end = sys.argv[1:]
postgres.ROOT_BECOMES = (identity,)
with embedded.embedded(Path(folder), volatile=True) as servers:
    print("READY", servers.postgres_url, servers.redis_url, servers.postgres.child.pid, flush=True)
    if end == "error":
        raise SystemExit("something went wrong")
    while end == "hold":
        time.sleep(1)
"""


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, "error", "return"])
def test_nothing_survives_the_program(who: Who, home: Path, end: signal.Signals | str) -> None:
    mode = "hold" if isinstance(end, signal.Signals) else end
    with program(HOLD, home, who.identity, mode, who=who) as process:
        postgres_url, redis_url, pid = line_of(process, "READY").split()
        if isinstance(end, signal.Signals):
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
                connection.execute("INSERT INTO kept VALUES (%s)", [end.name])
            assert redis.Redis.from_url(redis_url).ping()
            assert Path(f"/proc/{pid}").stat().st_uid == (
                0 if who.identity == "userns" else 65534 if os.geteuid() == 0 else os.geteuid()
            )
            assert mentioning(str(home))
            process.send_signal(end)
        process.wait(30)
        assert await_nothing(str(home)) == []


def test_second_start_uses_data_and_port_again(who: Who, home: Path) -> None:
    with program(HOLD, home, who.identity, "hold", who=who) as process:
        first, _, _ = line_of(process, "READY").split()
        with psycopg.connect(first, autocommit=True) as connection:
            connection.execute("CREATE TABLE again (word text)")
    assert await_nothing(str(home)) == []
    with program(HOLD, home, who.identity, "hold", who=who) as process:
        second, _, _ = line_of(process, "READY").split()
        assert second == first
        with psycopg.connect(second) as connection:
            assert connection.execute("SELECT count(*) FROM again").fetchone() == (0,)
    assert await_nothing(str(home)) == []


def test_nothing_survives_when_the_guards_are_killed_too(who: Who, home: Path) -> None:
    with program(HOLD, home, who.identity, "hold", who=who) as process:
        line_of(process, "READY")
        os.kill(process.pid, signal.SIGSTOP)  # So that it cannot clean up behind the guards.
        for pid in _children(process.pid):
            os.kill(pid, signal.SIGKILL)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        assert await_nothing(str(home)) == []


def _children(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent_of(entry) == pid]


def _parent_of(entry: Path) -> int | None:
    """The parent of a process, None when it has ended while one looked."""
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_folder_that_nobody_can_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root hands its servers to nobody")
    monkeypatch.setattr(postgres, "ROOT_BECOMES", ("nobody",))
    tmp_path.chmod(0o700)
    server = start_postgres(tmp_path, volatile=True)
    outside = Path(f"/proc/{server.child.pid}/cwd").readlink().parents[1]
    try:
        assert outside.parent == Path("/var/tmp")
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        server.stop()
        server = start_postgres(tmp_path, volatile=True)
        assert server.child.alive
    finally:
        server.stop()
        shutil.rmtree(outside)


def test_data_follow_a_change_of_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs its servers as somebody else")
    url = ""
    for identity in ("userns", "nobody", "userns"):
        monkeypatch.setattr(postgres, "ROOT_BECOMES", (identity,))
        with embedded(_reachable(tmp_path), volatile=True) as servers:
            assert servers.postgres_url == (url or servers.postgres_url)
            url = servers.postgres_url
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS kept ()")


def _reachable(folder: Path) -> Path:
    for place in (folder, *folder.parents[:3]):
        place.chmod(place.stat().st_mode | 0o711)
    return folder


def test_taken_port_is_left_to_its_owner(tmp_path: Path) -> None:
    with embedded(tmp_path, volatile=True) as servers:
        ports = servers.postgres.port, servers.valkey.port
    with socket.socket() as first, socket.socket() as second:
        for listener, port in zip((first, second), ports, strict=True):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen()
        with embedded(tmp_path, volatile=True) as servers:
            assert servers.postgres.port not in ports
            assert servers.valkey.port not in ports
            assert redis.Redis.from_url(servers.redis_url).ping()


def test_port_taken_between_look_and_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        ports = iter([taken, taken])
        choose = free_port
        monkeypatch.setattr("devkit.servers.free_port", lambda: next(ports, None) or choose())
        with embedded(tmp_path, volatile=True) as servers:
            assert taken not in (servers.postgres.port, servers.valkey.port)
            with psycopg.connect(servers.postgres_url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


def test_folder_in_use_says_by_whom(tmp_path: Path) -> None:
    with embedded(tmp_path, volatile=True):
        with pytest.raises(Claimed, match=f"process {os.getpid()}"):
            start_postgres(tmp_path)
        with pytest.raises(Claimed, match="Valkey"):
            start_valkey(tmp_path)


def test_killed_servers_come_back_with_data_and_port(tmp_path: Path) -> None:
    with embedded(tmp_path) as servers:
        with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept ()")
        for server in (servers.postgres, servers.valkey):
            server.kill()
            assert not server.child.alive
            server.start()
        with psycopg.connect(servers.postgres_url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert redis.Redis.from_url(servers.redis_url).ping()


def test_stale_pid_file_of_another_program(tmp_path: Path) -> None:
    server = start_postgres(tmp_path, volatile=True)
    pid_file = Path(f"/proc/{server.child.pid}/cwd").readlink() / "postmaster.pid"
    server.kill()
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    server.start()
    server.stop()


def test_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data.new" / "base").mkdir(parents=True)
    server = start_postgres(tmp_path, volatile=True)
    server.stop()
    assert not (tmp_path / "postgres" / "data.new").exists()


def test_lost_password_and_foreign_version_are_explained(tmp_path: Path) -> None:
    start_postgres(tmp_path, volatile=True).stop()
    secret = tmp_path / "postgres" / "password"
    word = secret.read_text()
    secret.unlink()
    with pytest.raises(EmbeddedFailed, match="is missing"):
        start_postgres(tmp_path)
    secret.write_text(word)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedFailed, match="holds PostgreSQL 17"):
        start_postgres(tmp_path)


def test_bad_setting_shows_what_the_server_said(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedFailed, match="max_connections"):
        start_postgres(tmp_path, settings={"max_connections": "many"})
    assert await_nothing(str(tmp_path)) == []


def test_servers_want_their_passwords_and_listen_on_loopback_only(tmp_path: Path) -> None:
    with embedded(tmp_path, volatile=True, settings={"work_mem": "5MB"}) as servers:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(servers.postgres.url(password="guess")).close()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=servers.valkey.port, retry=Retry(NoBackoff(), 0)).ping()
        with psycopg.connect(servers.postgres_url) as connection:
            shown = [_show(connection, name) for name in ("listen_addresses", "max_locks_per_transaction", "work_mem")]
            assert shown == ["127.0.0.1", "512", "5MB"]
            assert _show(connection, "server_version").startswith("18.")
        assert redis.Redis.from_url(servers.redis_url).config_get("bind") == {"bind": "127.0.0.1"}
    secrets = list(tmp_path.rglob("password"))
    assert len(secrets) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in [*secrets, tmp_path / "valkey" / "valkey.conf"])


def _show(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute(f"SHOW {name}").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("persistent", [True, False])
def test_valkey_forgets_unless_told(tmp_path: Path, persistent: bool) -> None:
    server = start_valkey(tmp_path, persistent=persistent)
    redis.Redis.from_url(server.url()).set("word", "kept")
    server.stop()
    server = start_valkey(tmp_path, persistent=persistent)
    try:
        assert redis.Redis.from_url(server.url()).get("word") == (b"kept" if persistent else None)
    finally:
        server.stop()


def test_owner_that_died_is_waited_for(tmp_path: Path, who_ever: Who) -> None:
    """Remains of a killed program may hold the folder for a moment; the next start is patient with them."""
    with program(HOLD, tmp_path, who_ever.identity, "hold", who=who_ever) as process:
        line_of(process, "READY")
        process.kill()
        process.wait()
        server = start_postgres(tmp_path, volatile=True)
        server.stop()
    assert await_nothing(str(tmp_path)) == []
