"""The names of what workers do for payments later; the handlers stand in ``tasks``."""

from __future__ import annotations

from datetime import timedelta

ADVANCE = "payments.advance"
PROVIDER_EVENT = "payments.provider_event"
SWEEP = "payments.sweep"
FORGET_PERSON = "payments.forget_person"

SAFETY_NET = timedelta(seconds=20)
"""Whoever commits an intent advances it at once. Should that process die, a worker does it after this long."""

SWEEP_AFTER = timedelta(minutes=15)
"""How long after something became undecided, and how often from then on, a sweep looks at all that is."""
