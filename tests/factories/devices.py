"""Devices that were enrolled the way that real ones are: a code, a key, a proof.

device = enrolled(org_a)
token = device.gateway_proof(nonce=nonce)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engine import ids
from engine.principals import SYSTEM, Principal
from engine.tenancy.context import OrganizationContext, organization
from tenants.devices import selectors, services
from tenants.devices.rules import proofs
from tenants.sites import services as sites
from tests.factories.device_keys import DeviceKey


@dataclass(frozen=True)
class Enrolled:
    """A device with its key."""

    organization: OrganizationContext
    id: UUID
    credential_id: UUID
    site_id: UUID
    key: DeviceKey
    gateway_url: str

    @property
    def public_id(self) -> str:
        return ids.encode("dev", self.id)

    @property
    def principal(self) -> Principal:
        return Principal(kind="device", id=self.id)

    def gateway_proof(self, *, nonce: str, **changes: Any) -> str:
        """The token of its `authenticate` frame; `changes` make it wrong."""
        claims: dict[str, Any] = {
            "typ": proofs.GATEWAY,
            "audience": self.gateway_url,
            "sub": self.public_id,
            "credential": ids.encode("cred", self.credential_id),
            "nonce": nonce,
            **changes,
        }
        return self.key.proof(**claims)

    def rotation(self, key: DeviceKey, **changes: Any) -> tuple[str, str]:
        """The new key's proof and the present one's endorsement; `changes` make both of them wrong."""
        claims: dict[str, Any] = {
            "audience": self.gateway_url,
            "sub": self.public_id,
            "credential": ids.encode("cred", self.credential_id),
            **changes,
        }
        endorsed = {"key": key.public.thumbprint, **claims}
        return key.proof(typ=proofs.ROTATION, **claims), self.key.proof(typ=proofs.ENDORSEMENT, **endorsed)

    def rotate_key_frame(self, key: DeviceKey, **changes: Any) -> dict[str, Any]:
        """The frame that proposes another key."""
        proof, endorsement = self.rotation(key, **changes)
        return {"type": "rotate_key", "public_key": key.jwk, "proof": proof, "endorsement": endorsement}


def site_id(org: OrganizationContext, *, name: str = "") -> UUID:
    """A new site at the top of the organization's tree."""
    with organization(org):
        return sites.create(name=name or f"Site {ids.uuid7().hex[-10:]}", by=SYSTEM).id


def enrolled(
    org: OrganizationContext, *, at: UUID | None = None, name: str = "Till 1", kind: str = "terminal"
) -> Enrolled:
    """A device that claimed a code of the organization."""
    where = at or site_id(org)
    key = DeviceKey()
    with organization(org):
        _, code = services.create_code(site_id=where, name=name, kind=kind, by=SYSTEM)
        proof = key.proof(typ=proofs.CLAIM, audience=selectors.claim_url(organization=org), code=code)
        claimed = services.claim(code=code, public_key=key.jwk, proof=proof, client_address=f"test-{ids.uuid7()}")
    return Enrolled(
        organization=org,
        id=claimed.device.id,
        credential_id=claimed.credential.id,
        site_id=where,
        key=key,
        gateway_url=claimed.gateway_url,
    )
