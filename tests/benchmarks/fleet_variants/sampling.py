"""django-tenants' own executor, for the first few of the tenants that its command hands to it."""

from __future__ import annotations

from typing import Any

from django_tenants.migration_executors.standard import StandardExecutor

tenants_max: int | None = None
"""How many; None for all."""


class Sampling(StandardExecutor):
    def run_migrations(self, tenants: Any = None) -> None:
        chosen = list(tenants or [])
        if chosen != [self.PUBLIC_SCHEMA_NAME]:
            chosen = sorted(chosen)[:tenants_max]
        super().run_migrations(chosen)


def executor(codename: str | None = None) -> type[StandardExecutor]:
    """For the setting GET_EXECUTOR_FUNCTION."""
    return Sampling
