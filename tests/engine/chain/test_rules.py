"""The chain's arithmetic, held against a reckoning by hand. The log itself is proven with events and audit."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from engine.canonical_json import NotCanonical
from engine.chain import rules

ORGANIZATION = UUID("01a20289-5ccb-770b-8dd6-5c7a043fe386")
GENESIS = hashlib.sha256(b"keystead:events:01a20289-5ccb-770b-8dd6-5c7a043fe386").digest()


def link(**changes):
    given = {"log": "events", "sequence": 1, "previous_hash": GENESIS, "row": {"id": "a", "n": 1}}
    return rules.link(**{**given, **changes})


def test_the_genesis_names_the_log_and_the_organization():
    assert rules.genesis(log="events", organization_id=ORGANIZATION) == GENESIS
    assert rules.genesis(log="audit", organization_id=ORGANIZATION) != GENESIS


def test_a_link_can_be_reckoned_by_anyone():
    text = f'{{"log":"events","previous_hash":"{GENESIS.hex()}","row":{{"id":"a","n":1}},"sequence":1}}'
    assert link() == hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"log": "audit"},
        {"sequence": 2},
        {"previous_hash": bytes(32)},
        {"row": {"id": "b", "n": 1}},
        {"row": {"id": "a", "n": 2}},
        {"row": {"id": "a", "n": "1"}},
        {"row": {"id": "a", "n": 1, "extra": None}},
        {"row": {"id": "a"}},
    ],
)
def test_anything_that_changes_breaks_the_link(changes):
    assert link(**changes) != link()


def test_the_order_of_members_does_not_matter():
    assert link(row={"n": 1, "id": "a"}) == link()


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(NotCanonical):
        link(row={"n": float("nan")})


def test_a_moment_is_the_same_text_in_every_zone():
    moment = datetime(2026, 11, 22, 9, 30, 0, 5, tzinfo=UTC)
    assert rules.moment(moment) == "2026-11-22T09:30:00.000005Z"
    assert rules.moment(moment.astimezone(timezone(timedelta(hours=-5)))) == rules.moment(moment)
