"""Keystead's own services, called as the API and the provisioner call them."""

from __future__ import annotations

import secrets
import time
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402

from engine.tenancy import privileges, roles  # noqa: E402
from engine.tenancy.context import public_schema  # noqa: E402
from provisioning import pool, schemas, services  # noqa: E402
from provisioning.steps import create as steps  # noqa: E402
from shared.organizations.models import Domain, Organization  # noqa: E402
from shared.plans.models import Plan  # noqa: E402
from tests.benchmarks.provisioning_variants.protocol import serve  # noqa: E402


def prepare() -> dict[str, int]:
    """The platform's tables and a plan; how much there is in an organization's schema."""
    schemas.migrate_public()
    with public_schema():
        Plan.objects.create(code="bench", title="Bench", requests_per_minute_max=1, people_max=1, devices_max=1)
    return {"tables": schemas.baked_script().count("CREATE TABLE ")}


def birth() -> services.Birth:
    slug = f"b{secrets.token_hex(8)}"
    return services.Birth(slug=slug, name=slug, plan_code="bench", admin_email=f"owner@{slug}.example")


def cold() -> float:
    """Seconds from a request until the new organization's schema, role and privileges are there."""
    began = time.perf_counter()
    with public_schema():
        flow = services.request_organization(birth=birth())
    assert not flow.organization.schema_fingerprint, "the pool was to be empty"
    steps.make_schema(flow)
    return time.perf_counter() - began


def claim(count: int) -> list[float]:
    """Seconds of each claim: one statement, the organization's row, its domain's, and the commit."""
    _fill(count)
    with public_schema():
        plan = Plan.objects.get()
    return [_claim(plan, birth()) for _ in range(count)]


def _claim(plan: Plan, asked: services.Birth) -> float:
    began = time.perf_counter()
    with public_schema(), transaction.atomic():
        names = pool.claim()
        row = Organization.objects.create(
            slug=asked.slug,
            name=asked.name,
            plan=plan,
            issuer=services.issuer(slug=asked.slug),
            environment=asked.environment,
            cell=asked.cell,
            schema_name=names.schema,
            role_name=names.role,
            schema_fingerprint=names.fingerprint,
            time_zone=asked.time_zone,
            locale=asked.locale,
            currency=asked.currency,
        )
        Domain.objects.create(host=f"{asked.slug}.bench.test", organization=row, is_canonical=True)
    seconds = time.perf_counter() - began
    assert row.schema_fingerprint, "the pool was to have one"
    return seconds


def request(count: int) -> list[float]:
    """Seconds of everything that the operator's POST does: checks, plan, claim, flow and outbox as well."""
    _fill(count)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        with public_schema():
            flow = services.request_organization(birth=birth())
        taken.append(time.perf_counter() - began)
        assert flow.organization.schema_fingerprint, "the pool was to have one"
    return taken


def grow(count: int) -> int:
    """That many organizations more, as the cold path makes them."""
    for _ in range(count):
        cold()
    return count


def schemas_to_compare() -> dict[str, tuple[str, str]]:
    """Schema and role of one organization of each origin: cold, claimed, and migrated for this purpose."""
    with public_schema():
        made_cold = Organization.objects.filter(flows__isnull=False).earliest("id")
        claimed = Organization.objects.filter(flows__isnull=True).earliest("id")
    migrated = pool.new_names()
    with schemas.owner_connection() as raw:
        roles.create_organization_role(raw, role=migrated.role)
        roles.create_organization_schema(raw, schema=migrated.schema, role=migrated.role)
    schemas.migrate_schema(migrated.schema)
    with schemas.owner_connection() as raw:
        for statement in privileges.grants_sql(schema=migrated.schema, role=migrated.role):
            raw.execute(statement)
    return {
        "cold": (made_cold.schema_name, made_cold.role_name),
        "claimed": (claimed.schema_name, claimed.role_name),
        "migrated": (migrated.schema, migrated.role),
    }


def count() -> int:
    """Organizations with a schema."""
    with public_schema(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM organizations_organization JOIN pg_catalog.pg_namespace ON nspname = schema_name"
        )
        return int(cursor.fetchall()[0][0])


def _fill(wanted: int) -> None:
    while pool.add(size=wanted):
        pass


if __name__ == "__main__":
    commands: dict[str, Any] = {
        command.__name__: command for command in (prepare, cold, claim, request, grow, schemas_to_compare, count)
    }
    serve(commands)
