"""Operators of the platform who look into the organization: their token, and what it still allows.

The token says on whose behalf it acts in `act` (RFC 8693, section 4.1). Whether it still holds is a row of
the platform's, so that it ends at once, with the operator's account too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from engine.clock import Clock, utc_now
from engine.errors import InvalidInput
from engine.principals import Principal
from engine.tenancy.context import current_organization, public_schema
from shared.accounts.rules import hash_token
from shared.operators import selectors as operators
from tenants.access import signing
from tenants.access.permissions import IMPERSONATION_ROLES
from tenants.audit import services as audit

CLIENT_ID = "keystead-platform"
ACTOR = "act"


def sign_impersonation_token(
    *, impersonation: str, operator: Principal, role: str, issued_at: datetime, expires_at: datetime
) -> str:
    """A token for this organization's API. It works once `shared.operators` has its row.

    Raises InvalidInput (field role).
    """
    if role not in IMPERSONATION_ROLES:
        raise InvalidInput(f"Choose one of: {', '.join(IMPERSONATION_ROLES)}.", field="role")
    return signing.sign(
        subject=impersonation,
        client_id=CLIENT_ID,
        scopes=sorted(IMPERSONATION_ROLES[role]),
        issued_at=issued_at,
        expires_at=expires_at,
        more={ACTOR: {"sub": operator.public_id}},
    )


def living(*, token: str, claims: Mapping[str, Any], clock: Clock = utc_now) -> operators.Impersonation | None:
    """The impersonation of a token whose signature was verified, None when it is over."""
    org = current_organization()
    # What holds is the platform's to say: disabling an operator must not wait for every organization.
    with public_schema():
        row = operators.living_impersonation(token_hash=hash_token(token), organization_id=org.id, at=clock())
    return row if row is not None and row.public_id == claims["sub"] else None


def principal_of(row: operators.Impersonation) -> Principal:
    """The operator, confined to what the impersonation's role allows."""
    account = row.operator.user
    return Principal(
        kind="operator",
        id=account.id,
        display=f"{account.display_name or account.email} (platform staff)",
        scopes=IMPERSONATION_ROLES.get(row.role, frozenset()),
        through=row.public_id,
    )


def announce(*, row: operators.Impersonation, principal: Principal, method: str, route: str) -> None:
    """Write down that a request which may change something is about to be served, before it is.

    The route and not the path: what was changed is in the entry of the act, and a path may name anything.
    """
    detail = {"role": row.role, "method": method, "route": route}
    with transaction.atomic():
        audit.write(action="impersonation.request", actor=principal, resource=row.public_id, detail=detail)
