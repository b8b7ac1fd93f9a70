from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People who sign in: operators in the public schema, members in an organization's."""

    name = "shared.accounts"
    label = "accounts"
