"""The base of the tables that this platform owns."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from engine import ids
from engine.clock import utc_now


class Model(models.Model):
    """A row with a UUIDv7 key that is public as a TypeID, and the moment of its making (UTC).

    ``privileges`` says which of UPDATE and DELETE an organization's role gets on the table; the default
    is none, so that a table is append-only until its model says otherwise.
    """

    id_prefix: ClassVar[str]
    privileges: ClassVar[frozenset[str]] = frozenset()

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    created_at = models.DateTimeField(default=utc_now, editable=False)

    class Meta:
        abstract = True

    @property
    def public_id(self) -> str:
        """The TypeID of this row, for example ``pay_01h455vb4pex5vsknk084sn02q``."""
        return ids.encode(self.id_prefix, self.id)
