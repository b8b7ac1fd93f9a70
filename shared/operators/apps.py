from __future__ import annotations

from django.apps import AppConfig


class OperatorsConfig(AppConfig):
    """The platform's staff and their roles."""

    name = "shared.operators"
    label = "operators"

    def ready(self) -> None:
        """Hand the decision to the API's engine, which knows no roles."""
        from engine.api.access import set_operator_checker
        from shared.operators.selectors import may

        set_operator_checker(may)
