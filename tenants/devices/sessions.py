"""Opening, watching and closing the sessions of devices."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import DomainError
from engine.principals import Principal
from tenants.devices import rotation
from tenants.devices.models import CredentialStatus, DeviceCommand, DeviceCredential, GatewaySession
from tenants.devices.rules import proofs
from tenants.devices.rules.states import CONNECTING, DeviceStatus

SESSIONS_KEPT = timedelta(days=30)
"""Far longer than a proof is good for; after that nobody asks when a device was connected."""
_NAMES = frozenset({"sub", "credential", "nonce"})


class NotProvenError(DomainError):
    """The device did not prove who it is. `reason` helps its maker, and tells a stranger nothing."""

    code = "not_authenticated"
    status = 401
    title = "The proof was not accepted"


class SessionEndedError(DomainError):
    """The device or its key was shut out since the session was opened."""

    code = "device_revoked"
    status = 403
    title = "The device or its key was revoked"


class DeviceQuarantined(DomainError):
    """The device may connect, and do no work until somebody releases it."""

    code = "device_quarantined"
    status = 403
    title = "The device is quarantined"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """Who is at the other end of a socket. `status` is the device's: active or quarantined."""

    session_id: UUID
    status: str
    device: Principal
    credential_id: UUID
    key: proofs.PublicKey


@dataclass(frozen=True, slots=True)
class Recheck:
    """What became of connected devices: those to close, and those with commands that wait."""

    revoked: frozenset[UUID]
    waiting: frozenset[UUID]


def open_session(*, token: str, nonce: str, audience: str, clock: Clock = utc_now) -> OpenedSession:
    """Check the proof of a device against the nonce that it was given. Raises NotProvenError."""
    try:
        device_id = ids.decode("dev", proofs.unverified(token, "sub"))
        credential_id = ids.decode("cred", proofs.unverified(token, "credential"))
    except (proofs.InvalidProofError, ids.InvalidId) as error:
        raise _not_proven("malformed") from error
    credential = DeviceCredential.objects.select_related("device").filter(id=credential_id, device_id=device_id).first()
    # An unknown device and a wrong signature look the same from outside.
    if credential is None:
        raise _not_proven("wrong_signature")
    try:
        claims = proofs.claims(
            token,
            key=credential.key,
            typ=proofs.GATEWAY,
            audience=audience,
            now=clock(),
            names=_NAMES,
        )
    except proofs.InvalidProofError as error:
        raise _not_proven(error.reason) from error
    if not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
        raise _not_proven("wrong_nonce")
    status = credential.device.status
    if status not in CONNECTING:
        raise _not_proven(f"device_{status}")
    if not credential.can_open(at=clock()):
        lapsed = credential.status == CredentialStatus.PENDING
        raise _not_proven("credential_expired" if lapsed else f"credential_{credential.status}")
    try:
        with transaction.atomic():
            if credential.status == CredentialStatus.PENDING and not rotation.take_up(
                credential_id=credential.id, device_id=device_id, clock=clock
            ):
                raise _not_proven("credential_revoked")
            GatewaySession.objects.filter(device_id=device_id, created_at__lt=clock() - SESSIONS_KEPT).delete()
            session = GatewaySession.objects.create(
                device_id=device_id, credential=credential, nonce=nonce, created_at=clock()
            )
    except IntegrityError as error:
        if "devices_session_nonce" not in str(error):
            raise
        raise _not_proven("nonce_used") from error
    return OpenedSession(
        session_id=session.id,
        status=status,
        device=credential.device.principal,
        credential_id=credential.id,
        key=credential.key,
    )


def require_standing(*, device_id: UUID, credential_id: UUID, in_quarantine: bool) -> None:
    """Look, before a frame is worked on, whether its session still stands: a socket takes a while to close.

    `in_quarantine` says that the frame is for quarantined devices too. Raises SessionEndedError, DeviceQuarantined.
    """
    found = (
        DeviceCredential.objects.filter(id=credential_id, device_id=device_id)
        .values_list("status", "device__status")
        .first()
    )
    if found is None or found[0] != CredentialStatus.ACTIVE or found[1] not in CONNECTING:
        raise SessionEndedError
    if found[1] == DeviceStatus.QUARANTINED and not in_quarantine:
        raise DeviceQuarantined("It may only say that it is there, until somebody releases it.")


def close_session(*, session_id: UUID, code: int | None, clock: Clock = utc_now) -> None:
    """Note that a socket has closed, and why when this side closed it."""
    GatewaySession.objects.filter(id=session_id, closed_at=None).update(closed_at=clock(), close_code=code)


def recheck(*, credentials: Mapping[UUID, UUID], clock: Clock = utc_now) -> Recheck:
    """Look connected devices up again, by device and the credential that opened the session."""
    active = set(
        DeviceCredential.objects.filter(
            id__in=list(credentials.values()),
            status=CredentialStatus.ACTIVE,
            device__status__in=CONNECTING,
        ).values_list("device_id", flat=True)
    )
    waiting = (
        DeviceCommand.objects.pending(at=clock())
        .filter(device_id__in=active)
        .order_by()
        .values_list("device_id", flat=True)
        .distinct()
    )
    return Recheck(
        revoked=frozenset(credentials.keys() - active),
        waiting=frozenset(waiting),
    )


def note_seen(*, seen_at: Mapping[UUID, datetime]) -> None:
    """Write when devices were last heard, in one statement. Never moves a moment back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE devices_device SET last_seen_at = heard.at"
            " FROM unnest(%s::uuid[], %s::timestamptz[]) AS heard(id, at)"
            " WHERE devices_device.id = heard.id"
            " AND (last_seen_at IS NULL OR last_seen_at < heard.at)",
            [list(seen_at), list(seen_at.values())],
        )


def _not_proven(reason: str) -> NotProvenError:
    return NotProvenError(f"The proof was not accepted: {reason}.", reason=reason)
