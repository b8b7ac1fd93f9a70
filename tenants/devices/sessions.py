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
from tenants.devices.models import (
    CredentialStatus,
    DeviceCommand,
    DeviceCredential,
    DeviceStatus,
    GatewaySession,
)
from tenants.devices.rules import proofs

SESSIONS_KEPT = timedelta(days=30)
"""Far longer than a proof is good for; after that nobody asks when a device was connected."""
_NAMES = frozenset({"sub", "credential", "nonce"})


class NotProvenError(DomainError):
    """The device did not prove who it is. `reason` helps its maker, and tells a stranger nothing."""

    code = "not_authenticated"
    status = 401
    title = "The proof was not accepted"


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """Who is at the other end of a socket."""

    session_id: UUID
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
    if credential.device.status != DeviceStatus.ACTIVE:
        raise _not_proven("device_revoked")
    if credential.status != CredentialStatus.ACTIVE:
        raise _not_proven(f"credential_{credential.status}")
    try:
        with transaction.atomic():
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
        device=credential.device.principal,
        credential_id=credential.id,
        key=credential.key,
    )


def close_session(*, session_id: UUID, code: int | None, clock: Clock = utc_now) -> None:
    """Note that a socket has closed, and why when this side closed it."""
    GatewaySession.objects.filter(id=session_id, closed_at=None).update(closed_at=clock(), close_code=code)


def recheck(*, credentials: Mapping[UUID, UUID], clock: Clock = utc_now) -> Recheck:
    """Look connected devices up again, by device and the credential that opened the session."""
    active = set(
        DeviceCredential.objects.filter(
            id__in=list(credentials.values()),
            status=CredentialStatus.ACTIVE,
            device__status=DeviceStatus.ACTIVE,
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
