"""From a code that an admin reads out to a device with a key."""

from __future__ import annotations

import contextlib
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
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import current_organization
from shared.accounts import attempts
from shared.accounts.attempts import Bucket, TooManyAttempts
from shared.organizations import limits
from tenants.access import services as access
from tenants.audit import services as audit
from tenants.devices import selectors
from tenants.devices.events import DeviceEnrolled, DeviceReEnrolled
from tenants.devices.models import CredentialStatus, Device, DeviceCredential, DeviceKind, EnrolmentCode
from tenants.devices.rules import codes, proofs
from tenants.devices.rules.states import DeviceStatus
from tenants.events import services as events
from tenants.sites import selectors as sites

CLAIMS_PER_ADDRESS_MAX = 30
CLAIMS_WINDOW = timedelta(minutes=10)
GUESSES_UNTOLD_MAX = 100
"""Wrong codes of the whole organization within an hour; one more, and the audit log has it."""
_GUESSES_WINDOW = timedelta(hours=1)
_HANDLE_TRIES = 20
PERMISSION = "devices.write"
_NO_ROLE = ""
"""Of a code that enrols a device again: it keeps what it was given."""


class CodeNotAccepted(DomainError):
    """The code is unknown, used, expired or void. Which of these is not said to a stranger."""

    code = "code_not_accepted"
    status = 400
    title = "The enrolment code was not accepted"


class KeyTaken(Conflict):
    """The key already stands for a device."""

    code = "key_taken"
    title = "This key already belongs to a device"


