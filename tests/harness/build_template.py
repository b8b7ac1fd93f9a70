"""Builds the template database: the platform, its plan, and the organizations a and b."""

from __future__ import annotations

import os
import sys

import django
import psycopg

from engine.tenancy import roles
from engine.tenancy.context import OrganizationContext, organization
from tests.harness import environment


def build(database: str) -> None:
    roles.bootstrap(
        admin_url=os.environ["KEYSTEAD_TEST_POSTGRES_URL"],
        owner_url=environment.owner_url(database),
        app_url=environment.app_url(database),
    )
    # Both ways work on the tests' server: ks_app may switch, and every role may log in.
    with psycopg.connect(environment.owner_url(database), autocommit=True) as owner:
        roles.give_logins(owner, secret=environment.LOGIN_SECRET)
    django.setup()
    from django.db import connection

    from engine.tenancy.context import public_schema
    from provisioning import schemas
    from shared.organizations.models import Domain, Organization
    from shared.plans.models import Plan

    schemas.migrate_public()
    with public_schema():
        plan = Plan.objects.create(
            code="standard",
            title="Standard",
            requests_per_minute_max=100_000,
            people_max=1000,
            devices_max=100,
        )
    for letter, currency in (("a", "EUR"), ("b", "USD")):
        slug = f"org-{letter}"
        # Named after the database: roles belong to the server, and other checkouts' tests use it too.
        schema = role = f"ks_o_test_{letter}"
        with public_schema():
            row = Organization.objects.create(
                slug=slug,
                name=f"Organization {letter.upper()}",
                status="active",
                plan=plan,
                issuer=f"http://{slug}.{environment.BASE_DOMAIN}",
                environment="test",
                schema_name=schema,
                role_name=role,
                time_zone="Europe/Berlin",
                locale="en",
                currency=currency,
            )
            Domain.objects.create(host=f"{slug}.{environment.BASE_DOMAIN}", organization=row, is_canonical=True)
        # Replayed, not baked: tests/provisioning compares the two.
        with schemas.owner_connection() as raw:
            roles.create_organization_role(raw, role=role, login_secret=environment.LOGIN_SECRET)
            roles.create_organization_schema(raw, schema=schema, role=role)
        schemas.migrate_organization(schema=schema, role=role)
        _give_keys(row.context())
    connection.close()


def _give_keys(context: OrganizationContext) -> None:
    """The biometric key as the matcher would make it, the others as provisioning does."""
    from engine import ids
    from engine.keys import tree
    from engine.keys.kms import open_kms
    from tenants.keyring import services as keyring
    from tenants.keyring.models import OrganizationKey

    made = tree.new_organization_key(
        open_kms(environment.BIOMETRIC_KMS_URL),
        key_id=ids.uuid7(),
        organization_id=context.id,
        purpose="biometric",
        version=1,
    )
    with organization(context):
        OrganizationKey.objects.create(
            id=made.id, purpose="biometric", version=1, wrapped=made.wrapped, kms_key_id=made.kms_key_id
        )
        keyring.provision_keys()


if __name__ == "__main__":
    build(sys.argv[1])
