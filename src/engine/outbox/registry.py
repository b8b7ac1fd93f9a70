"""Which function handles which message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from engine.outbox.options import QUEUES

if TYPE_CHECKING:
    from engine.outbox.messages import Message


class HandlerFunction(Protocol):
    """``def deliver(*, message: Message) -> None``"""

    def __call__(self, *, message: Message) -> None: ...


Function = TypeVar("Function", bound=Callable[..., Any])


class UnknownMessage(LookupError):
    """No handler is registered under a message's name."""


class Postpone(Exception):
    """Raised by a handler that cannot work now: its transaction is undone and the message comes back
    after ``delay``, without counting as a failed attempt."""

    def __init__(self, delay: timedelta, reason: str) -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handler:
    """How messages of one name are handled."""

    name: str
    queue: str
    function: HandlerFunction
    transactional: bool
    coalesce: bool


_handlers: dict[str, Handler] = {}


def handler(
    name: str, *, queue: str = "default", transactional: bool = True, coalesce: bool = False
) -> Callable[[Function], Function]:
    """Register the decorated function for messages called ``name``.

    With ``transactional`` it runs inside a transaction that also holds the message's inbox row: its
    effect happens exactly once. Without, it owns its transactions (a call to a provider stands between
    them) and must be idempotent: it can run again after a crash.

    With ``coalesce`` one execution stands for all waiting messages of this name and organization, so
    the payload must not matter. Only for handlers that look for their work themselves.
    """
    if queue not in QUEUES:
        raise ValueError(f"{queue} is not one of the queues {', '.join(QUEUES)}")

    def register(function: Function) -> Function:
        known = _handlers.get(name)
        if known is not None and known.function is not function:
            raise ValueError(f"two handlers for {name}")
        _handlers[name] = Handler(name, queue, function, transactional, coalesce)
        return function

    return register


def find(name: str) -> Handler:
    """The handler of messages called ``name``; raises UnknownMessage."""
    try:
        return _handlers[name]
    except KeyError:
        raise UnknownMessage(f"no handler is registered for {name}") from None


def names() -> list[str]:
    """The names of all registered messages, sorted."""
    return sorted(_handlers)
