"""The frames that every device and the gateway exchange, whatever the device is for.

The schemas here and those that other apps register are docs/asyncapi.json.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tenants.devices.gateway.registry import Frame, Reply
from tenants.devices.rules.proofs import PROOF_BYTES_MAX

PUBLIC_ID_LENGTH_MAX = 96


class Authenticate(Frame):
    """The first frame of a device: a proof that it holds its key, over the nonce it was given."""

    type: Literal["authenticate"]
    token: str = Field(
        max_length=PROOF_BYTES_MAX,
        description="JWS, typ keystead-gateway+jwt, alg EdDSA; claims aud, sub, credential, nonce, iat.",
    )


class Heartbeat(Frame):
    """The device is there. Any other frame says so too."""

    type: Literal["heartbeat"]


class Acknowledge(Frame):
    """A command has arrived and will not be forgotten: it is not sent again."""

    type: Literal["acknowledge"]
    command: str = Field(max_length=PUBLIC_ID_LENGTH_MAX)


class Challenge(Reply):
    """The first frame of the gateway."""

    type: Literal["challenge"] = "challenge"
    nonce: str
    audience: str = Field(description="The canonical URL of the organization's gateway.")


class Ready(Reply):
    """The device is known. From here on it may send every frame, if it is active."""

    type: Literal["ready"] = "ready"
    session: str
    status: Literal["active", "quarantined"] = Field(
        description="A quarantined device may ask for its profile, acknowledge commands and say that it is there."
    )
    heartbeat_interval_ms: int
    resume: dict[str, Any] = Field(
        description="Where the device's work stands, by kind: `checkout` names the highest sequence "
        "that was taken and those that have no final answer yet."
    )


class HeartbeatReply(Reply):
    """The gateway is there as well."""

    type: Literal["heartbeat"] = "heartbeat"


class Acknowledged(Reply):
    """The command will not come again."""

    type: Literal["acknowledged"] = "acknowledged"
    command: str


class Command(Reply):
    """Something that the device has to be told. It comes again until it is acknowledged."""

    type: Literal["command"] = "command"
    command: str
    name: str
    body: dict[str, Any]


class Error(Reply):
    """A frame was refused. Nothing was done because of it."""

    type: Literal["error"] = "error"
    code: str = Field(description="snake_case, stable.")
    detail: str
    field: str | None = Field(default=None, description="The member at fault, dotted.")
    sequence: int | None = Field(default=None, description="The refused checkout's sequence.")
    retry_after_ms: int | None = None
