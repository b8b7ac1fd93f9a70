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
    """Take this key instead of mine from now on."""

    type: Literal["rotate_key"]
    public_key: dict[str, Any] = Field(description="The new Ed25519 public key as a JWK.")
    proof: str = Field(
        max_length=proofs.PROOF_BYTES_MAX,
        description="JWS by the new key, typ keystead-rotation+jwt; claims aud, sub, iat.",
    )


class KeyRotated(Reply):
    """The new key counts. The session ends; the next one is opened with the new credential."""

    type: Literal["key_rotated"] = "key_rotated"
    credential: str


@registry.handler("profile", frame=Profile, reply=ProfileReply)
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


@registry.handler("rotate_key", frame=RotateKey, reply=KeyRotated)
def rotate_key(*, session: Session, frame: RotateKey, raw: RawFrame) -> KeyRotated:
    """Replace the key of the session's device."""
    try:
        key = proofs.PublicKey.from_jwk(frame.public_key)
    except proofs.InvalidKeyError as error:
        raise InvalidInput(str(error), field="public_key") from error
    credential = services.replace_credential(device=session.device, key=key, proof=frame.proof)
    return KeyRotated(credential=ids.encode("cred", credential.id))
