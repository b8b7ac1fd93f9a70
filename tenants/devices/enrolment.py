"""From a code that an admin reads out to a device with a key."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, InvalidInput, NotFound
from engine.principals import Principal
from engine.tenancy.context import current_organization
from shared.organizations import limits
from tenants.access import services as access
from tenants.audit import services as audit
from tenants.devices import selectors
from tenants.devices.adapters import hints
from tenants.devices.events import DeviceEnrolled
from tenants.devices.models import Device, DeviceCredential, DeviceKind, EnrolmentCode
from tenants.devices.rules import codes, proofs
from tenants.events import services as events
from tenants.sites import selectors as sites

CLAIMS_PER_ADDRESS_MAX = 30
CLAIMS_WINDOW_S = 600
_HANDLE_TRIES = 20


class CodeNotAccepted(DomainError):
    """The code is unknown, used, expired or void. Which of these is not said to a stranger."""

    code = "code_not_accepted"
    status = 400
    title = "The enrolment code was not accepted"


class KeyTaken(Conflict):
    """The key already stands for a device."""

    code = "key_taken"
    title = "This key already belongs to a device"


class TooManyAttempts(DomainError):
    """Too many codes were tried from one address."""

    code = "too_many_attempts"
    status = 429
    title = "Too many attempts"


class ExpiryOutOfRange(InvalidInput):
    """A code lives from a minute to a week."""

    code = "expiry_out_of_range"
    title = "The lifetime of the code is not acceptable"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A device, the credential that it connects with, and where."""

    device: Device
    credential: DeviceCredential
    gateway_url: str


def create_code(
    *,
    site_id: UUID,
    name: str,
    by: Principal,
    kind: str = DeviceKind.TERMINAL,
    role: str = "terminal",
    expires_in: timedelta = codes.LIFETIME_DEFAULT,
    clock: Clock = utc_now,
    choose: Callable[[str], str] = secrets.choice,
) -> tuple[EnrolmentCode, str]:
    """Make a code for one device at a site. The second value is the code itself, shown this once.

    Raises InvalidInput (site_id, expires_in).
    """
    if not timedelta(minutes=1) <= expires_in <= codes.LIFETIME_MAX:
        raise ExpiryOutOfRange("A code lives from 60 s to 7 days.", field="expires_in_s")
    _check_site(site_id, by=by)
    now = clock()
    with transaction.atomic():
        for _ in range(_HANDLE_TRIES):
            code = codes.generate(choose)
            row = EnrolmentCode(
                handle=codes.handle(code),
                digest=codes.digest(code, pepper=_pepper()),
                site_id=site_id,
                kind=kind,
                name=name.strip(),
                role=role,
                expires_at=now + expires_in,
                created_by=by.public_id,
                created_at=now,
            )
            # Handles are not secret and there are a million: a taken one is simply drawn again.
            if EnrolmentCode.objects.filter(handle=row.handle).exists():
                continue
            row.save(force_insert=True)
            audit.write(
                action="enrolment_code.created",
                actor=by,
                resource=row.public_id,
                detail={"site": ids.encode("site", site_id), "kind": kind, "role": role},
            )
            return row, codes.printed(code)
    raise RuntimeError("no free handle was drawn; are there hundreds of thousands of codes?")


def claim(
    *,
    code: str,
    public_key: Mapping[str, Any],
    proof: str,
    client_address: str,
    clock: Clock = utc_now,
) -> Claimed:
    """Make the device that a code stands for, bound to the key that `proof` shows.

    The same code with the same key gives the same device again, so that a lost answer does no harm.
    Raises CodeNotAccepted, TooManyAttempts, KeyTaken, PlanLimitReached, InvalidInput (public_key, proof).
    """
    key = _checked_key(public_key)
    if not hints.take_attempt(key=f"claim:{client_address}", limit=CLAIMS_PER_ADDRESS_MAX, window_s=CLAIMS_WINDOW_S):
        raise TooManyAttempts(retry_after=CLAIMS_WINDOW_S)
    try:
        wanted = codes.normalized(code)
    except codes.MalformedCodeError as error:
        raise CodeNotAccepted(str(error), field="code") from error
    _check_proof(proof, key=key, code=wanted, now=clock())
    limits.of_plan()
    with transaction.atomic():
        row = (
            EnrolmentCode.objects.select_for_update(of=("self",))
            .select_related("site")
            .filter(handle=codes.handle(wanted))
            .first()
        )
        claimed = _claimed(row, wanted, key=key, at=clock()) if row else None
    # Outside, so that a wrong guess stays counted.
    if claimed is None:
        raise CodeNotAccepted("It is wrong, used or out of date.", field="code")
    return claimed


