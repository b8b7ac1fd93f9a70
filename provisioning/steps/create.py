"""The steps that make an organization."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import transaction

from engine.tenancy import directory
from engine.tenancy.context import organization, public_schema
from provisioning import schemas
from provisioning.models import Flow
from shared.organizations.models import Organization, OrganizationStatus


def make_schema(flow: Flow) -> None:
    """Role and schema from the baked script, in one transaction, unless a ready one was claimed."""
    if not flow.organization.schema_fingerprint:
        schemas.create(schema=flow.organization.schema_name, role=flow.organization.role_name)


def make_keys(flow: Flow) -> None:
    """One wrapped key per purpose; the biometric one is made by the matcher."""
    from tenants.keyring import services as keyring

    with organization(flow.organization.context()):
        keyring.provision_keys()


def set_defaults(flow: Flow) -> None:
    """What an organization has from its first moment: a key that signs its apps' tokens."""
    from tenants.access import services as access

    with organization(flow.organization.context()), transaction.atomic():
        access.ensure_signing_key()


def invite_first_admin(flow: Flow) -> None:
    """The first member, as owner, with an invitation that an operator can read out once."""
    from tenants.access import services as access

    with organization(flow.organization.context()), transaction.atomic():
        access.ensure_owner(email=flow.parameters["admin_email"])


def activate(flow: Flow) -> None:
    """From here on the host answers."""
    with public_schema():
        Organization.objects.filter(id=flow.organization_id, status=OrganizationStatus.PROVISIONING).update(
            status=OrganizationStatus.ACTIVE
        )
    directory.forget()


STEPS: Mapping[str, Callable[[Flow], None]] = {
    "schema": make_schema,
    "keys": make_keys,
    "defaults": set_defaults,
    "invite": invite_first_admin,
    "activate": activate,
}
