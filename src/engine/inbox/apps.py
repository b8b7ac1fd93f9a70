"""The inbox app: one table, in the public schema and in each organization's."""

from __future__ import annotations

from django.apps import AppConfig


class InboxConfig(AppConfig):
    name = "engine.inbox"
    label = "inbox"
    default_auto_field = "django.db.models.BigAutoField"
