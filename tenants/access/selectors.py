"""Reads of grants and apps."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from engine.errors import NotFound
from engine.principals import Principal
from tenants.access.models import App, Grant
from tenants.access.rules import HeldGrant

HOLDERS = frozenset({"member", "app", "device"})


def grants_of(principal: Principal) -> list[HeldGrant]:
    """What the principal was given. One query; none for principals that hold no grants."""
    if principal.kind not in HOLDERS:
        return []
    rows = Grant.objects.select_related("site").filter(principal_kind=principal.kind, principal_id=principal.id)
    return [row.held for row in rows]


def grants() -> QuerySet[Grant]:
    """Every grant of the organization, with its site."""
    return Grant.objects.select_related("site")


def apps() -> QuerySet[App]:
    """Every app of the organization."""
    return App.objects.all()


def app(*, app_id: UUID) -> App:
    """One app. Raises NotFound."""
    found = App.objects.filter(id=app_id).first()
    if found is None:
        raise NotFound
    return found
