"""Schemas made ahead: handed out once, complete, to a release with the same migrations, and never orphaned."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import OperationalError, connections, transaction
from django.test import override_settings

from engine.tenancy.context import public_schema
from provisioning import keeper, pool, schemas, services
from provisioning.models import ReadySchema
from provisioning.steps import create as steps
from shared.organizations.models import Organization
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.provisioning.test_create import requested

pytestmark = pytest.mark.xdist_group("provisioning")


def fill(database: LiveDatabase, size: int) -> list[ReadySchema]:
    with database.as_owner():
        while pool.add(size=size):
            pass
    with public_schema():
        return list(ReadySchema.objects.all())


def in_catalog(database: LiveDatabase) -> set[str]:
    """Schemas of organizations and of the pool that really exist."""
    with psycopg.connect(database.owner_url) as owner:
        return {
            str(name) for (name,) in owner.execute(r"SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ks\_o\_%'")
        }


def role_exists(database: LiveDatabase, role: str) -> bool:
    with psycopg.connect(database.owner_url) as owner:
        return owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def age(database: LiveDatabase, *, fingerprint: str, by: str = "2 hours") -> None:
    """What is ready now was made by another release, so long ago."""
    with psycopg.connect(database.owner_url) as owner:
        owner.execute(
            "UPDATE public.provisioning_readyschema SET fingerprint = %s, created_at = now() - %s::interval",
            [fingerprint, by],
        )


def test_a_request_claims_a_ready_schema_and_its_flow_makes_no_other(live_db, monkeypatch):
    (ready,) = fill(live_db, 1)
    flow = requested()
    with public_schema():
        row = Organization.objects.get(id=flow.organization_id)
        assert (row.schema_name, row.role_name) == (ready.schema_name, ready.role_name)
        assert row.schema_fingerprint == schemas.fingerprint()
        assert not ReadySchema.objects.exists()
    monkeypatch.setattr(schemas, "owner_connection", lambda: pytest.fail("nothing is left to make"))
    steps.make_schema(flow)


def test_without_a_ready_schema_the_flow_makes_one(live_db):
    flow = requested()
    assert flow.organization.schema_fingerprint == ""
    assert flow.organization.role_name == flow.organization.schema_name
    with live_db.as_owner():
        steps.make_schema(flow)
    assert flow.organization.schema_name in in_catalog(live_db)
    with public_schema():
        assert Organization.objects.get(id=flow.organization_id).schema_fingerprint == schemas.fingerprint()


def test_claims_at_one_instant_get_different_schemas(live_db):
    ready = fill(live_db, 3)
    together = threading.Barrier(4)

    def ask(number: int) -> str:
        try:
            with public_schema(), transaction.atomic():
                together.wait()
                names = pool.claim()
                # Nobody has committed yet: the locked ones have to be passed over, not waited for.
                together.wait()
            return names.schema if names.fingerprint else "cold"
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(ask, range(4)))
    assert sorted(got) == sorted(["cold", *(each.schema_name for each in ready)])


def test_a_claim_is_given_back_with_the_request_that_fails(live_db):
    requested()
    (ready,) = fill(live_db, 1)
    with pytest.raises(services.SlugTakenError):
        requested()
    with public_schema():
        assert list(ReadySchema.objects.all()) == [ready]


def test_a_stale_schema_is_never_handed_out_and_goes_after_a_while(live_db):
    (stale,) = fill(live_db, 1)
    age(live_db, fingerprint="0" * 64)
    assert requested().organization.schema_fingerprint == ""
    with live_db.as_owner(), override_settings(READY_SCHEMAS=1):
        assert keeper.beat()
        assert {stock.is_current: stock.count for stock in _stocks()} == {True: 1, False: 1}
        assert keeper.beat()
        assert not keeper.beat()
    assert [stock.is_current for stock in _stocks()] == [True]
    assert stale.schema_name not in in_catalog(live_db)
    assert not role_exists(live_db, stale.role_name)


def test_two_releases_that_fill_in_turn_do_not_undo_each_other(live_db, monkeypatch):
    """The old release's provisioner runs for a while beside the new one."""
    ours = schemas.fingerprint()
    with live_db.as_owner(), override_settings(READY_SCHEMAS=1):
        fill(live_db, 1)
        age(live_db, fingerprint="1" * 64, by="1 minute")
        assert keeper.beat()
        monkeypatch.setattr(schemas, "fingerprint", lambda: "1" * 64)
        assert not keeper.beat()
        monkeypatch.setattr(schemas, "fingerprint", lambda: ours)
        assert not keeper.beat()
    assert len(_stocks()) == 2


