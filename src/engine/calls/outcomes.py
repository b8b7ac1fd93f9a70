"""What became of a request, sorted by the one question that matters: may it have had an effect?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Succeeded:
    """2xx: the provider did it."""

    reply: Reply
    may_have_effect: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Refused:
    """4xx: the provider read this request and did not do it.

    ``after_unknown`` says that an earlier sending of the same request ended without an answer: then only a
    refusal that the provider keeps under the idempotency key says something about that one too.
    """

    reply: Reply
    after_unknown: bool = False
    may_have_effect: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: not done, ask again after ``retry_after_s`` seconds (None when the provider did not say)."""

    reply: Reply
    retry_after_s: float | None = None
    may_have_effect: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request reached the provider: ``reason`` is unreachable, breaker_open or busy."""

    reason: str
    may_have_effect: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request left and no trustworthy answer came back. ``reply`` is there for a 5xx, 408 or 409."""

    reason: str
    reply: Reply | None = None
    may_have_effect: ClassVar[bool] = True


Outcome: TypeAlias = Succeeded | Refused | Throttled | NotSent | Unknown

# A timeout, a conflict with a request under way, "too early": somebody may still be working on it.
_UNDECIDED = frozenset({408, 409, 425})


def classify(reply: Reply) -> Outcome:
    """The outcome that an answer stands for."""
    match reply.status:
        case 429:
            return Throttled(reply, retry_after(reply))
        case status if 200 <= status < 300:
            return Succeeded(reply)
        case status if 400 <= status < 500 and status not in _UNDECIDED:
            return Refused(reply)
        case status:
            return Unknown(f"status_{status}", reply)


def retry_after(reply: Reply) -> float | None:
    """The seconds of a Retry-After header; the date form is not used by our providers."""
    value = reply.headers.get("retry-after", "")
    return float(value) if value.isdigit() and len(value) < 6 else None


def combined(last: Outcome, *, unknown: Unknown | None) -> Outcome:
    """The outcome of several sendings of one request, of which ``unknown`` had no answer."""
    if unknown is None:
        return last
    if isinstance(last, Refused):
        return Refused(last.reply, after_unknown=True)
    # That the last try reached nobody says nothing about the one before it.
    return unknown if isinstance(last, NotSent | Throttled) else last
