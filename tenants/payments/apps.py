"""The payments app."""

from __future__ import annotations

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "tenants.payments"
    label = "payments"

    def ready(self) -> None:
        from tenants.events import services as events
        from tenants.payments.services import follow_erasures

        events.subscribe(follow_erasures)
