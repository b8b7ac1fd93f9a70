"""What keeps the way to Citus's schema-based sharding open: nothing in an organization's schema that it refuses.

It refuses triggers, and a foreign key cannot cross from a worker's schema to the coordinator's. An
organization's schema also has to be movable by itself, so nothing in it may name another schema.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.live import LiveDatabase

OBSTACLES = {
    "trigger": """
        SELECT tgrelid::regclass::text || '.' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
        WHERE NOT tgisinternal AND c.relnamespace::regnamespace::text LIKE 'ks\\_o\\_%'
    """,
    "foreign key to or from another schema": """
        SELECT k.conrelid::regclass::text || '.' || k.conname FROM pg_constraint k
        JOIN pg_class a ON a.oid = k.conrelid JOIN pg_class b ON b.oid = k.confrelid
        WHERE k.contype = 'f' AND a.relnamespace <> b.relnamespace
    """,
    "function": "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace::regnamespace::text LIKE 'ks\\_o\\_%'",
    "view, rule or foreign table": """
        SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace::regnamespace::text LIKE 'ks\\_o\\_%' AND (relkind IN ('v', 'm', 'f') OR relhasrules)
    """,
    "column default that names another schema": """
        SELECT d.adrelid::regclass::text FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid
        WHERE c.relnamespace::regnamespace::text LIKE 'ks\\_o\\_%'
          AND pg_get_expr(d.adbin, d.adrelid) ~ '(public|ext|ks_o_[a-z0-9_]+)\\.'
          AND pg_get_expr(d.adbin, d.adrelid) !~ ('^nextval\\(''' || c.relnamespace::regnamespace::text || '\\.')
    """,
    "event trigger": "SELECT evtname FROM pg_event_trigger",
}


def found(database: LiveDatabase, obstacle: str) -> list[str]:
    with psycopg.connect(database.owner_url) as owner:
        # With an empty path every name is printed with its schema.
        return [name for (name,) in owner.execute(OBSTACLES[obstacle]).fetchall()]


@pytest.fixture(scope="module")
def database(django_db_setup, django_db_blocker):
    from tests.harness.live import live_database

    with django_db_blocker.unblock(), live_database() as made:
        yield made


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_an_organizations_schema_holds_nothing_that_citus_refuses(database, obstacle):
    assert found(database, obstacle) == []


@pytest.mark.parametrize(
    ("obstacle", "plant"),
    [
        (
            "trigger",
            "CREATE TRIGGER planted BEFORE UPDATE ON ks_o_test_a.sites_site"
            " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        ),
        (
            "foreign key to or from another schema",
            "ALTER TABLE ks_o_test_a.sites_site ADD planted uuid REFERENCES public.organizations_organization (id)",
        ),
        (
            "foreign key to or from another schema",
            "ALTER TABLE public.organizations_domain ADD planted uuid REFERENCES ks_o_test_a.sites_site (id)",
        ),
        ("function", "CREATE FUNCTION ks_o_test_a.planted() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        ("view, rule or foreign table", "CREATE VIEW ks_o_test_a.planted AS SELECT 1 AS one"),
        (
            "column default that names another schema",
            "CREATE SEQUENCE ks_o_test_b.s; CREATE TABLE ks_o_test_a.planted (id int DEFAULT nextval('ks_o_test_b.s'))",
        ),
    ],
)
def test_planted_an_obstacle_is_found(live_db, obstacle, plant):
    with psycopg.connect(live_db.owner_url, autocommit=True) as owner:
        owner.execute(plant)
    assert found(live_db, obstacle) != []