def _check_site(site_id: UUID, *, by: Principal) -> None:
    """Raises InvalidInput unless `by` may enrol devices there. A site out of sight is not there."""
    try:
        site = sites.site(site_id=site_id)
    except NotFound as error:
        raise InvalidInput("No site has this id.", field="site") from error
    if by.kind == "system":
        return
    if not access.check(principal=by, permission="devices.write", resource=site).allowed:
        raise InvalidInput("No site has this id.", field="site")


def _claimed(row: EnrolmentCode, wanted: str, *, key: proofs.PublicKey, at: datetime) -> Claimed | None:
    """The device of a code under lock; None, with the guess counted, when it is not the code."""
    if not hmac.compare_digest(bytes(row.digest), codes.digest(wanted, pepper=_pepper())):
        if row.is_open(at=at):
            row.wrong_attempts += 1
            row.save(update_fields=["wrong_attempts"])
        return None
    if row.device_id is not None:
        same = DeviceCredential.objects.filter(
            device_id=row.device_id, thumbprint=key.thumbprint, status="active"
        ).select_related("device__site")
        again = same.first() if at < row.expires_at else None
        return _answer(again.device, again) if again else None
    if not row.is_open(at=at):
        return None
    return _enrol(row, key=key, at=at)


def _enrol(row: EnrolmentCode, *, key: proofs.PublicKey, at: datetime) -> Claimed:
    limits.hold("devices", count=Device.objects.active().count)
    device = Device(id=ids.uuid7(), site=row.site, name=row.name, kind=row.kind, created_at=at)
    device.save(force_insert=True)
    try:
        with transaction.atomic():
            credential = DeviceCredential.objects.create(
                device=device, public_key=key.raw, thumbprint=key.thumbprint, created_at=at
            )
    except IntegrityError as error:
        if "devices_credential_key" not in str(error):
            raise
        raise KeyTaken("Make a new key for each device.", field="public_key") from error
    row.claimed_at, row.device = at, device
    row.save(update_fields=["claimed_at", "device"])
    # What the code may give was decided when it was made, by somebody who could give it.
    access.grant_role(principal=device.principal, role=row.role, scope="site", site_id=row.site_id)
    audit.write(
        action="device.enrolled",
        actor=device.principal,
        resource=device.public_id,
        detail={"code": row.public_id, "site": row.site.public_id, "key": key.thumbprint},
    )
    events.record(event=DeviceEnrolled(device=device.public_id, site=row.site.public_id, kind=device.kind))
    return _answer(device, credential)


def _answer(device: Device, credential: DeviceCredential) -> Claimed:
    url = selectors.gateway_url(organization=current_organization())
    return Claimed(device=device, credential=credential, gateway_url=url)


def _checked_key(jwk: Mapping[str, Any]) -> proofs.PublicKey:
    try:
        return proofs.PublicKey.from_jwk(jwk)
    except proofs.InvalidKeyError as error:
        raise InvalidInput(str(error), field="public_key") from error


def _check_proof(proof: str, *, key: proofs.PublicKey, code: str, now: datetime) -> None:
    try:
        claims = proofs.claims(
            proof,
            key=key,
            typ=proofs.CLAIM,
            audience=selectors.claim_url(organization=current_organization()),
            now=now,
            names=frozenset({"code"}),
        )
        proven = codes.normalized(claims["code"])
    except (proofs.InvalidProofError, codes.MalformedCodeError) as error:
        raise InvalidInput(f"The proof does not hold: {error}.", field="proof") from error
    if not hmac.compare_digest(proven, code):
        raise InvalidInput("The proof is for another code.", field="proof")


def _pepper() -> bytes:
    """A key outside the database, another one for each organization."""
    purpose = f"enrolment-codes:{current_organization().id}"
    return hmac.digest(settings.SECRET_KEY.encode(), purpose.encode(), hashlib.sha256)
