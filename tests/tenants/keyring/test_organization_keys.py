"""Organization keys: made once, rotated without losing anything, and never two active."""

from __future__ import annotations

import threading
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from engine.keys.contexts import PURPOSES
from engine.keys.envelope import EnvelopeBroken
from engine.keys.kms import open_kms
from engine.keys.tree import OrganizationKeys, open_person_key
from engine.matcher_client import MatcherUnavailable
from engine.tenancy.context import OrganizationContext, organization
from tenants.keyring import services
from tenants.keyring.adapters.local import LocalKeyHolder
from tenants.keyring.models import OrganizationKey, PersonKey
from tests.harness import environment
from tests.matcher.world import World, new_model, text, vector
from tests.tenants.keyring.conftest import forget_keys

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("keyring")]


def states(purpose: str) -> dict[int, str]:
    return dict(OrganizationKey.objects.filter(purpose=purpose).values_list("version", "state"))


def in_threads(context: OrganizationContext, count: int, act: Callable[[], object]) -> list[BaseException]:
    """Run an act several times at once inside an organization; returns what went wrong."""
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run() -> None:
        try:
            with organization(context):
                start.wait()
                act()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_provisioning_makes_one_key_per_purpose_and_keeps_what_is_there(w: World) -> None:
    forget_keys(w.database, w.a)
    with organization(w.a):
        services.provision_keys()
        made = {key.purpose: key for key in OrganizationKey.objects.all()}
        assert set(made) == set(PURPOSES)
        assert {(key.version, key.state) for key in made.values()} == {(1, "active")}
        assert made["biometric"].kms_key_id == "biometric"
        assert made["secrets"].kms_key_id == made["documents"].kms_key_id == "platform"
        services.provision_keys()
        assert set(OrganizationKey.objects.values_list("id", flat=True)) == {key.id for key in made.values()}
    forget_keys(w.database, w.a, "documents")
    with organization(w.a):
        services.provision_keys()
        again = {key.purpose: key.id for key in OrganizationKey.objects.all()}
    assert again["biometric"] == made["biometric"].id
    assert again["documents"] != made["documents"].id


def test_the_biometric_key_opens_with_the_matchers_kms_alone(in_a: OrganizationContext) -> None:
    row = OrganizationKey.objects.get(purpose="biometric").row(organization_id=in_a.id)
    assert OrganizationKeys(open_kms(environment.BIOMETRIC_KMS_URL)).get(row)
    with pytest.raises(Exception, match="there is no KMS key biometric"):
        OrganizationKeys(open_kms(environment.KMS_URL)).get(row)


def test_provisioning_that_meets_no_matcher_can_be_repeated(w: World) -> None:
    forget_keys(w.database, w.a)
    with organization(w.a):
        with override_settings(MATCHER_URL="http://127.0.0.1:1"), pytest.raises(MatcherUnavailable):
            services.provision_keys()
        services.provision_keys()
        assert OrganizationKey.objects.count() == len(PURPOSES)


def test_several_at_once_provision_one_set(w: World) -> None:
    forget_keys(w.database, w.a)
    assert in_threads(w.a, 3, services.provision_keys) == []
    with organization(w.a):
        assert sorted(OrganizationKey.objects.values_list("purpose", flat=True)) == sorted(PURPOSES)


def test_a_rotated_key_of_secrets_opens_what_it_sealed_and_seals_no_more(in_a: OrganizationContext) -> None:
    old = services.seal_secret(purpose_name="oauth", record_id="k1", plaintext=b"old")
    new_key = services.rotate_organization_key(purpose="secrets")
    assert states("secrets") == {1: "retired", 2: "active"}
    new = services.seal_secret(purpose_name="oauth", record_id="k1", plaintext=b"new")
    assert new_key.id.bytes in new
    assert new_key.id.bytes not in old
    assert services.open_secret(purpose_name="oauth", record_id="k1", sealed=old) == b"old"
    assert services.open_secret(purpose_name="oauth", record_id="k1", sealed=new) == b"new"


