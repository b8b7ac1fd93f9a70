"""What the platform's processes need to know on one machine: secrets, keys, ports and addresses.

Made at the first start, kept under the state folder (secrets readable by their owner only), and used
again by the next. KEYSTEAD_* variables of the caller replace what would be made.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from devkit.errors import CannotRun
from devkit.servers import free_port, is_free, write_private
from engine import service_tokens
from engine.keys.adapters import file as file_kms

PLATFORM_KEY = "platform"
BIOMETRIC_KEY = "biometric"
DATABASE = "keystead"
LOOPBACK_NAMES = "localhost,.localhost,127.0.0.1,::1"


class SettingsContradict(CannotRun):
    """The caller's KEYSTEAD_* variables cannot be brought together; one line says why."""


@dataclass(frozen=True)
class Ports:
    """Chosen once. Organizations keep the address of their birth, so `api` and `gateway` never move."""

    api: int
    gateway: int
    matcher: int
    sandbox: int

    @classmethod
    def remembered(cls, file: Path, *, preferred: Ports | None) -> Ports:
        """The ports of last time, or the preferred ones as far as they are free."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(file.read_text()))
        chosen: dict[str, int] = {}
        for name in cls.__dataclass_fields__:
            wanted = getattr(preferred, name) if preferred else 0
            port = wanted if wanted and is_free(wanted) else free_port()
            while port in chosen.values():
                port = free_port()
            chosen[name] = port
        file.write_text(json.dumps(chosen))
        return cls(**chosen)


# The common settings that the matcher shares.
_MATCHERS = ("KEYSTEAD_MATCHER_", "KEYSTEAD_ISOLATION", "KEYSTEAD_LOGIN_")
USUAL_PORTS = Ports(api=8000, gateway=8001, matcher=8100, sandbox=8300)


@dataclass(frozen=True)
class Databases:
    """How to reach PostgreSQL: as ks_app, as ks_owner and, where we may make both, as an administrator."""

    app: str
    owner: str
    admin: str | None


def given_databases(environ: Mapping[str, str]) -> Databases | None:
    """The caller's own PostgreSQL, or None when there is none. Raises SettingsContradict on half of one."""
    app = environ.get("KEYSTEAD_DATABASE_URL")
    owner = environ.get("KEYSTEAD_OWNER_DATABASE_URL")
    admin = environ.get("KEYSTEAD_ADMIN_DATABASE_URL")
    if not (app or owner or admin):
        return None
    if not (app and owner):
        raise SettingsContradict(
            "a PostgreSQL of your own needs both KEYSTEAD_DATABASE_URL (ks_app) and KEYSTEAD_OWNER_DATABASE_URL"
            " (ks_owner); add KEYSTEAD_ADMIN_DATABASE_URL to have roles and database made"
        )
    return Databases(app=app, owner=owner, admin=admin)


def embedded_databases(state_dir: Path, *, admin: str) -> Databases:
    """DSNs on the embedded server, with passwords of our own making. admin: its superuser's DSN."""
    place = urlsplit(admin)

    def login(user: str) -> str:
        word = kept_secret(state_dir, f"{user}.password")
        return place._replace(netloc=f"{user}:{word}@{place.hostname}:{place.port}", path=f"/{DATABASE}").geturl()

    return Databases(app=login("ks_app"), owner=login("ks_owner"), admin=admin)


def kept_secret(state_dir: Path, name: str) -> str:
    """A random word under the state folder, made when it is not there, readable by its owner only."""
    path = state_dir / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, secrets.token_urlsafe(36))
    return path.read_text().strip()


