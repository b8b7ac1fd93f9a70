from __future__ import annotations

from django.apps import AppConfig


class SitesConfig(AppConfig):
    """The tree of places at which an organization's devices stand."""

    name = "tenants.sites"
    label = "sites"
