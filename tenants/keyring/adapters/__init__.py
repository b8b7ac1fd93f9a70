"""Where keys are made and opened: here, with a KMS of this process, or in the matcher."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from engine import service_tokens
from engine.blobs.erasures import ErasureJournal
from engine.blobs.store import open_store
from engine.keys.contexts import Purpose
from engine.keys.kms import Kms, open_kms
from engine.keys.sealer import Sealer
from engine.keys.tree import OrganizationKeyRow, OrganizationKeys
from engine.matcher_client import MatcherClient
from engine.service_tokens import OrganizationClaims
from engine.tenancy.context import current_organization
from tenants.keyring.adapters.base import KeyHolder
from tenants.keyring.adapters.local import LocalKeyHolder
from tenants.keyring.adapters.matcher import MatcherKeyHolder


def key_holder(purpose: Purpose) -> KeyHolder:
    """Who may open the tree of this purpose, for the current organization."""
    organization = current_organization()
    if purpose == "biometric":
        claims = OrganizationClaims(
            id=organization.id, schema_name=organization.schema_name, role_name=organization.role_name
        )
        return MatcherKeyHolder(client=matcher_client(), organization=claims)
    kms, keys = _kms(settings.KMS_URL)
    return LocalKeyHolder(kms=kms, keys=keys, organization_id=organization.id, purpose=purpose)


def sealer(row_of: Callable[[UUID | None], OrganizationKeyRow | None]) -> Sealer:
    """The current organization's sealer of secrets. Key rows are read once while their key is cached."""
    _, keys = _kms(settings.KMS_URL)
    organization_id = current_organization().id

    def known_or_read(key_id: UUID | None) -> OrganizationKeyRow | None:
        return (key_id and keys.known(organization_id, key_id)) or row_of(key_id)

    return Sealer(keys, organization_id=organization_id, row_of=known_or_read)


def matcher_client() -> MatcherClient:
    """This process's client of the matcher; its connections are shared by all organizations."""
    if settings.SERVICE_KEY_FILE is None:
        raise ImproperlyConfigured("KEYSTEAD_SERVICE_KEY_FILE is needed to call the matcher")
    return _matcher(settings.MATCHER_URL, Path(settings.SERVICE_KEY_FILE))


def erasure_journal() -> ErasureJournal:
    """The journal of erasures, outside the database."""
    return ErasureJournal(open_store(settings.BLOB_URL))


@cache
def _kms(url: str) -> tuple[Kms, OrganizationKeys]:
    kms = open_kms(url)
    return kms, OrganizationKeys(kms)


@cache
def _matcher(url: str, key_file: Path) -> MatcherClient:
    return MatcherClient(url, private_key=service_tokens.load_private_key(key_file))
