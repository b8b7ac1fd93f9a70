"""What payments do when other apps say that something happened."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine import outbox
from tenants.events.services import SealedEvent
from tenants.payments.services import messages

_ERASED = "identity.person.erased"


def follow_erasures(batch: Sequence[SealedEvent]) -> None:
    """Forget what erased people paid with. Called in the transaction that seals their erasure."""
    for event in batch:
        if event.type == _ERASED:
            person = json.loads(event.body)["data"]["person"]
            outbox.send(name=messages.FORGET_PERSON, payload={"person": person})