def test_without_a_pool_nothing_is_made_and_what_is_stale_goes(live_db):
    fill(live_db, 1)
    age(live_db, fingerprint="0" * 64)
    with live_db.as_owner(), override_settings(READY_SCHEMAS=0):
        assert keeper.beat()
        assert not keeper.beat()
    assert _stocks() == []


def test_two_fillers_never_exceed_the_size(live_db):
    def work(_: int) -> int:
        try:
            return sum(iter(lambda: pool.add(size=2), False))
        finally:
            connections.close_all()

    with live_db.as_owner(), ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
        while pool.add(size=2):
            pass
    with public_schema():
        assert ReadySchema.objects.count() == 2


@pytest.mark.parametrize("moment", ["in the schema", "before the commit"])
def test_kill_9_while_filling_leaves_no_schema_and_no_role_behind(live_db, moment):
    before = in_catalog(live_db)
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, moment],
        cwd=environment.ROOT,
        env=live_db.environment(owner=True),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    role = done.stdout.strip()
    (ready,) = fill(live_db, 1)
    assert in_catalog(live_db) == before | {ready.schema_name}
    assert role.startswith("ks_o_")
    assert not role_exists(live_db, role)


_KILLED = textwrap.dedent(
    """
    import os, signal, sys
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django
    django.setup()
    from engine.tenancy import roles
    from provisioning import pool, schemas
    moment = sys.argv[1]
    def die(role):
        print(role, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if moment == "in the schema":
        roles.create_organization_schema = lambda raw, *, schema, role: die(role)
    else:
        roles.let_logins_switch = lambda raw, *, role: die(role)
    pool.add(size=1)
    """
)


def test_the_platforms_role_takes_rows_and_can_neither_add_nor_relabel_them(live_db):
    with psycopg.connect(live_db.app_url, autocommit=True) as app:
        app.execute("SET ROLE ks_platform")
        for forbidden in (
            "INSERT INTO public.provisioning_readyschema (id) VALUES (gen_random_uuid())",
            "UPDATE public.provisioning_readyschema SET fingerprint = ''",
            "UPDATE public.provisioning_readyschema SET schema_name = ''",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(forbidden)
        app.execute("DELETE FROM public.provisioning_readyschema")


def test_the_keeper_fills_at_its_beat_and_outlives_trouble(live_db, monkeypatch):
    failures = [OperationalError("disk full"), psycopg.errors.DiskFull("disk full")]
    beaten = threading.Event()
    real = keeper.beat

    def beat() -> bool:
        if failures:
            raise failures.pop()
        done = real()
        beaten.set()
        return done

    monkeypatch.setattr(keeper, "beat", beat)
    monkeypatch.setattr(keeper, "_TROUBLE_SECONDS", 0.01)
    with live_db.as_owner(), override_settings(READY_SCHEMAS=1, READY_SCHEMAS_PACE_MS=10):
        running = keeper.PoolKeeper()
        running.start()
        assert beaten.wait(60)
        running.stop()
    with public_schema():
        assert ReadySchema.objects.count() == 1


def test_the_command_line_fills_and_shows(live_db):
    def keystead(*arguments: str, owner: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.cli", "pool", *arguments],
            cwd=environment.ROOT,
            env=live_db.environment(owner=owner),
            capture_output=True,
            text=True,
            check=False,
        )

    assert "0 ready for this release, 8 wanted" in keystead("show", owner=False).stdout
    filled = keystead("fill", "--size", "2")
    assert "2 made, 0 of other releases dropped" in filled.stdout, filled.stderr
    assert "0 made" in keystead("fill", "--size", "2").stdout
    shown = keystead("show", owner=False).stdout
    assert "2 ready for this release, 8 wanted" in shown
    assert schemas.fingerprint()[:12] in shown
    refused = keystead("fill", owner=False)
    assert (refused.returncode, "KEYSTEAD_OWNER_DATABASE_URL" in refused.stderr) == (1, True)


def _stocks() -> list[pool.Stock]:
    with public_schema():
        return pool.stocks()
