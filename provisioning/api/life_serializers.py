"""What operators send and see about the life of an organization."""

from __future__ import annotations

from engine.api.fields import StrictSerializer, TextField
from provisioning.organizations import REASON_CHARACTERS_MAX


class Because(StrictSerializer):
    reason = TextField(max_length=REASON_CHARACTERS_MAX, help_text="Kept in the operators' log.")
