"""A device asks for a checkout: written down first, then looked for, decided, paid."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from engine import outbox
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError
from engine.matcher_client import MatcherUnavailable
from engine.principals import Principal
from engine.tenancy.context import current_organization
from tenants.access import services as access
from tenants.checkouts import deciding, finishing, policy, rules
from tenants.checkouts.models import Checkout, UsedProbe
from tenants.checkouts.rules import Reason, State
from tenants.devices import selectors as devices
from tenants.devices.rules.proofs import PublicKey
from tenants.identity import services as identity
from tenants.identity.adapters.matcher import VectorRefused

CONFIRMATION_WITHIN = timedelta(minutes=5)
CANDIDATES = 5


class InvalidSignature(DomainError):
    """The frame was not signed with the key of the session, or was changed on its way."""

    code = "invalid_signature"
    status = 400
    title = "The signature does not hold"


class SequenceReused(Conflict):
    """The sequence was used for another frame."""

    code = "sequence_reused"
    title = "This sequence was used for another frame"


class RecognitionUnavailable(DomainError):
    """Nobody could be looked for. The same frame, sent again, goes on where this one stopped."""

    code = "matcher_unavailable"
    status = 503
    title = "Recognition is not available at the moment"


@dataclass(frozen=True, slots=True)
class Asked:
    """A checkout frame, validated. `signed` are the bytes that the device signed."""

    device: Principal
    credential_id: UUID
    key: PublicKey
    sequence: int
    amount_minor: int
    currency: str
    modality: str
    model: str
    probe: bytes
    captured_at: datetime
    liveness_method: str
    liveness_score: float
    signed: bytes
    signature: bytes
    claimed_person_id: UUID | None = None
    confirms_id: UUID | None = None
    pin: str | None = None

    @property
    def frame_sha256(self) -> bytes:
        """What makes a repeat a repeat."""
        return hashlib.sha256(self.signed).digest()


def take(*, asked: Asked, clock: Clock = utc_now) -> Checkout:
    """Take a checkout as far as it goes now, and answer its row. Call outside any transaction.

    A repeat of the frame gets the first one's answer, or goes on where that was interrupted.
    Raises InvalidSignature, SequenceReused, RecognitionUnavailable.
    """
    if not asked.key.verifies(signature=asked.signature, message=asked.signed):
        raise InvalidSignature(field="signature")
    checkout, is_ours = _begun_or_found(asked, clock=clock)
    if not is_ours:
        return checkout
    if checkout.state == State.RECEIVED:
        checkout = _recognise(checkout, asked, clock=clock)
    if checkout.state in (State.PAYING, State.UNKNOWN):
        checkout = finishing.pay(checkout_id=checkout.id, clock=clock)
    return checkout


def _begun_or_found(asked: Asked, *, clock: Clock) -> tuple[Checkout, bool]:
    """The checkout's row, and whether it is this caller's turn to work on it."""
    found = _find(asked)
    if found is None:
        try:
            with transaction.atomic():
                return _begin(asked, at=clock()), True
        except IntegrityError as error:
            if "checkouts_checkout_sequence" not in str(error):
                raise
        found = _find(asked)
        if found is None:
            raise RuntimeError("a row that was in the way is gone")
    if not hmac.compare_digest(bytes(found.frame_sha256), asked.frame_sha256):
        raise SequenceReused("Count on: every new frame takes a new sequence.", field="sequence")
    return finishing.take_over(checkout_id=found.id, clock=clock)


def _find(asked: Asked) -> Checkout | None:
    return Checkout.objects.filter(
        device_id=asked.device.id, credential_id=asked.credential_id, sequence=asked.sequence
    ).first()


def _begin(asked: Asked, *, at: datetime) -> Checkout:
    device = devices.device(device_id=asked.device.id)
    decision = access.check(
        principal=asked.device,
        permission=finishing.PERMISSION,
        resource=device,
        amount_minor=asked.amount_minor,
        currency=asked.currency,
        clock=lambda: at,
    )
    rows = policy.current_policy()
    confirms, confirmation_fault = _confirmed_checkout(asked, at=at)
    checkout = Checkout.objects.create(
        device_id=device.id,
        credential_id=asked.credential_id,
        site_id=device.site_id,
        sequence=asked.sequence,
        frame_sha256=asked.frame_sha256,
        signature=asked.signature,
        amount_minor=asked.amount_minor,
        currency=asked.currency,
        modality=asked.modality,
        model=asked.model,
        captured_at=asked.captured_at,
        liveness_method=asked.liveness_method,
        liveness_score=asked.liveness_score,
        claimed_person_id=asked.claimed_person_id,
        confirms=confirms,
        state=State.RECEIVED,
        grant_id=decision.grant_id,
        policy_version=rows.version,
        worked_on_until=at + finishing.LEASE,
        created_at=at,
    )
    is_fresh = _use_up(asked.probe, checkout=checkout, at=at)
    refused = None if decision.allowed else rules.reason_of_access(decision.reason)
    refused = refused if device.is_working else Reason.DEVICE_NOT_ACTIVE
    refused = refused or rules.refusal(
        policy=policy.as_rules(rows),
        evidence=rules.Evidence(
            amount_minor=asked.amount_minor,
            currency=asked.currency,
            captured_at=asked.captured_at,
            received_at=at,
            liveness_score=asked.liveness_score,
        ),
    )
    refused = refused or (None if is_fresh else Reason.PROBE_REPLAYED) or confirmation_fault
    if refused is not None:
        finishing.finish(checkout, state=State.DECLINED, reason=refused, at=at)
    else:
        # Whatever becomes of this process, the checkout comes to an end.
        outbox.send(
            name="checkouts.advance",
            payload={"checkout": str(checkout.id)},
            available_at=at + finishing.ABANDONED_AFTER,
        )
    return checkout


def _confirmed_checkout(asked: Asked, *, at: datetime) -> tuple[Checkout | None, Reason | None]:
    """The checkout that asked for this confirmation; or why there is none that this one confirms."""
    if asked.confirms_id is None:
        return None, None
    found = (
        Checkout.objects.select_for_update(of=("self",))
        .filter(
            id=asked.confirms_id,
            device_id=asked.device.id,
            state=State.CONFIRMATION_REQUIRED,
            amount_minor=asked.amount_minor,
            currency=asked.currency,
            finished_at__gt=at - CONFIRMATION_WITHIN,
            confirmed_by=None,
        )
        .first()
    )
    return found, None if found else Reason.CONFIRMATION_NOT_ACCEPTED


def _use_up(probe: bytes, *, checkout: Checkout, at: datetime) -> bool:
    """Note a probe; False when it was presented before."""
    purpose = f"used-probes:{current_organization().id}"
    key = hmac.digest(settings.SECRET_KEY.encode(), purpose.encode(), hashlib.sha256)
    digest = hmac.digest(key, probe, hashlib.sha256)
    row = UsedProbe(digest=digest, checkout=checkout, created_at=at)
    UsedProbe.objects.bulk_create([row], ignore_conflicts=True)
    return UsedProbe.objects.filter(digest=digest, checkout=checkout).exists()


def _recognise(checkout: Checkout, asked: Asked, *, clock: Clock) -> Checkout:
    """Ask the matcher outside any transaction, then decide inside one."""
    try:
        found = identity.search(modality=asked.modality, model=asked.model, vector=asked.probe, limit=CANDIDATES)
    except VectorRefused:
        return deciding.refuse_probe(checkout=checkout, clock=clock)
    except MatcherUnavailable as error:
        finishing.let_go(checkout, clock=clock)
        raise RecognitionUnavailable(retry_after_ms=1000) from error
    return deciding.decide(checkout=checkout, found=found, pin=asked.pin, clock=clock)
