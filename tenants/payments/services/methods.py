"""Payment methods of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import InvalidInput, NotFound
from engine.principals import Principal
from tenants.audit import services as audit
from tenants.identity import selectors as identity
from tenants.payments.models import MethodStatus, PaymentMethod, ProviderAccount, ProviderToken
from tenants.payments.services import secrets


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as the organization got it from the provider, and the account that knows it."""

    provider_account_id: UUID
    token: str = field(repr=False)
    customer: str | None = None


@transaction.atomic
def create_method(
    *, person_id: UUID, tokens: Sequence[NewToken], brand: str = "", last4: str = "", by: Principal
) -> PaymentMethod:
    """Remember what a person pays with: one token for each provider account that may be asked.

    Raises InvalidInput for a person or a provider account that does not exist.
    """
    try:
        # Held to the end: an erasure that comes meanwhile waits, and then forgets this payment method as well.
        identity.person(person_id=person_id, lock=True)
    except NotFound as error:
        raise InvalidInput("There is no such person.", field="person") from error
    if len({token.provider_account_id for token in tokens}) != len(tokens) or not tokens:
        raise InvalidInput("Give one token for each provider account, and at least one.", field="tokens")
    known = set(
        ProviderAccount.objects.filter(id__in=[token.provider_account_id for token in tokens]).values_list(
            "id", flat=True
        )
    )
    for index, token in enumerate(tokens):
        if token.provider_account_id not in known:
            raise InvalidInput("There is no such provider account.", field=f"tokens.{index}.provider_account")
    method = PaymentMethod.objects.create(person_id=person_id, brand=brand, last4=last4)
    for token in tokens:
        token_id = ids.uuid7()
        ProviderToken.objects.create(
            id=token_id,
            payment_method=method,
            provider_account_id=token.provider_account_id,
            sealed=secrets.seal_token(token_id=token_id, token=secrets.Token(token.token, token.customer)),
        )
    person = ids.encode("per", person_id)
    audit.write(action="payment_method.create", actor=by, resource=method.public_id, detail={"person": person})
    return method


@transaction.atomic
def detach_method(*, method: PaymentMethod, by: Principal, clock: Clock = utc_now) -> PaymentMethod:
    """Forget the tokens of a payment method for good; payments that were made with it stay. Repeatable."""
    method = PaymentMethod.objects.select_for_update(no_key=True).get(id=method.id)
    if method.status == MethodStatus.ACTIVE:
        method.status = MethodStatus.DETACHED
        method.detached_at = clock()
        method.save()
        ProviderToken.objects.filter(payment_method=method).delete()
        audit.write(action="payment_method.detach", actor=by, resource=method.public_id)
    return method


def forget_person(*, person_id: UUID, by: Principal, clock: Clock = utc_now) -> int:
    """Detach everything that an erased person paid with; answers how many. Repeatable."""
    methods = list(PaymentMethod.objects.active().filter(person_id=person_id))
    for method in methods:
        detach_method(method=method, by=by, clock=clock)
    return len(methods)
