from __future__ import annotations

from django.apps import AppConfig


class CheckoutsConfig(AppConfig):
    """A device takes a payment from a recognised person."""

    name = "tenants.checkouts"
    label = "checkouts"

    def ready(self) -> None:
        """Hear of payments and people, which lie below and know nothing of checkouts."""
        from tenants.checkouts.services import follow_erasures, follow_payments
        from tenants.events.services import subscribe

        subscribe(follow_payments)
        subscribe(follow_erasures)
