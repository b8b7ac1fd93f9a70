"""The app of the idempotency keys; its table stands in both kinds of schema."""

from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    """Idempotency keys of the organization's callers, or of the operators in public."""

    name = "engine.idempotency"
    label = "idempotency"
