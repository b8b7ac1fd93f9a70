"""A platform that exists for one command: an empty database behind real roles, and settings for it.

`make bake`, `make openapi` and `make check` need Django's settings, some of them a database, and
nobody should have to configure anything for that.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from devkit.sharing import shared_embedded
from engine.tenancy import roles

_ROOT = Path(__file__).resolve().parents[2]


def configure() -> None:
    """Fill in settings for a command that reads none of them. What is set stays."""
    for name, value in {
        "ENVIRONMENT": "development",
        "BASE_URL": "http://localhost:8000",
        "DATABASE_URL": "postgresql://ks_app@127.0.0.1:1/nowhere",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEY": secrets.token_urlsafe(32),
        "KMS_URL": "file:///nonexistent",
        "MATCHER_URL": "http://127.0.0.1:1",
        "BLOB_URL": "file:///nonexistent",
    }.items():
        os.environ.setdefault(f"KEYSTEAD_{name}", value)


@contextmanager
def database() -> Iterator[None]:
    """An empty database with the owner's login in the settings; a given one is used as it is."""
    if "KEYSTEAD_OWNER_DATABASE_URL" in os.environ:
        configure()
        yield
        return
    name, password = f"ks_scratch_{secrets.token_hex(6)}", secrets.token_urlsafe(16)
    with tempfile.TemporaryDirectory() as folder, shared_embedded(Path(folder)) as servers:
        parts = urlsplit(servers.postgres_url)
        owner, app = (
            f"postgresql://{user}:{password}@{parts.hostname}:{parts.port}/{name}" for user in ("ks_owner", "ks_app")
        )
        roles.bootstrap(admin_url=servers.postgres_url, owner_url=owner, app_url=app)
        os.environ.update(KEYSTEAD_OWNER_DATABASE_URL=owner, KEYSTEAD_DATABASE_URL=app)
        configure()
        yield
