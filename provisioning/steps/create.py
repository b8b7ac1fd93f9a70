"""The steps that make an organization."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.db import transaction

from engine.errors import DomainError
from engine.keys.kms import KmsError
from engine.matcher_client import MatcherRefused, MatcherUnavailable
from engine.tenancy import directory
from engine.tenancy.context import organization, public_schema
from provisioning import schemas
from provisioning.models import Flow
from shared.organizations.models import Organization, OrganizationStatus


class KeysUnavailableError(DomainError):
    """The KMS, ours or the matcher's, made no key. What was made stays; the flow goes on when it does."""

    code = "keys_unavailable"
    status = 503
    title = "The organization's keys could not be made"


def make_schema(flow: Flow) -> None:
    """Role and schema from the baked script, in one transaction, unless a ready one was claimed."""
    if not flow.organization.schema_fingerprint:
        schemas.create(schema=flow.organization.schema_name, role=flow.organization.role_name)


def make_keys(flow: Flow) -> None:
    """One wrapped key per purpose; the biometric one is made by the matcher."""
    from tenants.keyring import services as keyring

    try:
        with organization(flow.organization.context()):
            keyring.provision_keys()
    except KmsError as error:
        raise KeysUnavailableError(f"{error}. The KMS is named by KEYSTEAD_KMS_URL.") from error
    except MatcherUnavailable as error:
        raise KeysUnavailableError(f"The matcher is unavailable. {error.reason}".strip()) from error
    except MatcherRefused as error:
        raise KeysUnavailableError(f"The matcher refused: {error.detail or error.code}") from error


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
    """From here on the host answers. The administrator's address is the organization's own now."""
    with public_schema():
        Flow.objects.filter(id=flow.id).update(parameters={})
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
