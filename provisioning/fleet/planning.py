"""What an organization lacks, as hops from one fingerprint to the next.

A hop is applied to every organization at its starting fingerprint. What it takes is read once, from the
first of them that is met: which migrations its recorder has, and what stands in its catalog where a
migration has to look (the name of a constraint). Every hop ends at a fingerprint of its own, so an
organization that was left between two hops is in a known state, like any other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.migrations import Migration, SeparateDatabaseAndState
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from engine.errors import DomainError
from engine.tenancy import privileges
from engine.tenancy.context import owner_schema
from provisioning import schemas
from provisioning.fleet.narrowing import narrowed

Key = tuple[str, str]

_CREATED = re.compile(r'CREATE TABLE "(?P<table>[^"]+)"')
_TOUCHED = re.compile(
    r'\b(?:TABLE|ON|REFERENCES|UPDATE|INTO|FROM)\s+(?:IF\s+EXISTS\s+|ONLY\s+)*"(?P<table>[^"]+)"', re.IGNORECASE
)
_POST = re.compile(r"\d{4}_post_")
_reading = threading.Lock()


class Phase(StrEnum):
    """Which of a release's migrations are due."""

    PRE = "pre"
    POST = "post"
    ALL = "all"


class Path(StrEnum):
    """How a hop gets into an organization's schema."""

    SQL = "sql"
    """As text that was made once, in one transaction."""
    DJANGO = "django"
    """By Django, organization by organization, one migration at a time."""


class PhaseOrderError(DomainError):
    """A migration for before the new code needs one that is for after the old."""

    code = "migration_phase_order"
    status = 409
    title = "A pre migration stands behind a post migration"


class LaterReleaseError(DomainError):
    """A schema has migrations that this release does not know."""

    code = "schema_of_a_later_release"
    status = 409
    title = "The schema is of another release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One migration, and its SQL where it has some."""

    key: Key
    statements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """From one fingerprint to the next. `steps` is empty when only privileges or names have changed."""

    start: str
    end: str
    path: Path
    steps: tuple[Step, ...]
    # Rows for Django's recorder: the steps, and migrations of other apps that came before them.
    recorded: tuple[Key, ...]
    # What the role is granted or loses, for `sql.SQL(..).format(schema=.., role=..)`.
    grants: tuple[str, ...]
    tables: int = 1
    """How many tables that are in use one transaction of it may have to wait for."""
    # For Django alone.
    migration: Migration | None = None
    state: ProjectState | None = None

    def for_django(self) -> tuple[Migration, ProjectState]:
        """The one migration, and a copy of the state that it begins with."""
        if self.migration is None or self.state is None:
            raise ValueError("this hop is SQL")
        return self.migration, self.state.clone()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Organizations at one fingerprint, and what they lack."""

    fingerprint: str
    organizations: int
    pending: tuple[tuple[Key, Path], ...]


class Planner:
    """Makes each hop once. Safe to share between threads."""

    def __init__(self, *, phase: Phase) -> None:
        self.phase = phase
        self._lock = threading.Lock()
        self._hops: dict[str, Hop | None] = {}

    def hop(self, *, start: str, schema: str, role: str) -> Hop | None:
        """The next hop of an organization at `start`, None when it lacks nothing. `schema` is its schema."""
        with self._lock:
            if start not in self._hops:
                self._hops[start] = self._made(start=start, schema=schema, role=role)
            return self._hops[start]

    def _made(self, *, start: str, schema: str, role: str) -> Hop | None:
        if start == schemas.fingerprint():
            return None
        with owner_schema(schema):
            executor = read_migrations()
            applied = set(executor.loader.applied_migrations)
            _refuse_later(executor, applied)
            due = pending(executor, phase=self.phase)
            hop = self._first_hop(executor, due, start=start, schema=schema, role=role)
        return hop if hop.steps or hop.end != start else None

    def _first_hop(
        self, executor: MigrationExecutor, due: list[Migration], *, start: str, schema: str, role: str
    ) -> Hop:
        applied = set(executor.loader.applied_migrations)
        state = state_of(executor)
        recorded: list[Key] = []
        steps: list[Step] = []
        path, alone = Path.SQL, None
        for migration in due:
            key = (migration.app_label, migration.name)
            if not is_theirs(migration):
                state = migration.mutate_state(state, preserve=False)
            elif path_of(migration) is Path.DJANGO:
                if not steps:
                    path, alone = Path.DJANGO, migration
                    steps.append(Step(key=key))
                    recorded.append(key)
                break
            else:
                try:
                    statements, looked = _collect(migration, state)
                except ValueError:
                    # It looked for something that is not there, or not there yet.
                    statements, looked = (), True
                    path, alone = (Path.SQL, None) if steps else (Path.DJANGO, migration)
                if looked and steps:
                    # It asked the catalog, which the steps before have not changed yet: next hop.
                    break
                if not alone:
                    state = migration.mutate_state(state, preserve=False)
                steps.append(Step(key=key, statements=statements))
                if alone:
                    recorded.append(key)
                    break
            recorded.append(key)
        created = {name for step in steps for text in step.statements for name in _CREATED.findall(text)}
        grants, extra = _grants(schema, role, created=created, may_revoke=self.phase is not Phase.PRE)
        touched = _touched(steps, alone) - created
        end = _end({*applied, *recorded}, self.phase, extra=extra)
        return Hop(
            start=start,
            end=end,
            path=path,
            steps=tuple(steps),
            recorded=tuple(recorded),
            grants=grants,
            tables=len(touched),
            migration=alone,
            state=state if alone else None,
        )


def read_migrations() -> MigrationExecutor:
    """An executor of the schema whose context this is."""
    # Django reloads the packages of migrations, and a thread that reads them meanwhile finds none.
    with _reading:
        return MigrationExecutor(connection)


def state_of(executor: MigrationExecutor) -> ProjectState:
    """The models as they are after what the present schema has."""
    graph = executor.loader.graph
    return executor.loader.project_state([key for key in executor.loader.applied_migrations if key in graph.nodes])


def is_theirs(migration: Migration) -> bool:
    """Whether it changes organizations' schemas at all."""
    return migration.app_label in schemas.organization_app_labels()


