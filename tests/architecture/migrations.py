"""Holds every migration of ours to its name: `python -m tests.architecture.migrations`.

`0007_pre_add_x` runs before the new code, beside the old: nothing in it may break the old code or
rewrite a table. `0008_post_drop_y` runs after, when only the new code is left, so it may.
django-migration-linter judges the SQL; what it cannot see (RunPython) is the reviewer's.
"""

import os
import re
import sys
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django_migration_linter.sql_analyser import PostgresqlAnalyser
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements

from devkit import scratch
from engine.tenancy.context import owner_schema

ROOT = Path(__file__).resolve().parents[2]
INDEX = re.compile(r'(CREATE (?:UNIQUE )?INDEX .*? ON "[^"]+").*', re.DOTALL)
CREATED = re.compile(r'CREATE TABLE (?:IF NOT EXISTS )?"?(?P<table>\w+)"?')
VALIDATED = re.compile(
    r'ALTER TABLE (?:ONLY )?"?(?P<table>\w+)"?\s.*?'
    r"\b(?:ADD CONSTRAINT\b.*\b(?:CHECK|FOREIGN KEY)\b|ADD COLUMN\b.*\bREFERENCES\b)",
    re.DOTALL | re.IGNORECASE,
)
# Older than the rule about constraints, and than the first release: they only ever met empty tables.
BEFORE_THE_FIRST_RELEASE = frozenset({"organizations.0004_pre_life", "payments.0002_pre_composite_keys"})
NAME = re.compile(r"\d{4}_(?P<phase>pre|post)_[a-z][a-z0-9_]*")


def ours(loader: MigrationLoader) -> list[Migration]:
    """The migrations whose files stand in this repository, in a stable order."""
    found = []
    for _, migration in sorted(loader.disk_migrations.items()):
        file = Path(sys.modules[migration.__module__].__file__ or "").resolve()
        if ROOT in file.parents and "site-packages" not in file.parts:
            found.append(migration)
    return found


def statements(state: ProjectState, migration: Migration) -> list[str]:
    """The SQL that `migration` would run on top of `state`."""
    app = apps.get_app_config(migration.app_label)
    lines: list[str] = []
    homes = [
        schema
        for schema, residents in (("public", settings.SHARED_APPS), ("some_organization", settings.TENANT_APPS))
        if app.name in residents
    ]
    if not homes:
        raise LookupError(f"{app.name} stands in neither kind of schema")
    # django-tenants' router lets an operation through in the kind of schema that its app belongs to.
    for schema in homes:
        with owner_schema(schema), connection.schema_editor(collect_sql=True, atomic=False) as editor:
            migration.apply(state.clone(), editor, collect_sql=True)
        lines += [line for line in editor.collected_sql if not line.startswith("--")]
    return lines


def faults(state: ProjectState, migration: Migration) -> list[str]:
    """What is wrong with `migration`, which follows `state`: one line per fault."""
    where = f"{migration.app_label}.{migration.name}"
    named = NAME.fullmatch(migration.name)
    if named is None:
        return [f"{where}: call it NNNN_pre_.. (safe before the new code) or NNNN_post_.. (after it)"]
    if named["phase"] == "post":
        return []
    # The linter finds the table's name by the last " (", which an index method or an expression moves.
    lines = [INDEX.sub(r"\1 (..)", line) for line in statements(state, migration)]
    found = []
    if where not in BEFORE_THE_FIRST_RELEASE:
        found = [f"{where}: {fault}" for fault in validated_constraints(lines)]
    errors, _, warnings = analyse_sql_statements(PostgresqlAnalyser, lines)
    return found + [
        f"{where}: {issue.message} ({issue.code}{f', {issue.table}' if issue.table else ''})"
        for issue in (*errors, *warnings)
    ]


def validated_constraints(lines: list[str]) -> list[str]:
    """Constraints for whose sake PostgreSQL would look through a table that is in use, with a lock on it.

    The linter does not know them. NOT VALID takes the lock for an instant, VALIDATE CONSTRAINT lets
    people write meanwhile.
    """
    created = {table for line in lines for table in CREATED.findall(line)}
    return [
        f"add it NOT VALID, and validate it in a migration of its own (VALIDATED_CONSTRAINT, {found['table']})"
        for line in lines
        if (found := VALIDATED.search(line)) and found["table"] not in created and "NOT VALID" not in line.upper()
    ]


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Nothing is run in it: quoting a literal takes a connection.
    with scratch.database():
        django.setup()
        loader = MigrationLoader(None)
        migrations = ours(loader)
        found = [
            fault
            for migration in migrations
            for fault in faults(loader.project_state((migration.app_label, migration.name), at_end=False), migration)
        ]
        connection.close()
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{len(migrations)} migrations, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
