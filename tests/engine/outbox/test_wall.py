"""Row-level security of the outbox: an organization writes in its own name only, and reads nothing."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from engine.outbox import OutsideTransaction, UnknownMessage, handler, send
from engine.tenancy.context import (
    NoOrganization,
    organization,
    owner_schema,
    public_schema,
    relay_schema,
)

INSERT = """
    INSERT INTO public.outbox_message (id, org_role, name, queue, payload)
    VALUES (%s, %s, 'test.wall', 'default', '{}')
"""


@handler("test.wall")
def handle(*, message):
    raise AssertionError("nobody runs this")


def rows():
    with relay_schema(), connection.cursor() as cursor:
        cursor.execute("SELECT org_role, name, payload::text FROM public.outbox_message")
        return cursor.fetchall()


def refused(statement, parameters=None):
    with (
        pytest.raises(ProgrammingError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, parameters)
    return str(caught.value)


def test_a_message_carries_the_role_of_its_organization(org_a):
    with organization(org_a):
        send(name="test.wall", payload={"thing": "thg_1"})
    assert rows() == [(org_a.role_name, "test.wall", '{"thing": "thg_1"}')]


def test_the_platform_sends_in_its_own_name(org_a):
    with public_schema():
        send(name="test.wall", payload={})
    assert rows() == [("ks_platform", "test.wall", "{}")]


def test_another_organizations_name_is_refused(org_a, org_b):
    with organization(org_a):
        message = refused(INSERT, [uuid4(), org_b.role_name])
        assert "row-level security" in message
        assert "row-level security" in refused(INSERT, [uuid4(), "ks_platform"])
    assert rows() == []


def test_a_planted_hole_is_noticed(live_db, org_a, org_b):
    """With the policy opened, the same statement goes through: the policy is what refused it."""
    with live_db.as_owner(), owner_schema("public"), connection.cursor() as cursor:
        cursor.execute("ALTER POLICY outbox_message_send ON public.outbox_message WITH CHECK (true)")
    with organization(org_a), connection.cursor() as cursor:
        cursor.execute(INSERT, [uuid4(), org_b.role_name])
    assert len(rows()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.outbox_message",
        "UPDATE public.outbox_message SET attempts = 0",
        "DELETE FROM public.outbox_message",
        "TRUNCATE public.outbox_message",
        "INSERT INTO public.outbox_message (id, org_role, name, queue, payload, parked_at)"
        " VALUES (gen_random_uuid(), current_user, 'test.wall', 'default', '{}', now())",
        "INSERT INTO public.outbox_message (id, org_role, name, queue, payload)"
        " VALUES (gen_random_uuid(), current_user, 'test.wall', 'default', '{}') RETURNING id",
    ],
)
@pytest.mark.parametrize("where", ["organization", "platform"])
def test_a_sender_can_do_nothing_else(org_a, statement, where):
    with organization(org_a) if where == "organization" else public_schema():
        assert "permission denied" in refused(statement)


def test_a_payload_has_a_size(org_a):
    with organization(org_a), pytest.raises(IntegrityError), transaction.atomic():
        send(name="test.wall", payload={"text": "x" * 2048})


def test_a_payload_maps_words_to_words(org_a):
    with organization(org_a), pytest.raises(TypeError):
        send(name="test.wall", payload={"number": 1})  # type: ignore[dict-item]  # the point


def test_a_name_needs_a_handler(org_a):
    with organization(org_a), pytest.raises(UnknownMessage):
        send(name="test.nobody", payload={})


def test_sending_needs_a_transaction(live_db, org_a):
    with organization(org_a), pytest.raises(OutsideTransaction):
        send(name="test.wall", payload={})


def test_sending_needs_a_context(live_db, org_a):
    with pytest.raises(NoOrganization), transaction.atomic():
        send(name="test.wall", payload={})


def test_a_message_is_undone_with_its_act(live_db, org_a):
    with pytest.raises(ZeroDivisionError), organization(org_a), transaction.atomic():
        send(name="test.wall", payload={})
        raise ZeroDivisionError
    assert rows() == []
