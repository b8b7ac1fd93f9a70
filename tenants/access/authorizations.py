"""What members let apps do: codes, the authorizations that come of them, and their refresh tokens.

A refresh token is `krt_` and the authorization, its number in the chain and a MAC over both, keyed with a sealed
key of the authorization's own. So nothing of it is stored, every parallel refresh is told the same successor, and
a token from further back is known for what it is (docs/adr/0087).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from engine.clock import Clock, utc_now
from engine.errors import NotFound
from engine.principals import SYSTEM, Principal
from shared.accounts.rules import hash_token, new_token
from shared.accounts.selectors import User
from tenants.access.models import App, Authorization, AuthorizationCode, DeviceAuthorization
from tenants.access.scopes import OFFLINE
from tenants.access.signing import TOKEN_LIFETIME
from tenants.audit import services as audit
from tenants.keyring import services as keyring

CODE_PREFIX = "kac"
REFRESH_PREFIX = "krt"
CODE_LIFETIME = timedelta(seconds=60)
CODE_REMEMBERED = timedelta(days=1)
LIFETIME = timedelta(days=90)
IDLE_LIFETIME = timedelta(days=30)
REFRESH_GRACE = timedelta(seconds=60)
"""For how long a refresh token that was used up still answers its successor: parallel and lost requests."""
_SEALED_AS = "oauth.refresh_chain"
_KEY_BYTES = 32
_GENERATION_BYTES = 4
_TOKEN_BYTES = 16 + _GENERATION_BYTES + hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that holds, with its authorization, which is locked."""

    authorization: Authorization
    generation: int


def issue_code(
    *,
    app: App,
    member: User,
    scopes: Sequence[str],
    redirect_uri: str,
    code_challenge: str,
    nonce: str,
    authenticated_at: datetime,
    mfa_at: datetime | None,
    clock: Clock = utc_now,
) -> str:
    """A code for an app that the member has just said yes to. It is shown this once and good for a minute."""
    code, now = new_token(CODE_PREFIX), clock()
    with transaction.atomic():
        AuthorizationCode.objects.filter(app=app, expires_at__lt=now - CODE_REMEMBERED).delete()
        AuthorizationCode.objects.create(
            app=app,
            member=member,
            code_hash=hash_token(code),
            redirect_uri=redirect_uri,
            scopes=list(scopes),
            code_challenge=code_challenge,
            nonce=nonce,
            authenticated_at=authenticated_at,
            mfa_at=mfa_at,
            created_at=now,
            expires_at=now + CODE_LIFETIME,
        )
        audit.write(
            action="app.authorized",
            actor=member.principal,
            resource=app.public_id,
            detail={"scopes": list(scopes), "redirect_uri": redirect_uri},
        )
    return code


def presented_code(*, app: App, code: str, clock: Clock = utc_now) -> AuthorizationCode | None:
    """The code's row, locked, or None. A code that comes again ends what came of it (RFC 6749, section 4.1.2)."""
    # Nothing joined: what a lock has waited for is read anew in the locked table alone.
    row = AuthorizationCode.objects.select_for_update().filter(app=app, code_hash=hash_token(code)).first()
    if row is None:
        return None
    row.app = app
    if row.authorization is not None:
        revoke(row.authorization, reason="code_reuse", by=app.principal, clock=clock)
        return None
    return row if row.expires_at > clock() and row.member.state == "active" else None


def redeem(row: AuthorizationCode, *, clock: Clock = utc_now) -> Authorization:
    """What the member let the app do, from now on. The code is used up."""
    row.authorization = begin(
        app=row.app,
        member=row.member,
        scopes=row.scopes,
        authenticated_at=row.authenticated_at,
        mfa_at=row.mfa_at,
        clock=clock,
    )
    row.save(update_fields=["authorization"])
    return row.authorization


def begin(
    *,
    app: App,
    member: User,
    scopes: Sequence[str],
    authenticated_at: datetime,
    mfa_at: datetime | None,
    clock: Clock = utc_now,
) -> Authorization:
    """A new authorization, with a chain of refresh tokens when it is for offline access."""
    now, offline = clock(), OFFLINE in scopes
    authorization = Authorization(
        app=app,
        member=member,
        scopes=list(scopes),
        authenticated_at=authenticated_at,
        mfa_at=mfa_at,
        created_at=now,
        expires_at=now + (IDLE_LIFETIME if offline else TOKEN_LIFETIME),
    )
    if offline:
        authorization.sealed_chain_key = keyring.seal_secret(
            purpose_name=_SEALED_AS, record_id=authorization.public_id, plaintext=secrets.token_bytes(_KEY_BYTES)
        )
    authorization.save(force_insert=True)
    return authorization


def refresh_token(authorization: Authorization) -> str:
    """The refresh token that is good now."""
    return _token(authorization, authorization.generation)


