"""Reads of identity providers and links."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from tenants.signin.models import IdentityProvider, LinkedIdentity


def providers() -> QuerySet[IdentityProvider]:
    """Those that members can sign in at."""
    return IdentityProvider.objects.filter(is_active=True)


def identities(*, user_id: UUID) -> QuerySet[LinkedIdentity]:
    """The user's links, with their providers."""
    return LinkedIdentity.objects.select_related("provider").filter(user_id=user_id)
