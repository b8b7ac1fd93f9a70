"""Makes our variant's public tables from their migrations, and fills in the organizations."""

from __future__ import annotations

import os

from tests.benchmarks.routing_variants.child import BASE, ORGANIZATIONS, configure


def main() -> None:
    configure("ours", os.environ["BENCH_DATABASE_URL"])
    import django

    django.setup()
    from django.core.management import call_command

    from engine.tenancy.context import owner_schema, public_schema
    from shared.organizations.models import Domain, Organization
    from shared.plans.models import Plan

    with owner_schema("public"):
        for app in ("plans", "organizations"):
            call_command("migrate", app, interactive=False, verbosity=0)
    with public_schema():
        plan = Plan.objects.create(code="bench", title="Bench", requests_per_minute_max=1, people_max=1, devices_max=1)
        for number in range(ORGANIZATIONS):
            row = Organization.objects.create(
                slug=f"bench-{number}",
                name=f"Bench {number}",
                status="active",
                plan=plan,
                issuer=f"http://o{number}.{BASE}",
                environment="test",
                schema_name=f"ks_o_bench_{number}",
                role_name=f"ks_o_bench_{number}",
                time_zone="UTC",
                locale="en",
                currency="EUR",
            )
            Domain.objects.create(host=f"o{number}.{BASE}", organization=row, is_canonical=True)


if __name__ == "__main__":
    main()
