from __future__ import annotations

from django.apps import AppConfig


class OperatorLogConfig(AppConfig):
    """What the platform's staff did, and why."""

    name = "shared.operator_log"
    label = "operator_log"
