"""A schema made from the baked script is the schema that the migrations make."""

from __future__ import annotations

import os

import psycopg
import pytest

from engine.tenancy import logins
from engine.tenancy.context import OrganizationContext, public_schema
from provisioning import pool, schemas, scripts
from tests.harness import structure as dumped
from tests.harness.live import LiveDatabase


def structure(database: LiveDatabase, schema: str) -> str:
    server = os.environ["KEYSTEAD_TEST_POSTGRES_URL"].rsplit("/", 1)[0]
    return dumped.structure(database_url=f"{server}/{database.name}", schema=schema, role=schema)


def recorded(database: LiveDatabase, schema: str) -> set[tuple[object, ...]]:
    """The migrations that a schema says it has."""
    with psycopg.connect(database.owner_url) as owner:
        return set(owner.execute(f"SELECT app, name FROM {schema}.django_migrations").fetchall())


def claimed(database: LiveDatabase) -> str:
    """A schema that was made for the pool and taken from it."""
    with database.as_owner():
        assert pool.add(size=1)
    with public_schema():
        return pool.claim().schema


@pytest.fixture
def baked(live_db: LiveDatabase) -> str:
    with live_db.as_owner():
        schemas.create(schema="ks_o_baked", role="ks_o_baked")
    return "ks_o_baked"


def test_cold_from_the_pool_and_migrated_are_the_same(live_db, org_a: OrganizationContext, baked):
    expected = structure(live_db, org_a.schema_name)
    assert structure(live_db, baked) == expected
    assert structure(live_db, claimed(live_db)) == expected
    assert "GRANT" in expected


def test_whoever_is_born_where_a_login_secret_is_known_can_log_in(live_db, settings, baked):
    """In role mode too, so that an installation can go to login mode while organizations are made."""
    role, (secret,) = baked, settings.DATABASE_LOGIN_SECRETS
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        known = logins.Logins([secret], ask=lambda asked: logins.versions(owner, role=asked))
        with known.open(role, lambda word: psycopg.connect(live_db.app_url, user=role, password=word)) as own:
            assert own.execute("SELECT session_user::text").fetchone() == (role,)


def test_the_recorders_say_the_same(live_db, org_a, baked):
    expected = recorded(live_db, org_a.schema_name)
    assert recorded(live_db, baked) == expected != set()
    assert recorded(live_db, claimed(live_db)) == expected


@pytest.mark.parametrize(
    "planted",
    [
        "ALTER TABLE {}.sites_site RENAME CONSTRAINT sites_site_path TO sites_site_path_key",
        "ALTER TABLE {}.sites_site ALTER COLUMN name DROP NOT NULL",
        "GRANT DELETE ON {}.audit_entry TO {}",
        "DROP INDEX {}.transfer_of_payment",
    ],
)
def test_the_comparison_would_notice(live_db, org_a, baked, planted):
    with psycopg.connect(live_db.owner_url) as owner:
        owner.execute(planted.format(baked, baked))
    assert structure(live_db, baked) != structure(live_db, org_a.schema_name)


def test_the_roles_may_the_same(live_db, org_a, baked):
    """pg_dump leaves roles out: their attributes and memberships are compared here.

    Not whether they may log in: roles belong to the server, and other tests turn its login mode on and off.
    """
    query = (
        "SELECT r.rolinherit, r.rolcreaterole, r.rolsuper, m.member::regrole::text = r.rolname,"
        " CASE WHEN m.roleid = r.oid THEN 'ROLE' ELSE m.roleid::regrole::text END,"
        " CASE WHEN m.member = r.oid THEN 'ROLE' ELSE m.member::regrole::text END,"
        " m.admin_option, m.inherit_option, m.set_option"
        " FROM pg_roles r JOIN pg_auth_members m ON r.oid IN (m.roleid, m.member) WHERE r.rolname = %s"
    )
    with psycopg.connect(live_db.owner_url) as owner:
        made = [set(owner.execute(query, [role]).fetchall()) for role in (baked, org_a.role_name)]
    assert made[0] == made[1] != set()


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
        schemas.create(schema="ks_o_nobody", role="ks_o_nobody")


def test_the_names_of_a_schema_never_stand_in_the_script():
    assert "ks_bake_" not in schemas.BAKED.read_text()
    assert "public." not in schemas.BAKED.read_text()


# Of whole tables: a partial index serves only some queries, a unique one is a rule.
_COVERED = """
    SELECT covered.indexrelid::regclass::text, covering.indexrelid::regclass::text
    FROM pg_index covered JOIN pg_index covering USING (indrelid) JOIN pg_class t ON t.oid = indrelid
    WHERE covered.indexrelid <> covering.indexrelid AND t.relnamespace = %s::regnamespace
        AND NOT covered.indisunique AND covered.indpred IS NULL AND covering.indpred IS NULL
        AND covered.indexprs IS NULL AND covering.indexprs IS NULL
        AND covering.indkey::text || ' ' LIKE covered.indkey::text || ' %%'
        AND NOT starts_with(t.relname, 'oauth2_provider_') AND NOT starts_with(t.relname, 'otp_static_')
"""


def test_no_index_is_kept_for_what_another_answers(live_db, baked):
    """Each costs a relation in every organization, and time in every write."""
    with psycopg.connect(live_db.owner_url) as owner:
        assert owner.execute(_COVERED, [baked]).fetchall() == []
        owner.execute(f"CREATE INDEX planted ON {baked}.payments_payment (person_id)")
        assert owner.execute(_COVERED, [baked]).fetchall() == [(f"{baked}.planted", f"{baked}.payment_of_person")]


def test_keys_that_go_round_in_a_circle_are_added_behind_the_tables():
    folded = scripts.fold_keys(
        [
            "CREATE TABLE a (\n    id uuid NOT NULL,\n    b_id uuid\n)",
            "CREATE TABLE b (\n    id uuid NOT NULL,\n    a_id uuid\n)",
            "ALTER TABLE ONLY a\n    ADD CONSTRAINT a_pkey PRIMARY KEY (id)",
            "ALTER TABLE ONLY b\n    ADD CONSTRAINT b_pkey PRIMARY KEY (id)",
            "CREATE INDEX b_a ON b USING btree (a_id)",
            "ALTER TABLE ONLY a\n    ADD CONSTRAINT a_b FOREIGN KEY (b_id) REFERENCES b(id)",
            "ALTER TABLE ONLY b\n    ADD CONSTRAINT b_a FOREIGN KEY (a_id) REFERENCES a(id)",
        ]
    )
    assert [statement.split("\n")[0] for statement in folded] == [
        "CREATE TABLE b (",
        "CREATE TABLE a (",
        "ALTER TABLE ONLY b",
        "CREATE INDEX b_a ON b USING btree (a_id)",
    ]
    assert "CONSTRAINT a_b FOREIGN KEY (b_id) REFERENCES b(id)" in folded[1]
