"""The platform's own tables. They go first: organizations' migrations and the fleet's ledger need them."""

from __future__ import annotations

import random
import time

import psycopg
from django.core.management.sql import emit_post_migrate_signal
from django.db import Error as DjangoError
from django.db import connection, router, transaction
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState

from engine.errors import DomainError
from engine.tenancy.context import owner_schema
from provisioning import schemas
from provisioning.fleet import ledger, planning
from provisioning.fleet.applying import Busy, classified
from provisioning.fleet.planning import Key, Phase

_LOCK = 0x6B735F7075626C
_ATTEMPTS_MAX = 200
_BACKOFF_SECONDS = (0.05, 0.5)


class PlatformMigrationError(DomainError):
    code = "platform_migration_failed"
    status = 500
    title = "A migration of the platform's own tables failed"


def migrate(*, phase: Phase, lock_timeout_ms: int) -> list[Key]:
    """Bring the public schema up to date, one migration per transaction. What was applied or taken note of."""
    schemas.require_owner_login()
    with schemas.owner_connection() as lock:
        # A second process waits here, and then finds nothing to do.
        lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        with owner_schema("public"):
            executor = planning.read_migrations()
            is_new = not executor.loader.applied_migrations
            due = [] if is_new else planning.pending(executor, phase=phase)
        if is_new:
            schemas.migrate_public()
            return []
        _bring_up_to_date(executor, due, lock_timeout_ms=lock_timeout_ms)
    return [(migration.app_label, migration.name) for migration in due]


def _bring_up_to_date(executor: MigrationExecutor, due: list[Migration], *, lock_timeout_ms: int) -> None:
    with owner_schema("public"):
        here = [migration for migration in due if _is_here(migration)]
        if not here:
            _take_note(executor, due)
            return
        state = planning.state_of(executor)
    for migration in due:
        if migration in here:
            state = _apply(executor, migration, state, lock_timeout_ms=lock_timeout_ms)
        else:
            state = migration.mutate_state(state, preserve=False)
            with owner_schema("public"):
                _take_note(executor, [migration])
    with owner_schema("public"):
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)


def _is_here(migration: Migration) -> bool:
    """Whether it may change the public schema: what every operation asks before it does anything."""
    return router.allow_migrate(connection.alias, migration.app_label)


def _take_note(executor: MigrationExecutor, migrations: list[Migration]) -> None:
    """Record migrations of organizations' apps: here they do nothing."""
    with transaction.atomic():
        for migration in migrations:
            executor.recorder.record_applied(migration.app_label, migration.name)


def pending(*, phase: Phase) -> list[Key]:
    """What `migrate` would apply."""
    with owner_schema("public"):
        due = planning.pending(planning.read_migrations(), phase=phase)
    return [(migration.app_label, migration.name) for migration in due]


def _apply(
    executor: MigrationExecutor, migration: Migration, state: ProjectState, *, lock_timeout_ms: int
) -> ProjectState:
    where = f"{migration.app_label}.{migration.name}"
    for _ in range(_ATTEMPTS_MAX):
        try:
            with owner_schema("public"):
                return _applied(executor, migration, state.clone(), lock_timeout_ms=lock_timeout_ms)
        except (psycopg.Error, DjangoError) as error:
            if not isinstance(classified(error), Busy):
                raise PlatformMigrationError(
                    f"{where}: {ledger.named(error)}. Nothing of it was kept, and no organization was touched. "
                    "`keystead migrate` goes on from there."
                ) from error
            time.sleep(random.uniform(*_BACKOFF_SECONDS))  # noqa: S311  # to spread attempts, not to guess
    raise PlatformMigrationError(f"{where}: its tables were locked all the time. Try again when they are free.")


def _applied(
    executor: MigrationExecutor, migration: Migration, state: ProjectState, *, lock_timeout_ms: int
) -> ProjectState:
    if migration.atomic:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {lock_timeout_ms}")
            with connection.schema_editor(atomic=True) as editor:
                state = migration.apply(state, editor)
            executor.recorder.record_applied(migration.app_label, migration.name)
        return state
    with connection.schema_editor(atomic=False) as editor:
        state = migration.apply(state, editor)
    executor.recorder.record_applied(migration.app_label, migration.name)
    return state
