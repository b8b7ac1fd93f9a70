"""The base of every event. Each app declares its own in its events.py:

@dataclass(frozen=True, kw_only=True)
class PaymentCaptured(Event):
    type: ClassVar[str] = "payment.captured"
    schema_version: ClassVar[int] = 1
    payment: str
    amount_minor: int
    currency: str
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact: ids and plain values, never a template, a probe or a secret.

    ``type`` is ``<noun>.<past participle>``. ``schema_version`` grows when a field changes its meaning
    or goes away; adding one does not count.
    """

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1

    def body(self) -> dict[str, Any]:
        """The event's ``data``, as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class OrganizationRestored(Event):
    """The organization was restored from a backup: what was told after it has not happened here.

    ``ended_at`` is the number of the last event that the backup held; this event's own number lies above every
    number that the lost log is known or assumed to have given, so whoever reads on finds this event next.
    """

    type: ClassVar[str] = "organization.restored"
    backup: str
    flow: str
    ended_at: int
