"""Frames about the device itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from engine import ids
from engine.errors import InvalidInput
from tenants.devices import selectors, services
from tenants.devices.gateway import registry
from tenants.devices.gateway.registry import Frame, RawFrame, Reply, Session
from tenants.devices.rules import proofs


class Profile(Frame):
    """Who am I, and where do I stand?"""

    type: Literal["profile"]


class ProfileReply(Reply):
    """What the organization knows of the device."""

    type: Literal["profile"] = "profile"
    organization: str = Field(description="The organization's issuer URL.")
    device: str
    name: str
    kind: str
    site: str
    site_name: str
    currency: str
    time_zone: str


class RotateKey(Frame):
    """Take this key instead of mine, once I come with it."""

    type: Literal["rotate_key"]
    public_key: dict[str, Any] = Field(description="The new Ed25519 public key as a JWK.")
    proof: str = Field(
        max_length=proofs.PROOF_BYTES_MAX,
        description="JWS by the new key, typ keystead-rotation+jwt; claims aud, sub, iat and credential, "
        "the present one.",
    )
    endorsement: str = Field(
        max_length=proofs.PROOF_BYTES_MAX,
        description="JWS by the present key, typ keystead-endorsement+jwt; claims aud, sub, credential, iat and key, "
        "the new key's thumbprint (RFC 7638).",
    )


class KeyAccepted(Reply):
    """Both keys open sessions, until the first one that the new key opens; or until the new one lapses."""

    type: Literal["key_accepted"] = "key_accepted"
    credential: str
    expires_at: str = Field(
        description="Until when the new key can be taken up.", json_schema_extra={"format": "date-time"}
    )


@registry.handler("profile", frame=Profile, reply=ProfileReply, in_quarantine=True)
def profile(*, session: Session, frame: Profile, raw: RawFrame) -> ProfileReply:
    """Tell a device about itself."""
    device = selectors.device(device_id=session.device.id)
    return ProfileReply(
        organization=session.organization.issuer,
        device=device.public_id,
        name=device.name,
        kind=device.kind,
        site=device.site.public_id,
        site_name=device.site.name,
        currency=session.organization.currency,
        time_zone=session.organization.time_zone,
    )


@registry.handler("rotate_key", frame=RotateKey, reply=KeyAccepted)
def rotate_key(*, session: Session, frame: RotateKey, raw: RawFrame) -> KeyAccepted:
    """Note the key that the session's device wants to change to."""
    try:
        key = proofs.PublicKey.from_jwk(frame.public_key)
    except proofs.InvalidKeyError as error:
        raise InvalidInput(str(error), field="public_key") from error
    credential = services.propose_key(
        device=session.device,
        credential_id=session.credential_id,
        key=key,
        proof=frame.proof,
        endorsement=frame.endorsement,
    )
    lapses_at = credential.expires_at.isoformat() if credential.expires_at else ""
    return KeyAccepted(credential=ids.encode("cred", credential.id), expires_at=lapses_at)
