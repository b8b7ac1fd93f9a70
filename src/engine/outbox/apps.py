"""The outbox app: one table in the public schema, and the handlers of every app's ``tasks`` module."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class OutboxConfig(AppConfig):
    name = "engine.outbox"
    label = "outbox"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # ``send`` looks the queue up by the message's name, so every process needs the handlers known.
        autodiscover_modules("tasks")
