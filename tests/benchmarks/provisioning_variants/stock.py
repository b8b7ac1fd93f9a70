"""Stock django-tenants: its own backend, `auto_create_schema`, and the same apps as ours in each tenant."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.benchmarks.provisioning_variants.protocol import serve

STOCK = "tests.benchmarks.routing_variants.stock"
SHARED_APPS = ["django_tenants", STOCK, "django.contrib.contenttypes", "django.contrib.auth", "shared.accounts"]


def configure(url: str, **more: object) -> None:
    """Our settings with django-tenants' backend and models in the places of ours, and `more`."""
    from django.conf import settings

    from config import settings as ours

    parts = urlsplit(url)
    values: dict[str, Any] = {name: getattr(ours, name) for name in dir(ours) if name.isupper() and name != "ENV"}
    values |= {
        "SHARED_APPS": SHARED_APPS,
        "INSTALLED_APPS": list(dict.fromkeys([*SHARED_APPS, *ours.INSTALLED_APPS])),
        "TENANT_MODEL": "stock.Client",
        "TENANT_DOMAIN_MODEL": "stock.Domain",
        "DATABASES": {
            "default": {
                "ENGINE": "django_tenants.postgresql_backend",
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username,
                "PASSWORD": unquote(parts.password or ""),
                "HOST": parts.hostname,
                "PORT": str(parts.port),
                "CONN_MAX_AGE": None,
            }
        },
        **more,
    }
    settings.configure(**values)
    import django

    django.setup()


def prepare() -> dict[str, int]:
    """The shared tables, and a first tenant that the others may be cloned from."""
    from django.core.management import call_command
    from django.db import connection

    from tests.benchmarks.routing_variants.stock.models import Client, Domain

    with connection.schema_editor() as editor:
        editor.create_model(Client)
        editor.create_model(Domain)
    call_command("migrate_schemas", shared=True, verbosity=0)
    create("first")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'first'")
        tables = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM first.django_migrations")
        return {"tables": tables, "migrations": cursor.fetchone()[0]}


def create(name: str = "") -> float:
    """Seconds of a tenant with its domain, the way django-tenants' documentation has it."""
    from tests.benchmarks.routing_variants.stock.models import Client, Domain

    schema = name or f"s{secrets.token_hex(8)}"
    began = time.perf_counter()
    tenant = Client(schema_name=schema, name=schema)
    tenant.save(verbosity=0)
    Domain.objects.create(domain=f"{schema}.bench.test", tenant=tenant, is_primary=True)
    return time.perf_counter() - began


def grow(count: int) -> int:
    """That many tenants more, cloned from a dump of the first: stock would need an hour."""
    from django.db import connection, transaction

    from provisioning import scripts
    from tests.benchmarks.routing_variants.stock.models import Client, Domain

    clone = "\n".join(f"{statement};" for statement in scripts.fold_keys(_dump()))
    for _ in range(count):
        schema = f"c{secrets.token_hex(8)}"
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {schema}; SET LOCAL search_path TO {schema}; {clone}")
            cursor.execute("INSERT INTO django_migrations SELECT * FROM first.django_migrations")
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('django_migrations', 'id'), max(id)) FROM django_migrations"
            )
            cursor.execute("SET LOCAL search_path TO public")
            tenant = Client(schema_name=schema, name=schema)
            tenant.auto_create_schema = False
            tenant.save()
            Domain.objects.create(domain=f"{schema}.bench.test", tenant=tenant, is_primary=True)
    return count


def _dump() -> list[str]:

    from provisioning import schemas, scripts

    command = [
        schemas.pg_dump_path(),
        "--schema-only",
        "--no-owner",
        "--schema=first",
        os.environ["BENCH_DATABASE_URL"],
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [
        statement.replace("first.", "")
        for statement in scripts.statements(done.stdout)
        if not statement.startswith(("SET ", "CREATE SCHEMA", "SELECT pg_catalog"))
    ]


def count() -> int:
    """Tenants with a schema."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM stock_client JOIN pg_catalog.pg_namespace ON nspname = schema_name")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    configure(os.environ["BENCH_DATABASE_URL"])
    commands: dict[str, Any] = {command.__name__: command for command in (prepare, create, grow, count)}
    serve(commands)
