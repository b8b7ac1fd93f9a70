"""What the matcher does with keys, and what it does when the KMS says no."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import UUID, uuid4

import pytest

from engine.keys.adapters import file as file_kms
from engine.matcher_client import MatcherUnavailable
from engine.tenancy.context import organization
from tenants.keyring.models import OrganizationKey, PersonKey
from tests.harness import environment
from tests.harness.live import LiveDatabase
from tests.matcher.test_walls import mint, post, search_body
from tests.matcher.world import World, claims, new_model, text, vector, world

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("matcher")]

KEY_SECONDS = 1.0


@pytest.fixture
def kms_folder(tmp_path: Path) -> Path:
    """A copy of the biometric KMS key, which a test may disable."""
    folder = tmp_path / "kms"
    folder.mkdir(mode=0o700)
    source = environment.STATE / "kms-biometric" / "biometric.json"
    (folder / "biometric.json").touch(mode=0o600)
    (folder / "biometric.json").write_bytes(source.read_bytes())
    return folder


@pytest.fixture
def short(matcher_database: LiveDatabase, kms_folder: Path, tmp_path: Path) -> Iterator[World]:
    """A matcher that keeps keys for a second, with a KMS of its own."""
    with world(
        matcher_database,
        tmp_path / "log",
        kms_url=f"file://{kms_folder}?key_id=biometric",
        matcher_key_seconds=str(KEY_SECONDS),
        matcher_feed_seconds="0.2",
    ) as made:
        yield made


def test_a_disabled_kms_key_empties_galleries_and_an_enabled_one_fills_them(short: World, kms_folder: Path) -> None:
    model = new_model()
    person = short.enroll(short.a, model, vector(1))
    assert short.found(short.a, model, vector(1)) == [person.person_id]
    assert gauge(short, "keystead_matcher_galleries", at_least=1)
    file_kms.set_state(kms_folder, "biometric", "disabled")
    # Nobody asks: the matcher finds out by itself, and lets go of what it holds.
    assert gauge(short, "keystead_matcher_galleries", at_least=0)
    status, problem = post(short, "identify", search_body(model), token=mint(claims(short.a)))
    assert (status, problem["code"]) == (503, "kms_key_unusable")
    with pytest.raises(MatcherUnavailable):
        short.enroll(short.a, model, vector(2))
    with pytest.raises(HTTPError) as not_ready:
        urlopen(f"{short.matcher.url}/readyz", timeout=10)
    assert json.load(not_ready.value)["kms"] == "disabled"
    file_kms.set_state(kms_folder, "biometric", "enabled")
    assert short.found(short.a, model, vector(1)) == [person.person_id]


def test_a_kms_that_does_not_answer_stops_matching(short: World, kms_folder: Path) -> None:
    model = new_model()
    short.enroll(short.a, model, vector(1))
    short.found(short.a, model, vector(1))
    (kms_folder / "biometric.json").rename(kms_folder / "away.json")
    time.sleep(KEY_SECONDS + 0.2)
    status, problem = post(short, "identify", search_body(model), token=mint(claims(short.a)))
    assert (status, problem["code"]) == (503, "kms_key_unusable")
    (kms_folder / "away.json").rename(kms_folder / "biometric.json")
    assert len(short.found(short.a, model, vector(1))) == 1


def test_a_key_within_its_time_needs_no_kms(matcher_database: LiveDatabase, kms_folder: Path, tmp_path: Path) -> None:
    with world(
        matcher_database, tmp_path / "log", kms_url=f"file://{kms_folder}?key_id=biometric", matcher_key_seconds="300"
    ) as patient:
        model = new_model()
        person = patient.enroll(patient.a, model, vector(1))
        assert patient.found(patient.a, model, vector(1)) == [person.person_id]
        (kms_folder / "biometric.json").unlink()
        assert patient.found(patient.a, model, vector(1)) == [person.person_id]
        assert post(patient, "identify", search_body(model), token=mint(claims(patient.b)))[0] == 503


def test_a_gallery_beyond_the_memory_pushes_out_the_least_used(matcher_database: LiveDatabase, tmp_path: Path) -> None:
    """Rows of 2,048 halves have 4 KiB and room is made for 16 at least: three small galleries fit into
    0.3 MiB, a crowd of 40 only in place of one of them, and 80 not at all."""
    with world(matcher_database, tmp_path / "log", matcher_memory_mb="0.3") as small:
        models = [new_model() for _ in range(3)]
        people = [small.enroll(small.a, model, vector(1, 2048)).person_id for model in models]
        assert [small.found(small.a, model, vector(1, 2048)) for model in models] == [[each] for each in people]
        assert gauge(small, "keystead_matcher_galleries", at_least=3)
        crowd = enroll_many(small, 40)
        assert len(small.found(small.b, crowd, vector(7, 2048))) == 5
        assert gauge(small, "keystead_matcher_gallery_bytes", at_least=1, at_most=0.3 * 1024 * 1024)
        assert [small.found(small.a, model, vector(1, 2048)) for model in models] == [[each] for each in people]
        too_many = enroll_many(small, 80)
        body = {"modality": "face", "model": too_many, "vector": text(vector(1, 2048))}
        status, problem = post(small, "identify", json.dumps(body).encode(), token=mint(claims(small.b)))
        assert (status, problem["code"]) == (503, "gallery_too_large")


def enroll_many(w: World, count: int) -> str:
    """So many people of organization b under a model of their own."""
    model = new_model()
    for seed in range(count):
        w.enroll(w.b, model, vector(seed, 2048), announce=False)
    return model


def test_a_new_organization_key_is_wrapped_for_its_organization(w: World) -> None:
    key_id = uuid4()
    made = w.call(w.a, "/v1/organization-keys", key_id=str(key_id), version=7)
    assert made["key_id"] == str(key_id)
    assert made["version"] == 7
    assert made["kms_key_id"] == "biometric"
    kms = file_kms.FileKms(environment.STATE / "kms-biometric")
    context = {
        "kind": "organization-key",
        "organization": str(w.a.id),
        "purpose": "biometric",
        "key": str(key_id),
        "version": "7",
    }
    wrapped = base64.b64decode(made["wrapped"])
    assert len(kms.unwrap(key_id="biometric", wrapped=wrapped, context=context)) == 32
    with pytest.raises(file_kms.KmsRefused):
        kms.unwrap(key_id="biometric", wrapped=wrapped, context={**context, "organization": str(w.b.id)})


def test_an_organization_key_that_is_not_there_is_named(w: World) -> None:
    body = {"key_id": str(uuid4()), "person_id": str(uuid4()), "organization_key_version": 77}
    refused = w.refused(w.a, "/v1/person-keys", **body)
    assert (refused.status, refused.code) == (409, "organization_key_missing")


def test_templates_open_after_their_person_keys_were_moved(w: World) -> None:
    model = new_model()
    person = w.enroll(w.b, model, vector(1))
    made = w.call(w.b, "/v1/organization-keys", key_id=str(uuid4()), version=2)
    with organization(w.b):
        OrganizationKey.objects.filter(purpose="biometric").update(state="retiring")
        OrganizationKey.objects.create(
            id=UUID(made["key_id"]),
            purpose="biometric",
            version=2,
            wrapped=base64.b64decode(made["wrapped"]),
            kms_key_id=made["kms_key_id"],
        )
        keys = list(PersonKey.objects.filter(purpose="biometric", organization_key_version=1))
        moved = w.call(
            w.b,
            "/v1/person-keys/rewrap",
            from_version=1,
            to_version=2,
            person_keys=[
                {"key_id": str(k.id), "person_id": str(k.person_id), "wrapped": base64.b64encode(k.wrapped).decode()}
                for k in keys
            ],
        )["person_keys"]
        assert [UUID(each["key_id"]) for each in moved] == [key.id for key in keys]
        for each in moved:
            PersonKey.objects.filter(id=each["key_id"]).update(
                wrapped=base64.b64decode(each["wrapped"]), organization_key_version=2
            )
        OrganizationKey.objects.filter(purpose="biometric", version=1).update(state="retired")
    assert w.found(w.b, model, vector(1)) == [person.person_id]
    newcomer = w.enroll(w.b, model, vector(2))
    with organization(w.b):
        assert PersonKey.objects.get(person_id=newcomer.person_id).organization_key_version == 2
    w.call(w.b, "/v1/refresh", person_id=str(newcomer.person_id))
    assert w.found(w.b, model, vector(2))[0] == newcomer.person_id


def test_a_matcher_that_is_told_nonsense_does_not_start(matcher_database: LiveDatabase, tmp_path: Path) -> None:
    for settings, said in (
        ({"matcher_key_seconds": "301"}, "KEYSTEAD_MATCHER_KEY_SECONDS"),
        ({"matcher_memory_mb": "much"}, "KEYSTEAD_MATCHER_MEMORY_MB"),
        ({"kms_url": "vault://x"}, "scheme 'vault'"),
        ({"matcher_service_public_key_file": str(tmp_path / "none")}, "cannot be read"),
    ):
        with (
            pytest.raises(RuntimeError, match="did not start") as refused,
            world(matcher_database, tmp_path / "log", **settings),
        ):
            pass
        assert said in str(refused.value)


def gauge(w: World, name: str, *, at_least: float, at_most: float | None = None, seconds: float = 6.0) -> bool:
    """Whether a metric comes to lie in a range (without `at_most`: at `at_least` and, for 0, exactly there)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with urlopen(f"{w.matcher.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        value = float(next(line.split()[1] for line in lines if line.split()[0] == name))
        if at_most is None and ((at_least == 0 and value == 0) or (at_least and value >= at_least)):
            return True
        if at_most is not None and at_least <= value <= at_most:
            return True
        time.sleep(0.1)
    return False