class DeviceNotReset(Conflict):
    """Only a device that was reset is enrolled again: the key that it has would end by surprise."""

    code = "device_not_reset"
    title = "The device was not reset"


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

    Raises InvalidInput (site, expires_in_s), UnknownRole, CannotGrantMore.
    """
    site = check_site(site_id, by=by)
    access.require_hand_out(role=role, where=site.location, by=by)
    return _make(
        EnrolmentCode(site=site, kind=kind, name=name.strip(), role=role, created_by=by.public_id),
        by=by,
        expires_in=expires_in,
        clock=clock,
        choose=choose,
    )


def create_code_again(
    *,
    device_id: UUID,
    by: Principal,
    expires_in: timedelta = codes.LIFETIME_DEFAULT,
    clock: Clock = utc_now,
    choose: Callable[[str], str] = secrets.choice,
) -> tuple[EnrolmentCode, str]:
    """Make a code by which a device that was reset gets another key, and stays the device that it is.

    Whoever holds the code becomes the device, with all that it holds. Raises NotFound, DeviceNotReset,
    CannotGrantMore, InvalidInput (expires_in).
    """
    device = selectors.device(device_id=device_id)
    if device.status != DeviceStatus.RESET:
        raise DeviceNotReset(f"It is {device.status}: reset it first.")
    access.require_mastery_of(giver=by, subject=device.principal)
    code = EnrolmentCode(
        site=device.site,
        kind=device.kind,
        name=device.name,
        role=_NO_ROLE,
        re_enrols=device,
        created_by=by.public_id,
    )
    return _make(code, by=by, expires_in=expires_in, clock=clock, choose=choose)


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
    mine = [Bucket(f"claim:address:{client_address}", CLAIMS_PER_ADDRESS_MAX, CLAIMS_WINDOW)]
    try:
        attempts.count(mine, clock=clock)
    except TooManyAttempts as error:
        raise TooManyAttempts("Too many codes were tried from here. Wait a while.", **error.extra) from error
    try:
        wanted = codes.normalized(code)
    except codes.MalformedCodeError as error:
        raise CodeNotAccepted(str(error), field="code") from error
    _check_proof(proof, key=key, code=wanted, now=clock())
    limits.of_plan()
    with transaction.atomic():
        row = (
            EnrolmentCode.objects.select_for_update(of=("self",))
            .select_related("site", "re_enrols__site")
            .filter(handle=codes.handle(wanted))
            .first()
        )
        claimed = _claimed(row, wanted, key=key, at=clock()) if row else None
    # Outside, so that a wrong guess stays counted.
    if claimed is None:
        _note_guess(clock=clock)
        raise CodeNotAccepted("It is wrong, used or out of date.", field="code")
    # Whoever rolls out a hundred terminals behind one address is no guesser.
    attempts.take_back(mine)
    return claimed


def check_site(site_id: UUID, *, by: Principal) -> Any:
    """The site. Raises InvalidInput unless `by` may enrol devices there. A site out of sight is not there."""
    try:
        site = sites.site(site_id=site_id)
    except NotFound as error:
        raise InvalidInput("No site has this id.", field="site") from error
    if by.kind == "system":
        return site
    if not access.check(principal=by, permission=PERMISSION, resource=site).allowed:
        raise InvalidInput("No site has this id.", field="site")
    return site


def _make(
    code: EnrolmentCode, *, by: Principal, expires_in: timedelta, clock: Clock, choose: Callable[[str], str]
) -> tuple[EnrolmentCode, str]:
    if not timedelta(minutes=1) <= expires_in <= codes.LIFETIME_MAX:
        raise ExpiryOutOfRange("A code lives from 60 s to 7 days.", field="expires_in_s")
    code.created_at = clock()
    code.expires_at = code.created_at + expires_in
    with transaction.atomic():
        for _ in range(_HANDLE_TRIES):
            drawn = codes.generate(choose)
            code.handle, code.digest = codes.handle(drawn), codes.digest(drawn, pepper=_pepper())
            # Handles are not secret and there are a million: a taken one is simply drawn again.
            if EnrolmentCode.objects.filter(handle=code.handle).exists():
                continue
            code.save(force_insert=True)
            detail = {"site": code.site.public_id, "kind": code.kind, "role": code.role}
            if code.re_enrols is not None:
                detail["device"] = code.re_enrols.public_id
            audit.write(action="enrolment_code.created", actor=by, resource=code.public_id, detail=detail)
            return code, codes.printed(drawn)
    raise RuntimeError("no free handle was drawn; are there hundreds of thousands of codes?")


def _note_guess(*, clock: Clock) -> None:
    """Wrong codes lock nobody out, and somebody should know when there are many."""

    def tell(bucket: Bucket) -> None:
        with transaction.atomic():
            audit.write(
                action="enrolment_code.guessed",
                actor=SYSTEM,
                resource=ids.encode("org", current_organization().id),
                detail={"wrong_codes": bucket.limit, "within_s": int(bucket.window.total_seconds())},
            )

    whole = [Bucket("claim:wrong", GUESSES_UNTOLD_MAX, _GUESSES_WINDOW)]
    with contextlib.suppress(TooManyAttempts):
        attempts.count(whole, clock=clock, crossed=tell)


def _claimed(row: EnrolmentCode, wanted: str, *, key: proofs.PublicKey, at: datetime) -> Claimed | None:
    """The device of a code under lock; None, with the guess counted, when it is not the code."""
    if not hmac.compare_digest(bytes(row.digest), codes.digest(wanted, pepper=_pepper())):
        _count_guess(row, at=at)
        return None
    if row.claimed_device_id is not None:
        same = DeviceCredential.objects.filter(
            device_id=row.claimed_device_id, thumbprint=key.thumbprint, status=CredentialStatus.ACTIVE
        ).select_related("device__site")
        again = same.first() if at < row.expires_at else None
        return _answer(again.device, again) if again else None
    if not row.is_open(at=at) or not _is_backed(row, at=at):
        return None
    if row.re_enrols_id is not None:
        return _enrol_again(row, device_id=row.re_enrols_id, key=key, at=at)
    return _enrol(row, key=key, at=at)


def _count_guess(row: EnrolmentCode, *, at: datetime) -> None:
    if not row.is_open(at=at):
        return
    row.wrong_attempts += 1
    row.save(update_fields=["wrong_attempts"])
    if row.wrong_attempts == codes.ATTEMPTS_MAX:
        detail = {"wrong_attempts": row.wrong_attempts}
        audit.write(action="enrolment_code.voided", actor=SYSTEM, resource=row.public_id, detail=detail)


def _is_backed(row: EnrolmentCode, *, at: datetime) -> bool:
    """Whether whoever made the code could still make it: with an admin's roles go the admin's codes."""
    if row.re_enrols is not None:
        device = row.re_enrols
        return access.still_holds(
            PERMISSION, where=device.location, by=row.created_by, clock=lambda: at
        ) and access.still_masters(subject=device.principal, by=row.created_by, clock=lambda: at)
    return access.still_hands_out(
        role=row.role, where=row.site.location, by=row.created_by, needs=PERMISSION, clock=lambda: at
    )


def _enrol(row: EnrolmentCode, *, key: proofs.PublicKey, at: datetime) -> Claimed:
    limits.hold("devices", count=Device.objects.counted().count)
    device = Device(id=ids.uuid7(), site=row.site, name=row.name, kind=row.kind, created_at=at)
    device.save(force_insert=True)
    credential = add_credential(device, key=key, status=CredentialStatus.ACTIVE, at=at)
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


def _enrol_again(row: EnrolmentCode, *, device_id: UUID, key: proofs.PublicKey, at: datetime) -> Claimed | None:
    device = Device.objects.select_for_update(of=("self",)).select_related("site").get(id=device_id)
    if device.status != DeviceStatus.RESET:
        return None
    credential = add_credential(device, key=key, status=CredentialStatus.ACTIVE, at=at)
    device.status = DeviceStatus.ACTIVE
    device.save(update_fields=["status"])
    row.claimed_at = at
    row.save(update_fields=["claimed_at"])
    # Others that were made for it must not serve after another reset.
    others = EnrolmentCode.objects.filter(re_enrols_id=device_id, claimed_at=None, expires_at__gt=at)
    others.update(expires_at=at)
    audit.write(
        action="device.re_enrolled",
        actor=device.principal,
        resource=device.public_id,
        detail={"code": row.public_id, "key": key.thumbprint},
    )
    events.record(event=DeviceReEnrolled(device=device.public_id))
    return _answer(device, credential)


def add_credential(
    device: Device, *, key: proofs.PublicKey, status: str, at: datetime, expires_at: datetime | None = None
) -> DeviceCredential:
    """A new key of a device that the caller has locked, or made. Raises KeyTaken."""
    try:
        with transaction.atomic():
            return DeviceCredential.objects.create(
                device=device,
                public_key=key.raw,
                thumbprint=key.thumbprint,
                status=status,
                expires_at=expires_at,
                created_at=at,
            )
    except IntegrityError as error:
        if "devices_credential_key" not in str(error):
            raise
        raise KeyTaken("Make a new key, each time and for each device.", field="public_key") from error


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
