from __future__ import annotations

from django.apps import AppConfig


class SignInConfig(AppConfig):
    """How an organization's people sign in: its policy, and identity providers of its own."""

    name = "tenants.signin"
    label = "signin"
