"""Signing in at an organization's identity provider: authorization code, PKCE, state and nonce.

Who somebody is follows from (provider, `sub`) alone. A first link is made for who is signed in here and shows it
again, or for an invited person whose address the provider has verified. An account that is in use is never
found by its address: whoever runs a provider could write any address into a token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, NotFound
from engine.tenancy.context import current_organization
from shared.accounts import ceremonies, derived, second_factors
from shared.accounts import rules as accounts_rules
from shared.accounts import selectors as accounts_read
from shared.accounts import services as accounts
from shared.accounts.ceremonies import CeremonyOver, Purpose
from tenants.audit import services as audit
from tenants.signin import providers, rules
from tenants.signin.adapters import providers as adapter
from tenants.signin.adapters.base import CodeRefused, ProviderUnavailable, SignatureInvalid
from tenants.signin.models import IdentityProvider, LinkedIdentity

log = structlog.get_logger("keystead.signin")

LIFETIME = timedelta(minutes=10)
CALLBACK = "/sign-in/callback"


class FederationRefused(DomainError):
    """The provider's answer was not accepted: forged, replayed, stale, or for somebody else."""

    code = "federation_refused"
    status = 401
    title = "The identity provider's answer was not accepted"


class FederationUnavailable(DomainError):
    """The provider cannot be reached, or does not speak as it should."""

    code = "identity_provider_unavailable"
    status = 503
    title = "The identity provider does not answer"


class NotLinked(DomainError):
    """The provider knows this person, and nobody here is linked with them."""

    code = "identity_not_linked"
    status = 403
    title = "Nobody here is linked with that identity"


class LinkedElsewhere(Conflict):
    """That identity is linked with another account, or this account with another identity there."""

    code = "identity_linked_elsewhere"
    title = "That identity cannot be linked with this account"


class LastWayIn(Conflict):
    """Without it the account could not sign in any more."""

    code = "last_way_in"
    title = "Set a password or add a passkey first"


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and what only that browser keeps."""

    authorization_url: str
    state: str
    binding: str


def begin(*, provider_id: UUID, session: accounts_read.Session | None = None, clock: Clock = utc_now) -> Begun:
    """Send a browser to the provider: to sign in, or with a `session` to link its owner.

    Calls the provider. Raises NotFound, FederationUnavailable, StepUpRequired.
    """
    row = providers.found(provider_id)
    if session is not None:
        second_factors.require_fresh(session, clock=clock)
    client = providers.client_of(row)
    try:
        metadata = adapter().metadata(client)
    except ProviderUnavailable as error:
        raise _unavailable(error) from error
    binding, row_id = secrets.token_urlsafe(32), ids.uuid7()
    data = {"provider": str(row.id), "binding": _hashed(binding)}
    if session is not None:
        data["session"] = str(session.id)
    _, state = ceremonies.begin(
        purpose=Purpose.FEDERATION,
        user=session.user if session else None,
        lifetime=LIFETIME,
        data=data,
        token=(row_id, accounts_rules.new_token(accounts_rules.CEREMONY_PREFIX)),
        clock=clock,
    )
    url = rules.authorization_url(
        metadata.authorization_endpoint,
        client_id=row.client_id,
        redirect_uri=_redirect_uri(),
        state=state,
        nonce=_derived("nonce", row_id),
        verifier=_derived("verifier", row_id),
    )
    return Begun(authorization_url=url, state=state, binding=binding)


def sign_in(
    *,
    state: str,
    code: str,
    issuer: str | None,
    binding: str,
    address: str | None = None,
    user_agent: str = "",
    clock: Clock = utc_now,
) -> tuple[accounts_read.Session, str]:
    """Open a session for whom the provider's answer names. What `accounts.sign_in` returns.

    Raises CeremonyOver, FederationRefused, FederationUnavailable, NotLinked.
    """
    row, identity, for_session = _answered(state, code, issuer, binding, clock)
    if for_session is not None:
        raise CeremonyOver
    with transaction.atomic():
        user = _linked(row, identity.subject, clock) or _first_link(row, identity, clock)
        if user is None or user.state != "active":
            log.info("signin.not_linked", provider=row.public_id)
            raise NotLinked("Sign in as you usually do and link it, or ask for an invitation.")
        methods = [accounts_rules.FEDERATED]
        if row.trusts_mfa and identity.shows_mfa:
            methods.append(accounts_rules.MULTI_FACTOR)
        return accounts.open_session(user=user, methods=methods, address=address, user_agent=user_agent, clock=clock)


def link(
    *,
    session: accounts_read.Session,
    state: str,
    code: str,
    issuer: str | None,
    binding: str,
    clock: Clock = utc_now,
) -> LinkedIdentity:
    """Link whom the provider's answer names with the session's owner.

    Raises CeremonyOver, FederationRefused, FederationUnavailable, LinkedElsewhere.
    """
    row, identity, for_session = _answered(state, code, issuer, binding, clock)
    if for_session != str(session.id):
        raise CeremonyOver
    try:
        with transaction.atomic():
            return _link(row, identity.subject, session.user, clock)
    except IntegrityError as error:
        raise LinkedElsewhere from error


def unlink(*, session: accounts_read.Session, identity_id: UUID, clock: Clock = utc_now) -> None:
    """Take one's own link away. Raises NotFound, StepUpRequired, LastWayIn."""
    user = session.user
    row = LinkedIdentity.objects.filter(id=identity_id, user_id=user.id).first()
    if row is None:
        raise NotFound
    second_factors.require_fresh(session, clock=clock)
    others = LinkedIdentity.objects.filter(user_id=user.id, provider__is_active=True).exclude(id=row.id)
    if not user.has_usable_password() and not second_factors.of(user).passkeys and not others.exists():
        raise LastWayIn
    with transaction.atomic():
        LinkedIdentity.objects.filter(id=row.id).delete()
        audit.write(action="identity.unlinked", actor=user.principal, resource=user.public_id, clock=clock)