def presented(*, app: App, token: str, clock: Clock = utc_now) -> Presented | None:
    """The token's authorization, locked until the transaction ends, if the token holds.

    One that was used up longer ago than parallel requests take, or before the last one was, means that two
    have it: the whole family ends.
    """
    parsed = _parsed(token)
    if parsed is None:
        return None
    authorization_id, generation = parsed
    row = Authorization.objects.select_for_update().filter(id=authorization_id, app=app).first()
    if row is None or row.sealed_chain_key is None or generation > row.generation:
        return None
    if not hmac.compare_digest(_token(row, generation), token):
        return None
    now = clock()
    if not Authorization.objects.living(at=now).filter(id=row.id).exists():
        return None
    if generation == row.generation or _is_parallel(row, generation, now):
        return Presented(authorization=row, generation=generation)
    revoke(row, reason="reuse", by=app.principal, clock=clock)
    return None


def advance(shown: Presented, *, clock: Clock = utc_now) -> Authorization:
    """Use the token up, unless a parallel request has just done so: both are told the same successor."""
    row, now = shown.authorization, clock()
    if shown.generation == row.generation:
        row.generation += 1
        row.rotated_at = now
        row.expires_at = min(row.created_at + LIFETIME, now + IDLE_LIFETIME)
        row.save(update_fields=["generation", "rotated_at", "expires_at"])
    return row


def revoke(authorization: Authorization, *, reason: str, by: Principal, clock: Clock = utc_now) -> None:
    """End the family: no token of it works from now on. Doing it again changes nothing."""
    with transaction.atomic():
        ended = Authorization.objects.filter(id=authorization.id, revoked_at=None).update(
            revoked_at=clock(), revoked_for=reason
        )
        if ended:
            audit.write(
                action="authorization.revoked",
                actor=by,
                resource=authorization.public_id,
                detail={"reason": reason},
            )


def revoke_own(*, authorization_id: UUID, by: Principal, clock: Clock = utc_now) -> None:
    """A member takes back what they let an app do. Raises NotFound."""
    row = Authorization.objects.filter(id=authorization_id, member_id=by.id).first()
    if row is None or by.kind != "member":
        raise NotFound
    revoke(row, reason="member", by=by, clock=clock)


def revoke_of_member(*, member_id: UUID, by: Principal, reason: str, clock: Clock = utc_now) -> None:
    """End everything that a member let apps do, and what they have said yes to and no app has fetched yet.

    In the caller's transaction. Not only what is in force: an account that is closed, or without the factor that
    the policy asks for, may get both back.
    """
    # First these: a redemption that is under way holds its row, and what comes of it is seen below.
    AuthorizationCode.objects.filter(member_id=member_id, authorization=None).delete()
    DeviceAuthorization.objects.filter(member_id=member_id, authorization=None).delete()
    for row in Authorization.objects.filter(member_id=member_id, revoked_at=None, expires_at__gt=clock()):
        revoke(row, reason=reason, by=by, clock=clock)


def revoke_after_reset(member: User, clock: Clock) -> None:
    """End everything that apps may do for a member who has had to set the password anew: whoever knew the old one
    may have lent it."""
    revoke_of_member(member_id=member.id, by=member.principal, reason="password_reset", clock=clock)


def revoke_all(*, clock: Clock = utc_now) -> int:
    """End all of them; returns how many there were. After a restore: those that were ended since the backup would
    live again."""
    rows = list(Authorization.objects.filter(revoked_at=None, expires_at__gt=clock()))
    for row in rows:
        revoke(row, reason="restore", by=SYSTEM, clock=clock)
    return len(rows)


def own(*, member: Principal, clock: Clock = utc_now) -> QuerySet[Authorization]:
    """What a member lets apps do at the moment."""
    return Authorization.objects.living(at=clock()).select_related("app").filter(member_id=member.id)


def by_refresh_token(*, token: str, clock: Clock = utc_now) -> Authorization | None:
    """The living authorization of a refresh token that would be taken, without using it up or locking it."""
    parsed = _parsed(token)
    if parsed is None:
        return None
    row = Authorization.objects.living(at=clock()).select_related("member", "app").filter(id=parsed[0]).first()
    if row is None or row.sealed_chain_key is None or parsed[1] > row.generation:
        return None
    return row if hmac.compare_digest(_token(row, parsed[1]), token) else None


def is_current(*, authorization: Authorization, token: str, clock: Clock = utc_now) -> bool:
    """Whether a refresh token of the authorization would be taken now."""
    parsed = _parsed(token)
    return parsed is not None and (
        parsed[1] == authorization.generation or _is_parallel(authorization, parsed[1], clock())
    )


def _is_parallel(row: Authorization, generation: int, now: datetime) -> bool:
    return generation == row.generation - 1 and row.rotated_at is not None and now - row.rotated_at <= REFRESH_GRACE


def _token(row: Authorization, generation: int) -> str:
    assert row.sealed_chain_key is not None
    key = keyring.open_secret(purpose_name=_SEALED_AS, record_id=row.public_id, sealed=bytes(row.sealed_chain_key))
    head = row.id.bytes + generation.to_bytes(_GENERATION_BYTES, "big")
    mac = hmac.digest(key, head, "sha256")
    return f"{REFRESH_PREFIX}_{base64.urlsafe_b64encode(head + mac).decode().rstrip('=')}"


def _parsed(token: str) -> tuple[UUID, int] | None:
    head, _, body = token.partition("_")
    if head != REFRESH_PREFIX or len(body) != -(-_TOKEN_BYTES * 8 // 6):
        return None
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return UUID(bytes=raw[:16]), int.from_bytes(raw[16 : 16 + _GENERATION_BYTES], "big")
