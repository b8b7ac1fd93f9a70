"""Answers engine.tenancy.directory's questions. Runs as ks_router, which may read two tables."""

from __future__ import annotations

from uuid import UUID

from engine.tenancy.context import OrganizationContext
from shared.organizations.models import Organization


def find_by_host(host: str) -> OrganizationContext | None:
    # While it is being made an organization works for itself, but its host does not answer.
    row = Organization.objects.served().filter(domains__host=host).first()
    return row.context() if row else None


def find_by_role(role_name: str) -> OrganizationContext | None:
    return _context(role_name=role_name)


def find_by_id(organization_id: UUID) -> OrganizationContext | None:
    return _context(id=organization_id)


def _context(**condition: str | UUID) -> OrganizationContext | None:
    row = Organization.objects.filter(**condition).first()
    return row.context() if row else None
