"""The previous release's tests on this release's schema: `make compat BASE=<revision>`.

While a release is rolled out, the old code works on tables that `keystead migrate --phase pre` of the new one
has altered. So the old revision is checked out beside this one and builds its tests' template database itself;
this tree's migrator then alters that template, and the old tests run on copies of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from devkit.sharing import shared_embedded
from tests.harness import environment

TESTS = "tests/tenants tests/isolation/test_operations.py"
_GIVEN = ("KEYSTEAD_TEST_", "KEYSTEAD_CONTRACTS")
_TEMPLATE = "from tests.harness import databases, environment; environment.set_up(); print(databases.template())"
_IDENTITY = "SELECT oid::text FROM pg_catalog.pg_database WHERE datname = %s"


def main() -> int:
    base = os.environ.get("BASE", "").strip() or _latest_release()
    if not base:
        print("compat: there is no release tag yet (v1.2.3) and no BASE, so there is nothing to compare with")
        return 0
    revision = _output("git", "rev-parse", "--verify", f"{base}^{{commit}}")
    print(f"compat: tests of {base} ({revision[:12]}) on the schema of this tree", flush=True)
    with _checkout(revision) as old:
        return _try(old, (os.environ.get("TESTS", "").strip() or TESTS).split())


def _try(old: Path, tests: list[str]) -> int:
    given = {name: os.environ[name] for name in os.environ if name.startswith(_GIVEN)}
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("KEYSTEAD_", "MAKE", "MFLAGS"))}
    _run("make", "venv", cwd=old, env=plain)
    with ExitStack() as stack:
        if "KEYSTEAD_TEST_POSTGRES_URL" not in given:
            # Servers of its own: two trees' templates on one server drop each other.
            joined = stack.enter_context(shared_embedded(old / ".keystead" / "test" / "servers"))
            given["KEYSTEAD_TEST_POSTGRES_URL"] = joined.postgres_url
            given["KEYSTEAD_TEST_REDIS_URL"] = joined.redis_url
        os.environ.update(given)
        environment.set_up()
        child = {**plain, **given, "DJANGO_SETTINGS_MODULE": "config.settings"}
        return _altered_and_tried(old, tests, child)


def _altered_and_tried(old: Path, tests: list[str], child: Mapping[str, str]) -> int:
    programs = old / ".venv" / "bin"
    template = _output(str(programs / "python"), "-c", _TEMPLATE, cwd=old, env=child).splitlines()[-1]
    count = _migrated(template)
    made = _value(_IDENTITY, template)
    print(f"compat: {count} migrations of an organization lie between them", flush=True)
    workers = os.environ.get("WORKERS", "2")
    command = [str(programs / "pytest"), "-n", workers, "--dist", "loadgroup", *tests]
    status = subprocess.run(command, cwd=old, env=child, check=False).returncode
    if _value(_IDENTITY, template) != made:
        print("compat: the old tests built a template of their own, and so showed nothing", file=sys.stderr)
        return 1
    return status


def _migrated(template: str) -> int:
    """Alter the template as a roll-out would. How many migrations an organization got."""
    urls = {
        "KEYSTEAD_OWNER_DATABASE_URL": environment.owner_url(template),
        "KEYSTEAD_DATABASE_URL": environment.app_url(template),
    }
    command = (sys.executable, "-m", "config.cli", "migrate", "--phase", "pre")
    _run(*command, cwd=environment.ROOT, env={**os.environ, **urls})
    return int(_value("SELECT count(DISTINCT (app, migration)) FROM public.provisioning_fleetstep", database=template))


@contextmanager
def _checkout(revision: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="keystead-compat-") as folder:
        old = Path(folder) / "old"
        _run("git", "worktree", "add", "--quiet", "--detach", str(old), revision, cwd=environment.ROOT)
        try:
            yield old
        finally:
            _run("git", "worktree", "remove", "--force", str(old), cwd=environment.ROOT)


def _latest_release() -> str:
    """The last one before this commit, which may be a release itself."""
    done = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^"],
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _value(query: str, *parameters: str, database: str = "") -> str:
    url = environment.owner_url(database) if database else os.environ["KEYSTEAD_TEST_POSTGRES_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query, parameters).fetchone()
    return str(row[0]) if row else ""


def _run(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=cwd, env=env, check=False).returncode:
        sys.exit(f"compat: {' '.join(command[:2])} failed")


def _output(*command: str, cwd: Path = environment.ROOT, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"compat: {' '.join(command[:2])} failed")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
