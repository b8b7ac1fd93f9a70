"""Hosts that organizations bring along: claimed, proven by a TXT record, used, and never anybody else's again."""

from __future__ import annotations

import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, NotFound
from engine.principals import Principal
from engine.tenancy import directory
from provisioning import organizations
from provisioning.adapters.dns import TxtLookup
from shared.operator_log import services as operator_log
from shared.organizations.models import Domain, DomainClaim, HostUse
from shared.organizations.rules import host_problem

CLAIM_LIFETIME = timedelta(days=7)
_CHALLENGE_BYTES = 24


class InvalidHostError(DomainError):
    code = "invalid_host"
    status = 422
    title = "This cannot be a domain of an organization"


class HostTakenError(Conflict):
    code = "host_taken"
    title = "This host belongs to an organization, or once did"


class UnknownClaimError(NotFound):
    code = "unknown_domain"
    title = "This organization has not claimed this domain"


class ClaimExpiredError(Conflict):
    code = "domain_claim_expired"
    title = "The claim has expired"


class ChallengeNotFoundError(Conflict):
    code = "domain_challenge_not_found"
    title = "DNS does not show the challenge"


def claim(*, organization_id: UUID, host: str, by: Principal, clock: Clock = utc_now) -> DomainClaim:
    """Begin to prove a host; it does not route yet. Repeated, it gives the same challenge a week more.

    Call inside `public_schema()`. Raises InvalidHostError, HostTakenError and what `organizations.locked` does.
    """
    if problem := host_problem(host, base_domain=settings.BASE_DOMAIN):
        raise InvalidHostError(f"{host!r}: {problem}.", field="host")
    with transaction.atomic():
        row = organizations.locked(organization_id)
        _refuse_taken(host, organization_id=row.id)
        now = clock()
        found = DomainClaim.objects.filter(organization=row, host=host, removed_at=None).first()
        if found is None:
            found = DomainClaim(organization=row, host=host, challenge=secrets.token_urlsafe(_CHALLENGE_BYTES))
            operator_log.record(action="domain.claimed", by=by, organization_id=row.id, detail={"host": host})
        elif found.verified_at is None and found.expires_at <= now:
            # Whoever has read the old one in DNS meanwhile shall have no use of it.
            found.challenge = secrets.token_urlsafe(_CHALLENGE_BYTES)
        found.expires_at = now + CLAIM_LIFETIME
        found.save()
    return found


def verify(*, claim_id: UUID, by: Principal, look_up: TxtLookup, clock: Clock = utc_now) -> DomainClaim:
    """Look for the challenge in DNS, and let the host route when it is there.

    Repeated later it looks again: a challenge that has gone is noted on the claim, and the host goes on
    routing until an operator removes it. Call inside `public_schema()`, outside a transaction. Raises
    UnknownClaimError, ClaimExpiredError, ChallengeNotFoundError, HostTakenError, DnsUnavailableError.
    """
    found = _claim(claim_id)
    now = clock()
    if found.verified_at is None and found.expires_at <= now:
        raise ClaimExpiredError("Claim the domain again, and publish the new challenge.")
    there = found.challenge in look_up(found.record_name)
    # Without the name, which may be longer than the column: it stands on the claim.
    finding = "" if there else "There is no TXT record with the challenge."
    DomainClaim.objects.filter(id=found.id).update(checked_at=now, finding=finding)
    if not there and found.verified_at is None:
        raise ChallengeNotFoundError(
            f'Publish it and try again: {found.record_name} IN TXT "{found.challenge}"',
            record_name=found.record_name,
            challenge=found.challenge,
        )
    if found.verified_at is None:
        _take(found, by=by, clock=clock)
    directory.forget()
    return DomainClaim.objects.get(id=found.id)


def remove(*, claim_id: UUID, by: Principal, clock: Clock = utc_now) -> DomainClaim:
    """Stop using a host, or give up a claim. A host that was proven stays the organization's all the same.

    Call inside `public_schema()`. Raises UnknownClaimError and what `organizations.locked` does.
    """
    organization_id = _claim(claim_id).organization_id
    with transaction.atomic():
        row = organizations.locked(organization_id)
        # Somebody may have verified it, or removed it, until now.
        found = _claim(claim_id, lock=True)
        found.removed_at = clock()
        found.save(update_fields=["removed_at"])
        if found.verified_at is not None:
            Domain.objects.filter(organization=row, host=found.host).update(use=HostUse.RETIRED)
        operator_log.record(action="domain.removed", by=by, organization_id=row.id, detail={"host": found.host})
    directory.forget()
    return found


def find(*, organization_id: UUID, host: str) -> DomainClaim:
    """The claim of a host by an organization. Raises UnknownClaimError."""
    found = DomainClaim.objects.filter(organization_id=organization_id, host=host, removed_at=None).first()
    if found is None:
        raise UnknownClaimError(f"Claim it first: {host}")
    return found


def _claim(claim_id: UUID, *, lock: bool = False) -> DomainClaim:
    claims = DomainClaim.objects.select_for_update() if lock else DomainClaim.objects.all()
    found = claims.filter(id=claim_id, removed_at=None).first()
    if found is None:
        raise UnknownClaimError
    return found


def _refuse_taken(host: str, *, organization_id: UUID) -> None:
    if Domain.objects.filter(host=host).exclude(organization_id=organization_id).exists():
        raise HostTakenError("Domains are never given to another organization.", field="host")


def _take(found: DomainClaim, *, by: Principal, clock: Clock) -> None:
    try:
        with transaction.atomic():
            row = organizations.locked(found.organization_id)
            locked = _claim(found.id, lock=True)
            if locked.verified_at is not None:
                return
            locked.verified_at = clock()
            locked.save(update_fields=["verified_at"])
            again = Domain.objects.filter(organization=row, host=found.host).update(use=HostUse.SERVES)
            if not again:
                # Its unique host decides between two that prove it at the same instant.
                Domain.objects.create(organization=row, host=found.host)
            operator_log.record(action="domain.verified", by=by, organization_id=row.id, detail={"host": found.host})
    except IntegrityError as error:
        raise HostTakenError("Another organization has proven it before.", field="host") from error
