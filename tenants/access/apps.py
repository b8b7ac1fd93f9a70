from __future__ import annotations

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Who may do what in an organization: apps, roles, grants and the organization's tokens."""

    name = "tenants.access"
    label = "access"

    def ready(self) -> None:
        """Hand the decision to the layers below, which know no roles."""
        from engine.api.access import set_checker
        from tenants.access.policy import check, reach
        from tenants.sites.selectors import set_reach

        set_checker(check)
        set_reach(reach)