def unlink_all(member: accounts_read.User) -> None:
    """Take away every account at a provider that is this member. In the caller's transaction."""
    LinkedIdentity.objects.filter(user=member).delete()


def _answered(
    state: str, code: str, issuer: str | None, binding: str, clock: Clock
) -> tuple[IdentityProvider, rules.Identity, str | None]:
    """What the provider says, once, and the session that asked to link itself if one did. The state is used up
    before anybody is called."""
    ceremony = ceremonies.attempt(token=state, purpose=Purpose.FEDERATION, clock=clock)
    if not hmac.compare_digest(ceremony.data["binding"], _hashed(binding)):
        # Another browser brings it: somebody would have their victim signed in as themselves.
        raise CeremonyOver
    ceremonies.end(ceremony, clock=clock)
    row = providers.found(UUID(ceremony.data["provider"]))
    client, oidc = providers.client_of(row), adapter()
    try:
        metadata = oidc.metadata(client)
        if issuer != row.issuer and (issuer is not None or metadata.sends_issuer):
            raise FederationRefused
        token = oidc.redeem(client, code=code, verifier=_derived("verifier", ceremony.id), redirect_uri=_redirect_uri())
        identity = rules.identity(
            oidc.claims(client, token),
            issuer=row.issuer,
            client_id=row.client_id,
            nonce=_derived("nonce", ceremony.id),
            now=clock().timestamp(),
        )
    except ProviderUnavailable as error:
        raise _unavailable(error) from error
    except (CodeRefused, SignatureInvalid, rules.IdTokenInvalid) as error:
        log.warning("signin.answer_refused", provider=row.public_id, why=f"{type(error).__name__}: {error}")
        raise FederationRefused from error
    return row, identity, ceremony.data.get("session")


def _linked(row: IdentityProvider, subject: str, clock: Clock) -> accounts_read.User | None:
    found = LinkedIdentity.objects.select_related("user").filter(provider=row, subject=subject).first()
    if found is None:
        return None
    LinkedIdentity.objects.filter(id=found.id).update(last_used_at=clock())
    user: accounts_read.User = found.user
    return user


def _first_link(row: IdentityProvider, identity: rules.Identity, clock: Clock) -> accounts_read.User | None:
    if identity.verified_email is None:
        return None
    user = accounts.join_by_provider(email=identity.verified_email, clock=clock)
    if user is not None:
        _link(row, identity.subject, user, clock)
    return user


def _link(row: IdentityProvider, subject: str, user: accounts_read.User, clock: Clock) -> LinkedIdentity:
    made = LinkedIdentity.objects.create(
        provider=row, subject=subject, user=user, created_at=clock(), last_used_at=clock()
    )
    detail = {"provider": row.public_id, "identity": made.public_id}
    audit.write(action="identity.linked", actor=user.principal, resource=user.public_id, detail=detail, clock=clock)
    return made


def _derived(use: str, row_id: UUID) -> str:
    """A value of this sign-in's own that no row has to keep."""
    return hmac.digest(derived.key(f"federation-{use}"), row_id.bytes, "sha256").hex()


def _hashed(binding: str) -> str:
    return hashlib.sha256(binding.encode()).hexdigest()


def _redirect_uri() -> str:
    return current_organization().issuer + CALLBACK


def _unavailable(error: ProviderUnavailable) -> FederationUnavailable:
    log.warning("signin.provider_unavailable", why=error.why)
    return FederationUnavailable(retry_after=30)
