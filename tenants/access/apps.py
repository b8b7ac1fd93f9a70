from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig, apps
from django.utils.module_loading import module_has_submodule


class AccessConfig(AppConfig):
    """Who may do what in an organization: apps, roles, grants and the organization's tokens."""

    name = "tenants.access"
    label = "access"

    def ready(self) -> None:
        """Collect what every app lets be allowed, and hand the decision to the layers below, which know no roles."""
        from engine.api.access import set_checker
        from shared.accounts.journal import set_writer
        from shared.accounts.resets import set_ender
        from tenants.access.authorizations import revoke_after_reset
        from tenants.access.deciding import check, reach
        from tenants.access.policy import allow_move
        from tenants.audit.services import write
        from tenants.sites.selectors import set_reach
        from tenants.sites.services import set_allow_move

        for config in apps.get_app_configs():
            if config.name.startswith("tenants.") and module_has_submodule(config.module, "permissions"):
                import_module(f"{config.name}.permissions")
        set_checker(check)
        set_writer(write)
        set_ender(revoke_after_reset)
        set_reach(reach)
        set_allow_move(allow_move)