def path_of(migration: Migration) -> Path:
    """SQL, unless something in it is code, or must not be in a transaction."""
    return Path.SQL if migration.atomic and _reduces(migration.operations) else Path.DJANGO


def pending(executor: MigrationExecutor, *, phase: Phase) -> list[Migration]:
    """Migrations that the present schema lacks and that are due in `phase`, in order.

    Raises PhaseOrderError when one that is due needs one that is not.
    """
    plan = [migration for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]
    if phase is Phase.ALL:
        return plan
    held = {(m.app_label, m.name) for m in plan if _POST.match(m.name)}
    if phase is Phase.POST:
        early = [migration for migration in plan if (migration.app_label, migration.name) not in held]
        if early:
            raise PhaseOrderError(
                f"{early[0].app_label}.{early[0].name} is for before the new code and is not there yet: begin with "
                "`keystead migrate --phase pre`."
            )
        return plan
    due = [migration for migration in plan if (migration.app_label, migration.name) not in held]
    for migration in due:
        needs = held & set(executor.loader.graph.forwards_plan((migration.app_label, migration.name)))
        if needs:
            post = ".".join(min(needs))
            raise PhaseOrderError(
                f"{migration.app_label}.{migration.name} needs {post}, which is for after the old code is gone. Finish "
                "that release first (`keystead migrate --phase post`), or stop the old code and migrate all."
            )
    return due


def groups(counted: Iterable[tuple[str, int, str]], *, phase: Phase) -> list[Group]:
    """What is ahead of organizations, given (fingerprint, how many, the schema of one)."""
    found = []
    for start, count, schema in counted:
        with owner_schema(schema):
            executor = read_migrations()
            _refuse_later(executor, set(executor.loader.applied_migrations))
            due = [migration for migration in pending(executor, phase=phase) if is_theirs(migration)]
        found.append(
            Group(
                fingerprint=start,
                organizations=count,
                pending=tuple(((m.app_label, m.name), path_of(m)) for m in due),
            )
        )
    return found


def _refuse_later(executor: MigrationExecutor, applied: set[Key]) -> None:
    theirs = schemas.organization_app_labels()
    known = executor.loader.disk_migrations.keys() | {
        replaced for migration in executor.loader.disk_migrations.values() for replaced in migration.replaces
    }
    unknown = sorted(key for key in applied if key[0] in theirs and key not in known)
    if unknown:
        raise LaterReleaseError(
            f"It has {'.'.join(unknown[0])}, which this release does not know. Migrate with the newest release."
        )


def _reduces(operations: Iterable[Any]) -> bool:
    for operation in operations:
        if isinstance(operation, SeparateDatabaseAndState):
            if not _reduces(operation.database_operations):
                return False
        elif not operation.reduces_to_sql:
            return False
    return True


def _collect(migration: Migration, state: ProjectState) -> tuple[tuple[str, ...], bool]:
    """Its SQL on top of `state`; and whether it asked the database something."""
    asked: list[str] = []

    def watch(execute: Callable[..., Any], text: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(text)
        return execute(text, params, many, context)

    with connection.execute_wrapper(watch), connection.schema_editor(collect_sql=True, atomic=True) as editor:
        migration.apply(narrowed(migration, state), editor, collect_sql=True)
    statements = tuple(text for text in editor.collected_sql if not _is_comment(text))
    return statements, bool(asked)


def _touched(steps: Iterable[Step], alone: Migration | None) -> set[str]:
    """The tables that they ask locks of, as far as that can be read."""
    if alone is not None:
        names = (getattr(one, "model_name", getattr(one, "name", None)) for one in alone.operations)
        return {str(name) for name in names if name}
    return {name for step in steps for text in step.statements for name in _TOUCHED.findall(text)}


def _is_comment(text: str) -> bool:
    return all(not line.strip() or line.startswith("--") for line in text.splitlines())


def _end(migrations: set[Key], phase: Phase, *, extra: bool) -> str:
    return schemas.fingerprint_of(migrations, privileges_settled=phase is not Phase.PRE or not extra)


def _grants(schema: str, role: str, *, created: set[str], may_revoke: bool) -> tuple[tuple[str, ...], bool]:
    """What brings privileges to what the models declare, where they differ; and whether there were too many."""
    have: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.privilege_type FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " LEFT JOIN LATERAL pg_catalog.aclexplode(c.relacl) a"
            "   ON a.grantee = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = %s)"
            " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
            [role, schema],
        )
        for table, privilege in cursor.fetchall():
            have.setdefault(table, set()).update({privilege} if privilege else ())
    statements, extra = [], False
    for table in created:
        # Default privileges will have given these.
        have[table] = {"SELECT", "INSERT"}
    for table, expected in sorted(privileges.expected(have).items()):
        missing, too_many = expected - have[table], have[table] - expected
        extra = extra or bool(too_many)
        if too_many and may_revoke:
            statements.append(f'REVOKE {", ".join(sorted(too_many))} ON {{schema}}."{table}" FROM {{role}}')
        if missing:
            statements.append(f'GRANT {", ".join(sorted(missing))} ON {{schema}}."{table}" TO {{role}}')
    return tuple(statements), extra
