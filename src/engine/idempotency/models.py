"""One row for each idempotency key that had an effect."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from engine.models import Model


class IdempotencyKey(Model):
    """What a key stood for, and the answer that a repeat gets.

    The key itself is kept as a hash and the answer sealed under it: an answer may hold a token, and
    nobody who reads the table may have it.
    """

    id_prefix: ClassVar[str] = "idem"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    principal_kind = models.CharField(max_length=16)
    principal_id = models.UUIDField()
    endpoint = models.CharField(max_length=200)
    key_hash = models.BinaryField(max_length=32)
    body_hash = models.BinaryField(max_length=32)
    intent = models.CharField(max_length=100, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    sealed_answer = models.BinaryField(null=True, blank=True)

    class Meta:
        db_table = "idempotency_key"
        constraints = (
            models.UniqueConstraint(
                fields=("principal_kind", "principal_id", "endpoint", "key_hash"),
                name="idempotency_key_once",
            ),
            models.CheckConstraint(
                condition=models.Q(status__isnull=False, sealed_answer__isnull=False)
                | models.Q(status__isnull=True, lease_until__isnull=False),
                name="idempotency_key_answered_or_leased",
            ),
        )
        indexes = (models.Index(fields=("created_at",), name="idempotency_key_age"),)
