"""The checkout frame."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from engine import canonical_json, ids
from engine.errors import InvalidInput
from tenants.checkouts import selectors, services
from tenants.checkouts.models import Checkout
from tenants.checkouts.rules import State
from tenants.devices.gateway import registry
from tenants.devices.gateway.registry import Frame, RawFrame, Reply, Session
from tenants.devices.rules import proofs
from tenants.identity import rules as identity_rules

_PROBE_TEXT_MAX = 10_924
_RETRY_MS = 1000
_TIMESTAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time with its offset")  # pydantic's way
    return value


Status = Literal[
    "processing",
    "unknown",
    "approved",
    "declined",
    "not_recognised",
    "confirmation_required",
    "expired",
]
Timestamp = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_text_only),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _TIMESTAMP}),
]


class Liveness(BaseModel):
    """Why the device believes that somebody alive stands before it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    method: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    score: float = Field(ge=0, le=1)


class Confirmation(BaseModel):
    """A second factor, after `confirmation_required` or of the person's own accord."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    checkout: str | None = Field(default=None, max_length=96, description="The checkout that asked for it.")
    pin: str | None = Field(default=None, pattern=r"^[0-9]{4,12}$")


class CheckoutFrame(Frame):
    """Charge the person in front of me."""

    type: Literal["checkout"]
    sequence: int = Field(
        ge=1,
        le=canonical_json.INTEGER_MAX,
        description="Counts the credential's checkouts. The same frame again: the same answer.",
    )
    amount_minor: int = Field(ge=1, le=10**12)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    modality: Literal["face", "fingerprint", "iris", "palm", "voice"]
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$")
    probe: str = Field(
        max_length=_PROBE_TEXT_MAX,
        description="Base64 of 64 to 2,048 little-endian float32 numbers.",
    )
    captured_at: Timestamp
    liveness: Liveness
    claimed_person: str | None = Field(default=None, max_length=96, description="Who the person says to be.")
    confirmation: Confirmation | None = None
    signature: str = Field(
        max_length=96,
        description="Ed25519, base64url, over the canonical JSON (RFC 8785) of all other members.",
    )


class CheckoutReply(Reply):
    """Where the checkout stands. `processing` and `unknown` are not final."""

    type: Literal["checkout"] = "checkout"
    sequence: int
    checkout: str
    status: Status
    reason: str | None = None
    amount_minor: int
    currency: str
    person: str | None = Field(default=None, description="Only of somebody who was charged.")
    payment: str | None = None
    retry_after_ms: int | None = Field(
        default=None, description="When to send the same frame again for a later answer."
    )


@registry.handler("checkout", frame=CheckoutFrame, reply=CheckoutReply, slow=True)
def checkout(*, session: Session, frame: CheckoutFrame, raw: RawFrame) -> CheckoutReply:
    """Take a checkout as far as it goes now."""
    confirmation = frame.confirmation or Confirmation()
    row = services.take(
        asked=services.Asked(
            device=session.device,
            credential_id=session.credential_id,
            key=session.key,
            sequence=frame.sequence,
            amount_minor=frame.amount_minor,
            currency=frame.currency,
            modality=frame.modality,
            model=frame.model,
            probe=_probe(frame.probe),
            captured_at=frame.captured_at,
            liveness_method=frame.liveness.method,
            liveness_score=frame.liveness.score,
            signed=_signed(raw),
            signature=_signature(frame.signature),
            claimed_person_id=_uuid("per", frame.claimed_person, field="claimed_person"),
            confirms_id=_uuid("chk", confirmation.checkout, field="confirmation.checkout"),
            pin=confirmation.pin,
        )
    )
    return reply(row)


@registry.resume("checkout")
def resume(*, session: Session) -> dict[str, Any]:
    """Where to count on, and which answers are still to be asked for."""
    last, unfinished = selectors.progress(device_id=session.device.id, credential_id=session.credential_id)
    return {"last_sequence": last, "unfinished_sequences": unfinished}


def reply(row: Checkout) -> CheckoutReply:
    """The answer that the row stands for. The same row gives the same answer."""
    open_states = (State.RECEIVED, State.PAYING)
    # Before anybody was charged the name is nobody's business: a thief could claim it next time.
    named = row.state in (State.APPROVED, State.UNKNOWN)
    return CheckoutReply(
        sequence=row.sequence,
        checkout=row.public_id,
        status="processing" if row.state in open_states else cast(Status, row.state),
        reason=row.reason or None,
        amount_minor=row.amount_minor,
        currency=row.currency,
        person=ids.encode("per", row.person_id) if named and row.person_id else None,
        payment=ids.encode("pay", row.payment_id) if named and row.payment_id else None,
        retry_after_ms=_RETRY_MS if row.state in (*open_states, State.UNKNOWN) else None,
    )


def _signed(raw: RawFrame) -> bytes:
    try:
        return canonical_json.encode({k: v for k, v in raw.items() if k != "signature"})
    except canonical_json.NotCanonical as error:
        raise InvalidInput(f"The frame has no canonical form: {error}.") from error


def _signature(text: str) -> bytes:
    try:
        return proofs.from_base64url(text)
    except ValueError as error:
        raise InvalidInput("This is not base64url without padding.", field="signature") from error


def _probe(text: str) -> bytes:
    try:
        return identity_rules.decode_vector(text)
    except identity_rules.InvalidVector as error:
        raise InvalidInput(str(error), field="probe") from error


def _uuid(prefix: str, text: str | None, *, field: str) -> UUID | None:
    if text is None:
        return None
    try:
        return ids.decode(prefix, text)
    except ids.InvalidId as error:
        raise InvalidInput(f"{error}.", field=field) from error
