"""One template database per state of the migrations, with two organizations; copies of it for tests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.harness import environment

_SOURCES = ("src/engine", "shared", "tenants", "provisioning", "tests/harness")


def template() -> str:
    """The name of the template for the present sources, built first if need be."""
    name = f"ks_tmpl_{_digest()}"
    environment.STATE.mkdir(parents=True, exist_ok=True)
    with (environment.STATE / "template.lock").open("w") as lock, _admin() as admin:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return name
        _drop_unused_templates(admin)
        building = f"{name}_b"
        drop(building)
        done = subprocess.run(
            [sys.executable, "-m", "tests.harness.build_template", building],
            cwd=environment.ROOT,
            env={**os.environ, "KEYSTEAD_OWNER_DATABASE_URL": environment.owner_url(building)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the template database could not be built:\n{done.stdout}{done.stderr}")
        admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(building), sql.Identifier(name)))
    return name


def copy_of_template(name: str) -> None:
    """Make the database `name` as a copy of the template."""
    source = template()
    with _admin() as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER ks_owner STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(source)
            )
        )
        for statement in (
            "REVOKE ALL ON DATABASE {} FROM PUBLIC",
            "GRANT CONNECT ON DATABASE {} TO ks_app, ks_owner, ks_platform, ks_router, ks_relay, ks_organization",
        ):
            admin.execute(sql.SQL(statement).format(sql.Identifier(name)))


def drop(name: str) -> None:
    """Drop a database, also when somebody is still connected to it."""
    with _admin() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def _admin() -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(os.environ["KEYSTEAD_TEST_POSTGRES_URL"], autocommit=True) as connection:
        yield connection


def _drop_unused_templates(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    rows = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'ks\\_tmpl\\_%'").fetchall()
    for (name,) in rows:
        drop(str(name))


def _digest() -> str:
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for file in sorted((environment.ROOT / folder).rglob("*.py")):
            if _shapes_the_template(file):
                digest.update(file.read_bytes())
    digest.update((environment.STATE / "kms").as_posix().encode())
    return digest.hexdigest()[:24]


def _shapes_the_template(file: Path) -> bool:
    return file.parent.name in ("migrations", "harness") or file.name in (
        "models.py",
        "privileges.py",
        "roles.py",
        "logins.py",
        "create.py",
    )
