"""Which function answers which frame.

An app registers what it handles in its gateway.py:

    @registry.handler("checkout", frame=CheckoutFrame, reply=CheckoutResult, slow=True)
    def checkout(*, session: Session, frame: CheckoutFrame, raw: RawFrame) -> CheckoutResult: ...

The function runs on a thread, in the organization's context and outside every transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from django.utils.module_loading import autodiscover_modules
from pydantic import BaseModel, ConfigDict, Field

from engine.principals import Principal
from engine.tenancy.context import OrganizationContext
from tenants.devices.rules.proofs import PublicKey

RawFrame: TypeAlias = Mapping[str, Any]
"""A frame as it was parsed, with every member that the device sent."""

ResumeFunction = TypeVar("ResumeFunction", bound=Callable[..., Mapping[str, Any]])


FRAME_ID = r"^[A-Za-z0-9._:-]{1,64}$"


class Frame(BaseModel):
    """What every frame of a device has: a type, and an id that the reply repeats as `re`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: str
    id: str | None = Field(
        default=None,
        pattern=FRAME_ID,
        description="Repeated as `re` in the reply.",
    )


class Reply(BaseModel):
    """What every frame of the gateway has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    re: str | None = Field(default=None, description="The `id` of the frame that this answers.")


Function = TypeVar("Function", bound=Callable[..., Reply])


@dataclass(frozen=True, slots=True)
class Session:
    """An authenticated socket, as handlers see it."""

    id: UUID
    organization: OrganizationContext
    device: Principal
    credential_id: UUID
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Handler:
    """How frames of one type are handled."""

    name: str
    frame: type[Frame]
    reply: type[Reply]
    function: Callable[..., Reply]
    slow: bool
    in_quarantine: bool = False


_handlers: dict[str, Handler] = {}
_resumes: dict[str, Callable[..., Mapping[str, Any]]] = {}


def handler(
    name: str, *, frame: type[Frame], reply: type[Reply], slow: bool = False, in_quarantine: bool = False
) -> Callable[[Function], Function]:
    """Register the decorated function for frames of the type `name`.

    `slow` says that it waits for another service, so that it is counted among those that may do so
    at the same time. `in_quarantine` lets quarantined devices send it too. Raises ValueError when the name is taken.
    """

    def register(function: Function) -> Function:
        if name in _handlers and _handlers[name].function is not function:
            raise ValueError(f"two handlers for frames of the type {name}")
        _handlers[name] = Handler(name, frame, reply, function, slow, in_quarantine)
        return function

    return register


def resume(name: str) -> Callable[[ResumeFunction], ResumeFunction]:
    """Register what `ready` tells a device about its work under `name`, so that it can go on.

    The function is called with `session=`, in the organization's context, and answers a JSON object.
    """

    def register(function: ResumeFunction) -> ResumeFunction:
        if name in _resumes and _resumes[name] is not function:
            raise ValueError(f"two functions resume {name}")
        _resumes[name] = function
        return function

    return register


def find(name: object) -> Handler | None:
    """The handler of frames of the type `name`, if there is one."""
    return _handlers.get(name) if isinstance(name, str) else None


def handlers() -> list[Handler]:
    """Every registered handler, by name."""
    return [_handlers[name] for name in sorted(_handlers)]


def resumed(*, session: Session) -> dict[str, Any]:
    """Where each app's work with the device stands."""
    return {name: dict(function(session=session)) for name, function in sorted(_resumes.items())}


def discover() -> None:
    """Import the gateway module of every app, once, before the first socket."""
    autodiscover_modules("gateway")
