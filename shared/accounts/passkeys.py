"""Passkeys (WebAuthn): registered by somebody who is signed in, shown instead of a password or beside it.

The RP id is the organization's own first host, for ever: never the domain above it, under which one
organization's passkey would be offered at another. The browser's origin has to be that host, or the one of the
organization's hosts that was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog
import webauthn
from django.conf import settings
from django.db import transaction
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, NotFound
from engine.tenancy.context import NoOrganization, current_organization
from shared.accounts import ceremonies, journal, mails, rules, second_factors, sessions
from shared.accounts.ceremonies import CeremonyOver, Purpose
from shared.accounts.models import Ceremony, Passkey, Session, User

log = structlog.get_logger("keystead.accounts")

LIFETIME = timedelta(minutes=5)
PASSKEYS_MAX = 20
_REQUIRED, _PREFERRED = UserVerificationRequirement.REQUIRED, UserVerificationRequirement.PREFERRED


class PasskeyRefused(DomainError):
    """The passkey is unknown here, made for another host, replayed or forged: which one is not told."""

    code = "passkey_refused"
    status = 401
    title = "The passkey was not accepted"


class TooManyPasskeys(Conflict):
    """Twenty are enough for everybody's devices."""

    code = "too_many_passkeys"
    title = "There are too many passkeys"


def begin_registration(*, session: Session, clock: Clock = utc_now) -> tuple[str, dict[str, Any]]:
    """A ceremony's token, and what `navigator.credentials.create` takes. Raises StepUpRequired, TooManyPasskeys."""
    second_factors.require_fresh(session, clock=clock)
    user = session.user
    mine = list(Passkey.objects.filter(user=user))
    if len(mine) >= PASSKEYS_MAX:
        raise TooManyPasskeys("Remove one first.")
    rp_id, name = _relying_party()
    options = webauthn.generate_registration_options(
        rp_id=rp_id,
        rp_name=name,
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.display_name or user.email,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=bytes(one.credential_id)) for one in mine],
    )
    token = _begin(Purpose.PASSKEY_REGISTRATION, user, options.challenge, {"session": str(session.id)}, clock)
    return token, options_to_json_dict(options)


def finish_registration(
    *, session: Session, token: str, name: str, credential: Mapping[str, Any], host: str, clock: Clock = utc_now
) -> Passkey:
    """Keep the new passkey. The first second factor ends the other sessions.

    Raises CeremonyOver, PasskeyRefused, StepUpRequired.
    """
    second_factors.require_fresh(session, clock=clock)
    ceremony = ceremonies.attempt(token=token, purpose=Purpose.PASSKEY_REGISTRATION, clock=clock)
    if ceremony.data.get("session") != str(session.id):
        raise CeremonyOver
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=base64url_to_bytes(ceremony.data["challenge"]),
            expected_rp_id=_relying_party()[0],
            expected_origin=_origins(host),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(error) from error
    user, had = session.user, second_factors.of(session.user)
    with transaction.atomic():
        ceremonies.end(ceremony, clock=clock)
        if Passkey.objects.filter(credential_id=verified.credential_id).exists():
            raise PasskeyRefused
        row = Passkey.objects.create(
            user=user,
            name=name,
            credential_id=verified.credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            is_backed_up=verified.credential_backed_up,
        )
        if not had.any:
            sessions.sign_out_everywhere(user=user, but=session.id, clock=clock)
        second_factors.record_step_up(session=session, method=rules.PASSKEY, clock=clock)
        journal.record(action="passkey.added", user=user, detail={"passkey": row.public_id, "name": name}, clock=clock)
        mails.post(kind=mails.Kind.SECOND_FACTOR_ADDED, about=user.id)
    return row


def remove(*, session: Session, passkey_id: UUID, clock: Clock = utc_now) -> None:
    """Take one of one's own passkeys away. Raises StepUpRequired, NotFound, SecondFactorNeeded."""
    user = session.user
    row = Passkey.objects.filter(id=passkey_id, user=user).first()
    if row is None:
        raise NotFound
    second_factors.require_fresh(session, clock=clock)
    with transaction.atomic():
        User.objects.select_for_update().get(id=user.id)
        Passkey.objects.filter(id=row.id).delete()
        second_factors.settle_removal(user)
        journal.record(action="passkey.removed", user=user, detail={"passkey": row.public_id}, clock=clock)
        mails.post(kind=mails.Kind.SECOND_FACTOR_REMOVED, about=user.id)


def begin_sign_in(*, sign_in_token: str = "", clock: Clock = utc_now) -> tuple[str, dict[str, Any]]:
    """What `navigator.credentials.get` takes, to sign in without a password; or, with the token of a sign-in whose
    password was right, beside it. Raises CeremonyOver."""
    if not sign_in_token:
        return _begin_assertion(user=None, data={}, verification=_REQUIRED, clock=clock)
    first = ceremonies.attempt(token=sign_in_token, purpose=Purpose.SECOND_FACTOR, clock=clock)
    data = {"sign_in": str(first.id)}
    return _begin_assertion(user=first.user, data=data, verification=_PREFERRED, clock=clock)


