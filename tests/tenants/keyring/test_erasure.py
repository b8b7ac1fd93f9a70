"""Erasing a person: journalled first, keys gone, forgotten by the matcher, and again after a restore."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.test import override_settings

from engine.blobs.erasures import ErasureJournal
from engine.blobs.store import BlobStoreFailed, open_store
from engine.matcher_client import MatcherUnavailable
from engine.tenancy.context import OrganizationContext, organization
from tenants.keyring import services
from tenants.keyring.models import PersonKey
from tests.matcher.world import World, new_model, text, vector

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("keyring")]

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Path]:
    """A blob store of the test's own."""
    folder = tmp_path / "blobs"
    folder.mkdir()
    with override_settings(BLOB_URL=f"file://{folder}"):
        yield folder


def journal(context: OrganizationContext, blobs: Path) -> dict[UUID, datetime]:
    entries = ErasureJournal(open_store(f"file://{blobs}")).of_organization(context.id)
    return {entry.person_id: entry.erased_at for entry in entries}


def test_an_erased_person_is_gone_from_rows_memory_and_matching(w: World, blobs: Path) -> None:
    model = new_model()
    person, other = (w.enroll(w.a, model, vector(seed)) for seed in (1, 2))
    with organization(w.a):
        services.ensure_person_key(person_id=person.person_id, purpose="documents")
        assert w.identify(w.a, model, vector(1))["gallery_size"] == 2
        services.erase_person_keys(person_id=person.person_id, clock=lambda: NOW)
        assert not PersonKey.objects.filter(person_id=person.person_id).exists()
        assert PersonKey.objects.filter(person_id=other.person_id).count() == 1
    answer = w.identify(w.a, model, vector(1))
    assert answer["gallery_size"] == 1
    assert [UUID(each["person_id"]) for each in answer["candidates"]] == [other.person_id]
    body = {"person_id": str(person.person_id), "modality": "face", "model": model, "vector": text(vector(1))}
    assert w.refused(w.a, "/v1/verify", **body).code == "template_missing"
    assert journal(w.a, blobs) == {person.person_id: NOW}
    with organization(w.a):
        services.erase_person_keys(person_id=person.person_id)
    assert journal(w.a, blobs) == {person.person_id: NOW}


def test_nothing_is_erased_that_could_not_be_journalled(in_a: OrganizationContext, blobs: Path) -> None:
    person_id = uuid4()
    services.ensure_person_key(person_id=person_id, purpose="documents")
    (blobs / "erasures").write_text("a file where a folder belongs")
    with pytest.raises(BlobStoreFailed):
        services.erase_person_keys(person_id=person_id)
    assert PersonKey.objects.filter(person_id=person_id).exists()


def test_a_matcher_that_is_away_delays_the_acknowledgement_and_not_the_erasure(
    in_a: OrganizationContext, blobs: Path
) -> None:
    person_id = uuid4()
    services.ensure_person_key(person_id=person_id, purpose="documents")
    ticks = itertools.count()
    waits: list[float] = []
    with override_settings(MATCHER_URL="http://127.0.0.1:1"), pytest.raises(MatcherUnavailable):
        services.erase_person_keys(
            person_id=person_id, clock=lambda: NOW, monotonic=lambda: float(next(ticks)), sleep=waits.append
        )
    assert len(waits) == 4
    assert not PersonKey.objects.filter(person_id=person_id).exists()
    assert journal(in_a, blobs) == {person_id: NOW}


def test_a_restored_backup_is_erased_again(w: World, blobs: Path) -> None:
    with organization(w.a):
        erased, kept = (services.ensure_person_key(person_id=uuid4(), purpose="documents") for _ in range(2))
        services.erase_person_keys(person_id=erased.person_id)
    with organization(w.b):
        in_b = services.ensure_person_key(person_id=erased.person_id, purpose="documents")
    with organization(w.a):
        # The backup was taken before the erasure.
        PersonKey.objects.bulk_create([erased])
        assert services.replay_erasures() == [erased.person_id]
        assert set(PersonKey.objects.all()) == {kept}
        assert services.replay_erasures() == [erased.person_id]
    with organization(w.b):
        assert services.replay_erasures() == []
        assert set(PersonKey.objects.all()) == {in_b}
