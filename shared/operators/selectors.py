"""Reads of operators. Call them in `public_schema()`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from engine.errors import NotFound
from engine.principals import Principal
from shared.operators import rules
from shared.operators.models import Impersonation, ImpersonationQuerySet, Operator, OperatorQuerySet

__all__ = [
    "Impersonation",
    "Operator",
    "impersonations",
    "living_impersonation",
    "may",
    "operator",
    "operators",
    "role_of",
]


def operators() -> OperatorQuerySet:
    """Every operator with the account."""
    return Operator.objects.select_related("user")


def operator(*, operator_id: UUID) -> Operator:
    """One operator. Raises NotFound."""
    found = operators().filter(user_id=operator_id).first()
    if found is None:
        raise NotFound
    return found


def role_of(*, operator_id: UUID) -> str:
    """The role of an operator who can sign in, empty when there is none."""
    found = Operator.objects.filter(user_id=operator_id, user__is_active=True)
    return found.values_list("role", flat=True).first() or ""


def impersonations() -> ImpersonationQuerySet:
    """Every impersonation, with the operator and the account."""
    return Impersonation.objects.select_related("operator__user")


def living_impersonation(*, token_hash: str, organization_id: UUID, at: datetime) -> Impersonation | None:
    """The one whose token this is and which has not ended by any of its ways. One query."""
    found = impersonations().alive(at=at)
    return found.filter(token_hash=token_hash, organization_id=organization_id).first()


def may(*, principal: Principal, write: bool) -> bool:
    """Whether the operator may read, or change things too. One query, so that a change counts at once."""
    return principal.kind == "operator" and rules.allows(role_of(operator_id=principal.id), write=write)