def finish_sign_in(
    *,
    token: str,
    credential: Mapping[str, Any],
    host: str,
    address: str | None = None,
    user_agent: str = "",
    clock: Clock = utc_now,
) -> tuple[Session, str]:
    """A session for whoever shows the passkey, and its bearer token. Raises CeremonyOver, PasskeyRefused."""
    ceremony = ceremonies.attempt(token=token, purpose=Purpose.PASSKEY, clock=clock)
    if "session" in ceremony.data:
        raise CeremonyOver
    first = ceremony.data.get("sign_in")
    user = _shown(ceremony, credential, host, needs_verification=first is None, clock=clock)
    methods = [rules.PASSKEY]
    with transaction.atomic():
        if first is not None:
            ceremonies.end(Ceremony.objects.get(id=first), clock=clock)
            methods.append(rules.PASSWORD)
        return sessions.open_session(user=user, methods=methods, address=address, user_agent=user_agent, clock=clock)


def begin_step_up(*, session: Session, clock: Clock = utc_now) -> tuple[str, dict[str, Any]]:
    """What `navigator.credentials.get` takes, to show again that it is you."""
    data = {"session": str(session.id)}
    return _begin_assertion(user=session.user, data=data, verification=_PREFERRED, clock=clock)


def finish_step_up(
    *, session: Session, token: str, credential: Mapping[str, Any], host: str, clock: Clock = utc_now
) -> Session:
    """Note that the session's owner has shown a passkey. Raises CeremonyOver, PasskeyRefused."""
    ceremony = ceremonies.attempt(token=token, purpose=Purpose.PASSKEY, clock=clock)
    if ceremony.data.get("session") != str(session.id):
        raise CeremonyOver
    _shown(ceremony, credential, host, needs_verification=False, clock=clock)
    return second_factors.record_step_up(session=session, method=rules.PASSKEY, clock=clock)


def _begin_assertion(
    *, user: User | None, data: dict[str, str], verification: UserVerificationRequirement, clock: Clock
) -> tuple[str, dict[str, Any]]:
    mine = Passkey.objects.filter(user=user) if user else []
    options = webauthn.generate_authentication_options(
        rp_id=_relying_party()[0],
        allow_credentials=[PublicKeyCredentialDescriptor(id=bytes(one.credential_id)) for one in mine],
        user_verification=verification,
    )
    return _begin(Purpose.PASSKEY, user, options.challenge, data, clock), options_to_json_dict(options)


def _begin(purpose: Purpose, user: User | None, challenge: bytes, data: dict[str, str], clock: Clock) -> str:
    given = {**data, "challenge": bytes_to_base64url(challenge)}
    return ceremonies.begin(purpose=purpose, user=user, lifetime=LIFETIME, data=given, clock=clock)[1]


def _shown(
    ceremony: Ceremony, credential: Mapping[str, Any], host: str, *, needs_verification: bool, clock: Clock
) -> User:
    """The owner of the passkey that answers the ceremony's challenge; the ceremony is used up."""
    with transaction.atomic():
        row = _passkey(credential)
        if row is None or ceremony.user_id not in (None, row.user_id) or row.user.state != "active":
            raise PasskeyRefused
        try:
            verified = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=base64url_to_bytes(ceremony.data["challenge"]),
                expected_rp_id=_relying_party()[0],
                expected_origin=_origins(host),
                credential_public_key=bytes(row.public_key),
                credential_current_sign_count=row.sign_count,
                require_user_verification=needs_verification,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _refused(error) from error
        ceremonies.end(ceremony, clock=clock)
        row.sign_count, row.last_used_at = verified.new_sign_count, clock()
        row.is_backed_up = verified.credential_backed_up
        row.save(update_fields=["sign_count", "last_used_at", "is_backed_up"])
    return row.user


def _passkey(credential: Mapping[str, Any]) -> Passkey | None:
    """The row that the answer names, locked: its count is compared and raised in one transaction."""
    try:
        credential_id = base64url_to_bytes(str(credential.get("id", "")))
        handle = (credential.get("response") or {}).get("userHandle")
        owner = base64url_to_bytes(str(handle)) if handle else None
    except (ValueError, AttributeError) as error:
        raise _refused(error) from error
    found = Passkey.objects.select_related("user").select_for_update(of=("self",))
    row = found.filter(credential_id=credential_id).first()
    return None if row is not None and owner not in (None, row.user_id.bytes) else row


def _refused(error: Exception) -> PasskeyRefused:
    log.info("accounts.passkey_refused", why=type(error).__name__)
    return PasskeyRefused()


def _relying_party() -> tuple[str, str]:
    try:
        organization = current_organization()
    except NoOrganization:
        return settings.PLATFORM_HOST, "Keystead"
    return urlsplit(organization.issuer).hostname or "", organization.slug


def _origins(host: str) -> list[str]:
    """Where the browser may have stood. `host` was matched against the organization's own by the routing."""
    port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
    origins = [f"{settings.BASE_SCHEME}://{host}{port}"]
    try:
        origins.append(current_organization().issuer)
    except NoOrganization:
        pass
    return origins
