from __future__ import annotations

from django.apps import AppConfig


class SignInConfig(AppConfig):
    """How an organization's people sign in: its policy, and identity providers of its own."""

    name = "tenants.signin"
    label = "signin"

    def ready(self) -> None:
        """Let accounts that are closed lose what signs them in from elsewhere."""
        from shared.accounts.people import set_unlinker
        from tenants.signin.federation import unlink_all

        set_unlinker(unlink_all)
