"""What a schema differs by is named, and one that differs by nothing is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

import psycopg
import pytest

from provisioning.fleet import drift, structure
from provisioning.fleet.drift import NotComparableError
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.provisioning.fleet.conftest import grow

# What is done to a schema, and the line that it has to give. A superuser does it: some of it is denied to all others.
PLANTED = {
    "DROP INDEX {schema}.access_grant_role": (
        "index access_grant_role of access_grant: missing: CREATE INDEX access_grant_role ON access_grant"
        " USING btree (role)"
    ),
    "ALTER TABLE {schema}.sites_site ADD COLUMN shade text DEFAULT 'x'": (
        "column sites_site.shade: not expected: text DEFAULT 'x'::text"
    ),
    "ALTER TABLE {schema}.sites_site ALTER COLUMN time_zone SET DEFAULT 'UTC'": (
        "column sites_site.time_zone: character varying(64) NOT NULL DEFAULT 'UTC'::character varying; expected:"
        " character varying(64) NOT NULL"
    ),
    "ALTER TABLE {schema}.sites_site ALTER COLUMN updated_at DROP NOT NULL": (
        "column sites_site.updated_at: timestamp with time zone; expected: timestamp with time zone NOT NULL"
    ),
    "ALTER TABLE {schema}.access_grant ALTER COLUMN created_by TYPE text": (
        "column access_grant.created_by: text NOT NULL; expected: character varying(64) NOT NULL"
    ),
    "ALTER TABLE {schema}.sites_site ADD CONSTRAINT planted CHECK (name <> 'x') NOT VALID": (
        "constraint planted of sites_site: not expected: CHECK (((name)::text <> 'x'::text)) NOT VALID"
    ),
    "ALTER TABLE {schema}.sites_site DROP CONSTRAINT sites_site_named": (
        "constraint sites_site_named of sites_site: missing: CHECK ((NOT ((name)::text = ''::text)))"
    ),
    "ALTER TABLE {schema}.access_grant DISABLE TRIGGER ALL": (
        "constraint access_grant_site_id_da0f3167_fk_sites_site_id of access_grant: FOREIGN KEY (site_id) REFERENCES"
        " sites_site(id) DEFERRABLE INITIALLY DEFERRED DISABLED; expected: FOREIGN KEY (site_id) REFERENCES"
        " sites_site(id) DEFERRABLE INITIALLY DEFERRED"
    ),
    "GRANT UPDATE ON {schema}.payments_transfer TO {role}": (
        "privilege UPDATE on payments_transfer for its role: not expected"
    ),
    "GRANT UPDATE (currency) ON {schema}.payments_transfer TO {role}": (
        "privilege UPDATE on payments_transfer.currency for its role: not expected"
    ),
    "GRANT SELECT ON {schema}.payments_transfer TO PUBLIC": (
        "privilege SELECT on payments_transfer for everybody: not expected"
    ),
    "REVOKE INSERT ON {schema}.audit_entry FROM {role}": "privilege INSERT on audit_entry for its role: missing",
    "ALTER DEFAULT PRIVILEGES FOR ROLE ks_owner IN SCHEMA {schema} GRANT DELETE ON TABLES TO {role}": (
        "default privilege DELETE on tables of ks_owner for its role: not expected"
    ),
    "ALTER ROLE {role} BYPASSRLS": "role: BYPASSRLS INHERIT; expected: INHERIT",
    "CREATE TABLE {schema}.planted (id bigint PRIMARY KEY, name text)": "table planted: not expected: owner ks_owner",
    "DROP TABLE {schema}.accounts_invitation": "table accounts_invitation: missing: owner ks_owner",
    "ALTER TABLE {schema}.audit_entry OWNER TO ks_platform": (
        "table audit_entry: owner ks_platform; expected: owner ks_owner"
    ),
    "CREATE FUNCTION {schema}.planted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": (
        "function planted(): not expected"
    ),
    "CREATE TRIGGER planted AFTER INSERT ON {schema}.sites_site EXECUTE FUNCTION {schema}.planted()": (
        "trigger planted of sites_site: not expected: CREATE TRIGGER planted AFTER INSERT ON sites_site"
        " FOR EACH STATEMENT EXECUTE FUNCTION planted()"
    ),
    "CREATE TYPE {schema}.colour AS ENUM ('red')": "type colour: not expected",
}
INVALID = "CREATE UNIQUE INDEX CONCURRENTLY invalid ON {schema}.sites_site (time_zone)"
SITE = (
    "INSERT INTO {schema}.sites_site (id, created_at, name, time_zone, path, updated_at)"
    " SELECT gen_random_uuid(), now(), path, 'UTC', path, now() FROM (VALUES ('/a'), ('/b')) AS two (path)"
)


def found(slug: str | None = None) -> dict[str, tuple[str, ...]]:
    return {one.slug: one.differences for one in drift.findings(drift.fleet(slug=slug).targets)}


def admin(database: LiveDatabase) -> psycopg.Connection:
    url = urlsplit(os.environ["KEYSTEAD_TEST_POSTGRES_URL"])._replace(path=f"/{database.name}").geturl()
    return psycopg.connect(url, autocommit=True)


def keystead(database: LiveDatabase, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.cli", *arguments],
        cwd=environment.ROOT,
        env=database.environment(owner=True),
        capture_output=True,
        text=True,
        check=False,
    )


def test_everything_that_differs_is_named_and_nothing_else(fleet_db):
    (one,) = grow(1)
    names = {"schema": one.schema_name, "role": one.role_name}
    with admin(fleet_db) as raw:
        raw.execute(SITE.format(**names))
        with pytest.raises(psycopg.errors.UniqueViolation):
            raw.execute(INVALID.format(**names))
        for statement in PLANTED:
            raw.execute(statement.format(**names))
        raw.execute(f"ALTER FUNCTION {one.schema_name}.planted() OWNER TO ks_owner")
        raw.execute(f"ALTER TABLE {one.schema_name}.planted OWNER TO ks_owner")
    invalid = (
        "index invalid of sites_site: not expected: CREATE UNIQUE INDEX invalid ON sites_site USING btree (time_zone)"
        " INVALID"
    )
    differences = found()
    assert sorted(differences.pop(one.slug)) == sorted([*PLANTED.values(), invalid])
    assert differences == {"org-a": (), "org-b": ()}
    told = keystead(fleet_db, "drift", one.slug)
    assert told.returncode == 1, told.stderr
    assert len(told.stdout.splitlines()) == len(PLANTED) + 1
    assert f"{one.slug}: type colour: not expected" in told.stdout.splitlines()
    assert "organizations compared: 1, that differ: 1" in told.stderr
    with admin(fleet_db) as raw:
        # Roles are the server's, and outlive the test's database.
        raw.execute(f"ALTER ROLE {one.role_name} NOBYPASSRLS")


def test_who_has_no_drift_is_not_read(fleet_db, monkeypatch):
    """Two were migrated by Django, one was made from the script: the same by one hash each."""
    (one,) = grow(1)
    read: list[str] = []

    def reading(raw, place):
        read.append(place[0])
        return structure_read(raw, place)

    structure_read = structure.read
    monkeypatch.setattr(structure, "read", reading)
    assert found() == {"org-a": (), "org-b": (), one.slug: ()}
    assert not {"ks_o_test_a", "ks_o_test_b", one.schema_name} & set(read)
    told = keystead(fleet_db, "drift")
    assert (told.returncode, told.stdout) == (0, "")
    assert "organizations compared: 3; no drift" in told.stderr
    with admin(fleet_db) as raw:
        # What the expected structure was read from is gone again, role and all.
        left = raw.execute("SELECT FROM pg_namespace WHERE nspname = ANY (%s)", [read]).fetchall()
        roles = raw.execute("SELECT FROM pg_roles WHERE rolname = ANY (%s)", [read])
        assert (len(read), left, roles.fetchall()) == (1, [], [])


def test_only_this_releases_organizations_are_compared(fleet_db, org_a):
    (one,) = grow(1)
    targets = drift.fleet().targets
    with admin(fleet_db) as raw:
        raw.execute(f"DROP SCHEMA {one.schema_name} CASCADE")
    assert found()[one.slug] == ("schema missing",)
    with admin(fleet_db) as raw:
        raw.execute(f"ALTER TABLE {org_a.schema_name}.sites_site ADD COLUMN shade text")
        raw.execute("UPDATE organizations_organization SET schema_fingerprint = repeat('0', 64) WHERE slug <> 'org-b'")
    # Listed before, migrated since: what was read belongs to no release that is known here.
    assert {one.slug: one.has_moved for one in drift.findings(targets)} == {
        "org-a": True,
        "org-b": False,
        one.slug: True,
    }
    assert (list(found()), drift.fleet().behind) == (["org-b"], 2)
    with pytest.raises(NotComparableError, match="keystead migrate"):
        drift.fleet(slug="org-a")
    with pytest.raises(NotComparableError, match="keystead org list"):
        drift.fleet(slug="nobody")