def test_a_rotation_moves_every_person_key_and_templates_still_match(w: World) -> None:
    model = new_model()
    people = [w.enroll(w.a, model, vector(seed)) for seed in range(5)]
    with organization(w.a):
        before = {key.person_id: bytes(key.wrapped) for key in PersonKey.objects.all()}
        services.rotate_organization_key(purpose="biometric", batch=2)
        assert states("biometric") == {1: "retired", 2: "active"}
        after = {key.person_id: key for key in PersonKey.objects.all()}
        assert set(after) == set(before)
        for person_id, key in after.items():
            assert key.organization_key_version == 2
            assert bytes(key.wrapped) != before[person_id]
    for seed, person in enumerate(people):
        assert w.found(w.a, model, vector(seed), k=1) == [person.person_id]
    with organization(w.b):
        assert states("biometric") == {1: "active"}


def test_an_interrupted_rotation_is_finished_and_not_begun_again(
    in_a: OrganizationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [uuid4() for _ in range(5)]
    for person in people:
        services.ensure_person_key(person_id=person, purpose="documents")
    rewrap, calls = LocalKeyHolder.rewrap, []

    def dies_at_the_second_batch(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise ConnectionError("killed")
        return rewrap(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalKeyHolder, "rewrap", dies_at_the_second_batch)
    with pytest.raises(ConnectionError):
        services.rotate_organization_key(purpose="documents", batch=2)
    assert states("documents") == {1: "retiring", 2: "active"}
    assert PersonKey.objects.filter(organization_key_version=2).count() == 2
    newcomer = services.ensure_person_key(person_id=uuid4(), purpose="documents")
    assert newcomer.organization_key_version == 2
    services.rotate_organization_key(purpose="documents", batch=2)
    assert states("documents") == {1: "retired", 2: "active"}
    assert set(PersonKey.objects.values_list("organization_key_version", flat=True)) == {2}


def test_a_moved_person_key_is_the_same_key(in_a: OrganizationContext) -> None:
    person = services.ensure_person_key(person_id=uuid4(), purpose="documents")
    keys = OrganizationKeys(open_kms(environment.KMS_URL))

    def opened() -> bytes:
        row = PersonKey.objects.get(id=person.id)
        organization_key = OrganizationKey.objects.get(purpose="documents", version=row.organization_key_version)
        held = open_person_key(keys, organization_key.row(organization_id=in_a.id), row.row(organization_id=in_a.id))
        with held.use() as material:
            return bytes(material)

    before = opened()
    services.rotate_organization_key(purpose="documents")
    assert opened() == before


def test_a_rotation_needs_a_first_key(w: World) -> None:
    forget_keys(w.database, w.a, "documents")
    with organization(w.a):
        with pytest.raises(services.KeysMissing):
            services.rotate_organization_key(purpose="documents")
        with pytest.raises(services.KeysMissing):
            services.ensure_person_key(person_id=uuid4(), purpose="documents")


def test_several_at_once_rotate_without_losing_a_person(w: World) -> None:
    with organization(w.a):
        for _ in range(6):
            services.ensure_person_key(person_id=uuid4(), purpose="documents")
    failures = in_threads(w.a, 3, lambda: services.rotate_organization_key(purpose="documents", batch=2))
    assert failures == []
    with organization(w.a):
        active = [version for version, state in states("documents").items() if state == "active"]
        assert len(active) == 1
        assert set(PersonKey.objects.values_list("organization_key_version", flat=True)) == set(active)
        services.rotate_organization_key(purpose="documents")


@pytest.mark.parametrize(
    "act",
    [
        services.provision_keys,
        lambda: services.rotate_organization_key(purpose="secrets"),
        lambda: services.ensure_person_key(person_id=UUID(int=1), purpose="documents"),
        lambda: services.erase_person_keys(person_id=UUID(int=1)),
        services.replay_erasures,
    ],
)
def test_what_acts_outside_the_database_refuses_a_transaction(
    in_a: OrganizationContext, act: Callable[[], object]
) -> None:
    with pytest.raises(services.InsideTransaction), transaction.atomic():
        act()


def test_a_secret_opens_for_its_use_record_and_organization_alone(w: World) -> None:
    with organization(w.a):
        sealed = services.seal_secret(purpose_name="webhooks.secret", record_id="we_1", plaintext=b"whsec")
        assert services.open_secret(purpose_name="webhooks.secret", record_id="we_1", sealed=sealed) == b"whsec"
        assert b"whsec" not in sealed
        for use, record in (("webhooks.secret", "we_2"), ("oauth.key", "we_1")):
            with pytest.raises(EnvelopeBroken):
                services.open_secret(purpose_name=use, record_id=record, sealed=sealed)
        stolen = OrganizationKey.objects.get(purpose="secrets")
    with organization(w.b):
        with pytest.raises(EnvelopeBroken):
            services.open_secret(purpose_name="webhooks.secret", record_id="we_1", sealed=sealed)
        # Even with a's key row copied into b: the KMS wrapped it for a.
        stolen.version, stolen.state = 2, "retired"
        OrganizationKey.objects.bulk_create([stolen])
        with pytest.raises(Exception, match="the key or the context is not the one"):
            services.open_secret(purpose_name="webhooks.secret", record_id="we_1", sealed=sealed)


def test_opening_again_asks_neither_the_database_nor_the_kms(in_a: OrganizationContext) -> None:
    sealed = services.seal_secret(purpose_name="oauth", record_id="k1", plaintext=b"secret")
    services.open_secret(purpose_name="oauth", record_id="k1", sealed=sealed)
    with CaptureQueriesContext(connection) as queries:
        assert services.open_secret(purpose_name="oauth", record_id="k1", sealed=sealed) == b"secret"
    assert len(queries) == 0


def test_an_organization_cannot_delete_its_keys(in_a: OrganizationContext) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        OrganizationKey.objects.all().delete()


@pytest.mark.parametrize(
    "values",
    [
        {"purpose": "secrets", "version": 2, "state": "active"},
        {"purpose": "secrets", "version": 1, "state": "retired"},
        {"purpose": "secrets", "version": 0, "state": "retired"},
        {"purpose": "payments", "version": 1, "state": "active"},
        {"purpose": "secrets", "version": 3, "state": "lost"},
    ],
)
def test_the_table_holds_its_rules_itself(in_a: OrganizationContext, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        OrganizationKey.objects.create(wrapped=b"w", kms_key_id="k", **values)


def test_a_person_has_one_key_per_purpose(in_a: OrganizationContext) -> None:
    person_id = uuid4()
    first = services.ensure_person_key(person_id=person_id, purpose="documents")
    assert services.ensure_person_key(person_id=person_id, purpose="documents") == first
    for purpose in ("documents", "secrets"):
        with pytest.raises(IntegrityError), transaction.atomic():
            PersonKey.objects.create(person_id=person_id, purpose=purpose, organization_key_version=1, wrapped=b"w")


def test_several_at_once_make_one_person_key(w: World) -> None:
    person_id, made = uuid4(), set[UUID]()
    failures = in_threads(
        w.a, 4, lambda: made.add(services.ensure_person_key(person_id=person_id, purpose="documents").id)
    )
    assert failures == []
    assert len(made) == 1


def test_a_person_key_that_a_rotation_overtook_is_not_stored(w: World) -> None:
    sealed = w.call(
        w.a,
        "/v1/seal",
        person_id=str(uuid4()),
        modality="face",
        model=new_model(),
        version=1,
        person_key=None,
        vector=text(vector(1)),
    )["person_key"]
    key = services.WrappedPersonKey(
        UUID(sealed["key_id"]), sealed["organization_key_version"], sealed["wrapped"].encode()
    )
    with organization(w.a):
        services.rotate_organization_key(purpose="biometric")
        with pytest.raises(services.KeyRotated):
            services.store_biometric_person_key(person_id=uuid4(), key=key)
        assert not PersonKey.objects.exists()
