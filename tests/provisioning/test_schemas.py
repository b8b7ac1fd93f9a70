"""A schema made from the baked script is the schema that the migrations make."""

from __future__ import annotations

import os
import re
import subprocess

import psycopg
import pytest

from engine.tenancy.context import OrganizationContext
from provisioning import schemas
from tests.harness.live import LiveDatabase


def structure(database: LiveDatabase, schema: str) -> str:
    """pg_dump of one schema with its privileges, without the schema's and role's own names."""
    done = subprocess.run(
        [
            schemas.pg_dump_path(),
            "--schema-only",
            "--no-owner",
            f"--schema={schema}",
            f"--dbname={os.environ['KEYSTEAD_TEST_POSTGRES_URL'].rsplit('/', 1)[0]}/{database.name}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    text = re.sub(r"\\(un)?restrict \S+", "", done.stdout)
    # PostgreSQL prints the cast of an array of literals to text[] as one cast; reading that back, it
    # casts each element. The two mean the same, and the first turns into the second on every reload.
    text = re.sub(r"\(ARRAY\[([^\]]*)\]\)::text\[\]", _cast_each, text)
    return text.replace(f"ks_{schema}", "ROLE").replace(schema, "SCHEMA")


def _cast_each(array: re.Match[str]) -> str:
    return f"ARRAY[{', '.join(f'({element})::text' for element in array.group(1).split(', '))}]"


@pytest.fixture
def baked(live_db: LiveDatabase) -> str:
    with live_db.as_owner():
        schemas.create(schema="o_baked", role="ks_o_baked")
    return "o_baked"


def test_it_equals_a_migrated_one(live_db, org_a: OrganizationContext, baked):
    assert structure(live_db, baked) == structure(live_db, org_a.schema_name)


def test_the_recorder_says_the_same(live_db, org_a, baked):
    with psycopg.connect(live_db.owner_url) as owner:
        rows = [
            set(owner.execute(f"SELECT app, name FROM {schema}.django_migrations").fetchall())
            for schema in (baked, org_a.schema_name)
        ]
    assert rows[0] == rows[1] != set()


def test_a_later_migration_finds_nothing_to_do(live_db, baked):
    before = structure(live_db, baked)
    with live_db.as_owner():
        assert schemas.migrate_organization(schema=baked, role="ks_o_baked")
    assert structure(live_db, baked) == before


def test_making_it_again_changes_nothing(live_db, baked):
    before = structure(live_db, baked)
    with live_db.as_owner():
        schemas.create(schema=baked, role="ks_o_baked")
    assert structure(live_db, baked) == before


def test_a_script_of_other_migrations_is_refused(tmp_path, monkeypatch):
    stale = tmp_path / "organization.sql"
    stale.write_text(schemas.BAKED.read_text().replace("-- fingerprint: ", "-- fingerprint: 0", 1))
    monkeypatch.setattr(schemas, "BAKED", stale)
    with pytest.raises(schemas.StaleScriptError, match="make bake"):
        schemas.baked_script()


def test_without_the_owners_login_nothing_is_defined():
    with pytest.raises(schemas.OwnerLoginMissingError):
        schemas.create(schema="o_nobody", role="ks_o_nobody")


def test_the_names_of_a_schema_never_stand_in_the_script():
    assert "ks_bake_" not in schemas.BAKED.read_text()
    assert "public." not in schemas.BAKED.read_text()
