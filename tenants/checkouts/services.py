"""What other modules call: taking a device's checkout, finishing one, and the organization's rules.

`taking`, `deciding`, `finishing`, `policy` and `pins` say how.
"""

from __future__ import annotations

from tenants.checkouts.finishing import advance, follow_payments, settle_restored
from tenants.checkouts.pins import MalformedPin, follow_erasures, remove_pin, set_pin
from tenants.checkouts.policy import PolicyChanged, current_policy, probe_freshness, update_policy
from tenants.checkouts.taking import (
    Asked,
    InvalidSignature,
    RecognitionUnavailable,
    SequenceReused,
    take,
)

__all__ = [
    "Asked",
    "InvalidSignature",
    "MalformedPin",
    "PolicyChanged",
    "RecognitionUnavailable",
    "SequenceReused",
    "advance",
    "current_policy",
    "follow_erasures",
    "follow_payments",
    "probe_freshness",
    "remove_pin",
    "set_pin",
    "settle_restored",
    "take",
    "update_policy",
]
