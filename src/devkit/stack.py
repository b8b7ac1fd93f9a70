"""The whole platform on one machine, as real processes.

with Stack(Path(".keystead")).up() as stack:
    print(stack.base_url)
    stack.kill("worker")
    stack.restart("worker")
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from devkit import children, configuration
from devkit.children import ChildFailed
from devkit.configuration import Configuration, Databases, Ports
from devkit.postgres import start_postgres
from devkit.servers import Server
from devkit.supervisor import HttpAnswers, LogSays, ProcessFailed, Program, Supervisor, TcpAccepts
from devkit.valkey import start_valkey

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("sandbox", "matcher", "relay", "worker", "provisioner", "api", "gateway")
# What decides how the tables look: as long as none of it has changed, a database once prepared is ready.
SCHEMA_SOURCES = (
    "src/engine/tenancy/**/*.py",
    "src/*/*/migrations/*.py",
    "shared/*/migrations/*.py",
    "tenants/*/migrations/*.py",
    "provisioning/**/*.py",
    "provisioning/baked/*",
)
COMMAND_SECONDS = 300.0


class Stack:
    """The services and processes of one state folder."""

    def __init__(
        self,
        state_dir: Path,
        *,
        processes: Collection[str] = PROCESSES,
        usual_ports: bool = False,
        volatile: bool = False,
        environ: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """processes: which of PROCESSES to run. usual_ports: take 8000 and so on where they are free.

        volatile: faster, and not safe against a power cut. environ: variables of the caller, whose KEYSTEAD_*
        point at real servers or replace our settings; settings: KEYSTEAD_* for all processes, stronger than both.
        tell: is called with what is being done, in a few words.
        """
        self.state_dir = state_dir.resolve()
        self._names = tuple(name for name in PROCESSES if name in processes)
        self._preferred = configuration.USUAL_PORTS if usual_ports else None
        self._volatile = volatile
        self._environ = dict(environ or {})
        self._settings = dict(settings or {})
        self._tell = tell
        self._exit = contextlib.ExitStack()
        self._servers: dict[str, Server] = {}
        self._configuration: Configuration | None = None
        self._supervisor: Supervisor | None = None

    # --- Life ---------------------------------------------------------------------------------

    def up(self) -> Self:
        """Start everything and wait until it can be used.

        Raises EmbeddedFailed, Claimed, SettingsContradict or ProcessFailed; nothing keeps running then.
        """
        try:
            self._start_services()
            self._prepare_database()
            self._supervisor = self._exit.enter_context(Supervisor(self.state_dir / "logs", tell=self._tell))
            self._supervisor.start(self._program(name) for name in self._names)
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """Stop everything, processes before servers. Does nothing when all is down."""
        self._exit.close()
        self._servers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    # --- Where things are -----------------------------------------------------------------------

    @property
    def configuration(self) -> Configuration:
        if self._configuration is None:
            raise ProcessFailed("the stack is not up")
        return self._configuration

    @property
    def ports(self) -> Ports:
        return self.configuration.ports

    @property
    def databases(self) -> Databases:
        return self.configuration.databases

    @property
    def redis_url(self) -> str:
        return self.configuration.common["KEYSTEAD_REDIS_URL"]

    @property
    def base_url(self) -> str:
        return self.configuration.base_url

    @property
    def platform_url(self) -> str:
        """Where operators work."""
        return self.url("platform")

    @property
    def sandbox_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.sandbox}"

    @property
    def matcher_url(self) -> str:
        return self.configuration.common["KEYSTEAD_MATCHER_URL"]

    def url(self, slug: str) -> str:
        """The address of an organization (or of `platform`, `hooks`)."""
        return _below(self.base_url, slug)

    def gateway_url(self, slug: str) -> str:
        """Where an organization's devices connect, without the path."""
        return _below(self.configuration.common["KEYSTEAD_GATEWAY_BASE_URL"], slug)

    # --- Commands and processes -----------------------------------------------------------------

    def cli(self, *arguments: str, secrets: Mapping[str, str] | None = None) -> str:
        """Run `keystead ...` with the owner's login, as an operator at the server would; its standard output.

        secrets: variables for this command, for what must not stand among the arguments.
        Raises ProcessFailed with what it said when it fails.
        """
        return self._command(*arguments, env=secrets or {})

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process or an embedded server; SIGKILL also ends all that it started."""
        if name in self._servers:
            self._servers[name].child.signal(number)
        else:
            self._processes.kill(name, number)

    def restart(self, name: str) -> None:
        """Start a process or an embedded server again, on the same port, and wait until it is ready."""
        if name in self._servers:
            self._servers[name].restart()
        else:
            self._processes.restart(name)

    def alive(self, name: str) -> bool:
        if name in self._servers:
            return self._servers[name].child.alive
        return self._processes.alive(name)

    def pid(self, name: str) -> int:
        if name in self._servers:
            return self._servers[name].child.pid
        return self._processes.pid(name)

    def log(self, name: str) -> Path:
        return self.state_dir / "logs" / f"{name}.log"

    def fallen(self) -> list[str]:
        """Names of processes that ended although nobody asked them to. Each fall is told once."""
        return self._processes.fallen()

    @property
    def _processes(self) -> Supervisor:
        if self._supervisor is None:
            raise ProcessFailed("the stack is not up")
        return self._supervisor

    # --- Making it --------------------------------------------------------------------------------

    def _start_services(self) -> None:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        databases = configuration.given_databases(self._environ)
        if databases is None:
            fresh = not (self.state_dir / "postgres").exists()
            self._tell("making a PostgreSQL cluster (the first time only)" if fresh else "starting PostgreSQL")
            postgres = start_postgres(self.state_dir, volatile=self._volatile)
            self._keep("postgres", postgres)
            databases = configuration.embedded_databases(self.state_dir, admin=postgres.url())
        redis_url = self._environ.get("KEYSTEAD_REDIS_URL")
        if redis_url is None:
            self._tell("starting Valkey")
            valkey = start_valkey(self.state_dir)
            self._keep("valkey", valkey)
            redis_url = valkey.url()
        ports = Ports.remembered(self.state_dir / "ports.json", preferred=self._preferred)
        self._configuration = Configuration.make(
            self.state_dir,
            ports=ports,
            databases=databases,
            redis_url=redis_url,
            environ=self._environ,
            settings=self._settings,
        )

    def _keep(self, name: str, server: Server) -> None:
        self._servers[name] = server
        self._exit.callback(server.stop)

    def _prepare_database(self) -> None:
        """Roles, database, tables: by the commands that an operator would use."""
        stamp = self.state_dir / "postgres" / "prepared"
        # Also when the isolation has changed: roles log in or are switched to.
        schema = f"{_schema_fingerprint()} {self.configuration.common.get('KEYSTEAD_ISOLATION', 'role')}"
        ours = "postgres" in self._servers
        if ours and stamp.exists() and stamp.read_text() == schema:
            return
        if self.databases.admin is not None:
            self._tell("making roles and database")
            admin = {"KEYSTEAD_ADMIN_DATABASE_URL": self.databases.admin}
            self._command("database", "bootstrap", env=admin)
        self._tell("bringing tables up to date")
        self._command("migrate", env={})
        if ours:
            stamp.write_text(schema)

    def _command(self, *arguments: str, env: Mapping[str, str]) -> str:
        full = {**self.configuration.environment("cli", owner=True), **env}
        command = [sys.executable, "-m", "config.cli", *arguments]
        name = f"keystead {' '.join(arguments[:2])}"
        try:
            return children.output_of(
                command, name=name, log=self.log("cli"), env=full, cwd=self.state_dir, timeout=COMMAND_SECONDS
            )
        except ChildFailed as error:
            raise ProcessFailed(str(error)) from None

    def _program(self, name: str) -> Program:
        command, ready, stage, stop_seconds = _recipe(
            name, self.ports, self.state_dir, platform=urlsplit(self.platform_url).netloc
        )
        return Program(
            name,
            [sys.executable, "-m", *command],
            self.configuration.environment(name, owner=name == "provisioner"),
            ready,
            stage=stage,
            stop=((signal.SIGTERM, stop_seconds),),
            cwd=self.state_dir,
        )


def _recipe(
    name: str, ports: Ports, state_dir: Path, *, platform: str
) -> tuple[tuple[str, ...], HttpAnswers | TcpAccepts | LogSays, int, float]:
    """Module and arguments, readiness, stage, and the seconds that an orderly stop may take."""
    loopback = ("--host", "127.0.0.1")
    quiet = ("--no-access-log", "--timeout-graceful-shutdown", "3")
    boot = LogSays("ready for action")
    # More than three queues times the organization's cap: one organization cannot hold them all.
    threads = ("--processes", "1", "--threads", "16")
    match name:
        case "sandbox":
            place = ("--port", str(ports.sandbox), "--state", str(state_dir / "sandbox"))
            return ("devkit.sandbox", *place), TcpAccepts(ports.sandbox), 0, 5.0
        case "matcher":
            app = ("uvicorn", "matcher.app:app", *loopback, "--port", str(ports.matcher), *quiet)
            return app, HttpAnswers(ports.matcher, "/readyz"), 0, 5.0
        case "relay":
            return ("config.cli", "relay"), LogSays("relay is ready"), 1, 5.0
        case "worker":
            queues = ("--queues", "default", "payments", "webhooks")
            return ("dramatiq", "config.worker", *threads, *queues), boot, 1, 10.0
        case "provisioner":
            # Its two queues' caps together: four long backups leave room for four new organizations.
            few = ("--processes", "1", "--threads", "8")
            return ("dramatiq", "config.worker", *few, "--queues", "provisioning", "archives"), boot, 1, 10.0
        case "api":
            serve = ("granian", "--interface", "wsgi", *loopback, "--port", str(ports.api), "--no-ws")
            api = (*serve, "--blocking-threads", "8", "config.wsgi:application")
            return api, HttpAnswers(ports.api, "/healthz", host=platform), 2, 5.0
        case "gateway":
            gateway = ("config.gateway", *loopback, "--port", str(ports.gateway))
            return gateway, HttpAnswers(ports.gateway, "/readyz"), 2, 5.0
    raise ProcessFailed(f"there is no process {name!r}; there are: {', '.join(PROCESSES)}")


def _below(base: str, label: str) -> str:
    parts = urlsplit(base)
    return parts._replace(netloc=f"{label}.{parts.netloc}").geturl()


def _schema_fingerprint() -> str:
    digest = hashlib.sha256()
    for pattern in SCHEMA_SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
