"""Abstract tables of a sealed log. A log is four concrete models in one app:

    class Entry(SealedRow): ...                                    append-only
    class Seal(AbstractSeal):  row = OneToOneField(Entry, PROTECT)  append-only
    class Pending(AbstractPending): row = OneToOneField(Entry, PROTECT)
    class Head(AbstractHead): ...                                   one row

Only Pending can be deleted from and only Head updated; a privilege, not a promise, keeps the rest.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from engine.chain.rules import HASH_BYTES
from engine.chain.walk import Point
from engine.models import Model


class SealedRow(Model):
    """A row of a log. ``sealed_values`` is what its seal vouches for."""

    class Meta:
        abstract = True

    def sealed_values(self) -> dict[str, Any]:
        """The row as JSON values, complete, the same on every reading."""
        raise NotImplementedError

    def resumes_after(self) -> int | None:
        """The number after which the log goes on with this row, when a restore let numbers out before it.

        Read from what the seal vouches for; None for every other row.
        """
        return None

    def released(self) -> Point | None:
        """The place up to which older rows have left the log, when this row says so.

        Read from what the seal vouches for; None for every other row.
        """
        return None


class AbstractSeal(models.Model):
    """A row's place: its number, from 1 without gaps that no row declares, and the hash that ties it to the one before.

    A concrete seal adds ``row``, a OneToOneField to the log's row.
    """

    privileges: ClassVar[frozenset[str]] = frozenset()
    row_id: Any

    sequence = models.BigIntegerField(primary_key=True)
    previous_hash = models.BinaryField(max_length=HASH_BYTES)
    hash = models.BinaryField(max_length=HASH_BYTES)
    sealed_at = models.DateTimeField()

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=models.Q(sequence__gte=1), name="%(app_label)s_seal_sequence"),
        ]


class AbstractPending(models.Model):
    """The mark of a row that has no seal yet. A concrete mark adds ``row``."""

    privileges: ClassVar[frozenset[str]] = frozenset({"DELETE"})
    row_id: Any

    # In the order of writing, which keeps the events of one act in the order of the act.
    id = models.BigAutoField(primary_key=True)
    marked_at = models.DateTimeField()

    class Meta:
        abstract = True


class AbstractHead(models.Model):
    """The end of the chain, and by its row lock the lease of the one sealer."""

    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    id = models.SmallIntegerField(primary_key=True, default=1)
    sequence = models.BigIntegerField(default=0)
    hash = models.BinaryField(max_length=HASH_BYTES)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="%(app_label)s_head_single"),
        ]
