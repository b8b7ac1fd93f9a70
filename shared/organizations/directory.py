"""Answers engine.tenancy.directory's questions. Runs as ks_router, which may read two tables."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import OuterRef, Subquery

from engine.tenancy.context import OrganizationContext
from engine.tenancy.directory import Host
from shared.organizations.models import Domain, HostUse, Organization


def find_hosts(hosts: Collection[str]) -> dict[str, Host]:
    # While it is being made an organization works for itself, but its host does not answer.
    canonical = Domain.objects.filter(organization=OuterRef("organization"), is_canonical=True).values("host")
    rows = (
        Domain.objects.filter(host__in=hosts, organization__in=Organization.objects.served())
        .select_related("organization")
        .annotate(canonical=Subquery(canonical))
    )
    return {
        row.host: Host(
            organization=row.organization.context(),
            serves=row.use == HostUse.SERVES,
            is_issuer=urlsplit(row.organization.issuer).hostname == row.host,
            moved_to=row.canonical if row.use == HostUse.REDIRECTS else None,
        )
        for row in rows
    }


def find_by_role(role_name: str) -> OrganizationContext | None:
    return _context(role_name=role_name)


def find_by_id(organization_id: UUID) -> OrganizationContext | None:
    return _context(id=organization_id)


def _context(**condition: str | UUID) -> OrganizationContext | None:
    row = Organization.objects.living().filter(**condition).first()
    return row.context() if row else None
