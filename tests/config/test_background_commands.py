"""`keystead outbox ..` and `keystead verify`, as staff run them."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from click.testing import CliRunner
from django.db import connection

from config.commands.background import outbox, verify
from engine.outbox import claims, handler, send
from engine.principals import SYSTEM
from engine.tenancy.context import organization, owner_schema
from tenants.audit import services as audit


@handler("test.staff")
def handle(*, message):
    raise AssertionError("nobody runs this")


@pytest.fixture
def run():
    def invoke(command, *arguments):
        # Wide enough that a table does not fold its cells.
        return CliRunner(env={"COLUMNS": "200"}).invoke(command, [str(each) for each in arguments])

    return invoke


@pytest.fixture
def parked(org_a):
    with organization(org_a):
        message_id = send(name="test.staff", payload={})
    claims.claim(batch=10, visibility_seconds=15, organization_cap=10, in_flight_cap=10)
    started = claims.start(message_id, lease_seconds=6)
    assert started is not None
    claims.release(started, delay=timedelta(), error="builtins.ValueError at x.py:1", park=True)
    return message_id


def test_parked_messages_are_shown_and_let_go(run, parked):
    assert "default" in run(outbox, "status").output
    assert claims.parked()[0].id == parked
    assert run(outbox, "parked").exit_code == 0
    assert run(outbox, "retry", parked).exit_code == 0
    assert claims.parked() == []
    assert run(outbox, "retry", parked).exit_code == 1
    assert run(outbox, "retry", "--all").exit_code == 0


@pytest.mark.parametrize("arguments", [[], [uuid4(), "--all"], ["not-an-id"]])
def test_retry_wants_one_or_all(run, arguments):
    assert run(outbox, "retry", *arguments).exit_code == 2


def test_verify(run, live_db, org_a):
    with organization(org_a):
        from django.db import transaction

        with transaction.atomic():
            audit.write(action="thing.make", actor=SYSTEM, resource="thg_1")
        audit.seal()
    assert run(verify, org_a.slug).exit_code == 0
    with live_db.as_owner(), owner_schema(org_a.schema_name), connection.cursor() as cursor:
        cursor.execute("UPDATE audit_entry SET resource = 'thg_2'")
    assert run(verify, org_a.slug).exit_code == 1
    assert run(verify, "nobody-here").exit_code == 1