@dataclass(frozen=True)
class Configuration:
    """The settings of every process, each of which gets no more than it needs."""

    state_dir: Path
    ports: Ports
    databases: Databases
    base_url: str
    common: Mapping[str, str]
    matcher: Mapping[str, str]

    @classmethod
    def make(
        cls,
        state_dir: Path,
        *,
        ports: Ports,
        databases: Databases,
        redis_url: str,
        environ: Mapping[str, str],
        settings: Mapping[str, str],
    ) -> Configuration:
        """Everything from what is given; secrets and keys that are missing are made now.

        environ: the caller's variables, of which KEYSTEAD_* replace ours. settings: KEYSTEAD_* that replace both.
        """
        folder = state_dir / "secrets"
        service_key, service_public = folder / "service.pem", folder / "service.pub.pem"
        secret_key = kept_secret(state_dir, "secret_key")
        if not service_key.exists():
            service_public.unlink(missing_ok=True)
            service_tokens.create_key_pair(private_path=service_key, public_path=service_public)
        blobs = state_dir / "blobs"
        blobs.mkdir(mode=0o700, exist_ok=True)
        ours = {
            "KEYSTEAD_ENVIRONMENT": "development",
            "KEYSTEAD_LOG_FORMAT": "console",
            "KEYSTEAD_WEBHOOK_ALLOW_PRIVATE": "true",
            "KEYSTEAD_BASE_URL": f"http://localhost:{ports.api}",
            "KEYSTEAD_GATEWAY_BASE_URL": f"ws://localhost:{ports.gateway}",
            "KEYSTEAD_MATCHER_URL": f"http://127.0.0.1:{ports.matcher}",
            "KEYSTEAD_SECRET_KEY": secret_key,
            "KEYSTEAD_KMS_URL": _key_folder(state_dir, PLATFORM_KEY),
            "KEYSTEAD_BLOB_URL": f"file://{blobs}",
        }
        theirs = {name: value for name, value in environ.items() if name.startswith("KEYSTEAD_")}
        biometric = theirs.pop("KEYSTEAD_MATCHER_KMS_URL", None) or _key_folder(state_dir, BIOMETRIC_KEY)
        for name in ("DATABASE_URL", "OWNER_DATABASE_URL", "ADMIN_DATABASE_URL"):
            theirs.pop(f"KEYSTEAD_{name}", None)
        common = {**ours, **theirs, **settings, "KEYSTEAD_REDIS_URL": redis_url}
        if common.get("KEYSTEAD_ISOLATION") == "login":
            common.setdefault("KEYSTEAD_LOGIN_SECRET", kept_secret(state_dir, "login_secret"))
        return cls(
            state_dir=state_dir,
            ports=ports,
            databases=databases,
            base_url=common["KEYSTEAD_BASE_URL"].rstrip("/"),
            common={**common, "KEYSTEAD_SERVICE_KEY_FILE": str(service_key)},
            matcher={
                **{name: value for name, value in common.items() if name.startswith(_MATCHERS)},
                "KEYSTEAD_KMS_URL": biometric,
                "KEYSTEAD_MATCHER_SERVICE_PUBLIC_KEY_FILE": str(service_public),
            },
        )

    def environment(self, process: str, *, owner: bool = False) -> dict[str, str]:
        """The variables of one process. Only `owner` (provisioning, migrations) gets the owner's login.

        The matcher alone is told of the biometric KMS key, and is told nothing else that is secret.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")}
        # Half a dozen processes that each compile every library would make each start slow.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        own = self.matcher if process == "matcher" else self.common
        logins = {"KEYSTEAD_DATABASE_URL": self.databases.app}
        if owner:
            logins["KEYSTEAD_OWNER_DATABASE_URL"] = self.databases.owner
        # What we call stands on loopback; a proxy of the machine's would not find it.
        proxies = {"NO_PROXY": LOOPBACK_NAMES, "no_proxy": LOOPBACK_NAMES}
        return {**inherited, **proxies, **own, **logins, "KEYSTEAD_PROCESS": process, "PYTHONUNBUFFERED": "1"}


def _key_folder(state_dir: Path, name: str) -> str:
    """URL of a file KMS with one key, in a folder of its own: who holds one cannot read the other."""
    folder = state_dir / "kms" / name
    with contextlib.suppress(file_kms.KeyExists):
        file_kms.create_key(folder, name)
    return f"file://{folder}?key_id={name}"
