"""The gateway's contract as an AsyncAPI document: docs/asyncapi.json, drawn from the frames' own schemas."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tenants.devices.gateway import frames, registry
from tenants.devices.gateway.closing import Close
from tenants.devices.gateway.registry import Frame, Reply
from tenants.devices.selectors import GATEWAY_PATH

_REF = "#/components/schemas/{model}"
_PROTOCOL: list[tuple[type[Frame], type[Reply]]] = [
    (frames.Authenticate, frames.Ready),
    (frames.Heartbeat, frames.HeartbeatReply),
    (frames.Acknowledge, frames.Acknowledged),
]
_UNASKED: list[type[Reply]] = [frames.Challenge, frames.Command, frames.Error]


def frame_types() -> list[str]:
    """The type of every frame that a device may send."""
    asked = [frame for frame, _ in _PROTOCOL] + [one.frame for one in registry.handlers()]
    return sorted(_type_of(model) for model in asked)


def document() -> dict[str, Any]:
    """The document. Depends on nothing but the code, so that a difference is a change of the contract."""
    registry.discover()
    pairs = [*_PROTOCOL, *((one.frame, one.reply) for one in registry.handlers())]
    models: list[type[BaseModel]] = [model for pair in pairs for model in pair]
    models += _UNASKED
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    sent = {frame.__name__: _message(frame) for frame, _ in pairs}
    received = {reply.__name__: _message(reply) for reply in [*(r for _, r in pairs), *_UNASKED]}
    channel = {"$ref": "#/channels/gateway"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Keystead gateway",
            "version": "1.0.0",
            "description": "What devices and the platform say to each other. docs/gateway.md tells the story.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "organization": {
                "host": "{organization}.keystead.example",
                "protocol": "wss",
                "variables": {"organization": {"description": "The organization's name."}},
            }
        },
        "channels": {
            "gateway": {
                "address": GATEWAY_PATH,
                "messages": {**sent, **received},
                "x-close-codes": {str(int(code)): code.name.lower() for code in Close},
            }
        },
        "operations": {
            **{
                _type_of(frame): {
                    "action": "receive",
                    "channel": channel,
                    "summary": _summary(frame),
                    "messages": [_reference(frame)],
                    "reply": {
                        "channel": channel,
                        "messages": [_reference(reply), _reference(frames.Error)],
                    },
                }
                for frame, reply in pairs
            },
            **{
                f"send_{_type_of(reply)}": {
                    "action": "send",
                    "channel": channel,
                    "summary": _summary(reply),
                    "messages": [_reference(reply)],
                }
                for reply in _UNASKED
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _message(model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": _type_of(model),
        "title": model.__name__,
        "summary": _summary(model),
        "payload": {"$ref": _REF.format(model=model.__name__)},
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/channels/gateway/messages/{model.__name__}"}


def _type_of(model: type[BaseModel]) -> str:
    (name,) = model.model_fields["type"].annotation.__args__  # type: ignore[union-attr]
    return str(name)


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
