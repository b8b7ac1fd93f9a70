"""One design in a process of its own: as a WSGI application that a server loads, or called directly.

    granian --interface wsgi tests.benchmarks.routing_variants.child:application
    python -m tests.benchmarks.routing_variants.child     reads a number of requests, answers with seconds

BENCH_VARIANT names the design, BENCH_DATABASE_URL its database.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

ORGANIZATIONS = 20
BASE = "bench.test"
LOGIN_SECRET = "only for the benchmark, which keeps no secrets"
LOGIN_CONNECTIONS = 24


def configure(variant: str, url: str) -> None:
    """Settings of the variants, equal but for what is compared."""
    parts = urlsplit(url)
    engines = {
        "plain": "django.db.backends.postgresql",
        "stock": "django_tenants.postgresql_backend",
        "ours": "engine.tenancy.postgres",
        "login": "engine.tenancy.postgres_logins",
    }
    common: dict[str, Any] = {
        "SECRET_KEY": "only for the benchmark, which keeps no secrets",
        "ALLOWED_HOSTS": ["*"],
        "USE_TZ": True,
        "ROOT_URLCONF": "tests.benchmarks.routing_variants.urls",
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "DATABASES": {
            "default": {
                "ENGINE": engines[variant],
                "NAME": parts.path.lstrip("/"),
                "USER": parts.username,
                "PASSWORD": parts.password,
                "HOST": parts.hostname,
                "PORT": str(parts.port),
                "CONN_MAX_AGE": None,
            }
        },
        "INSTALLED_APPS": ["tests.benchmarks.routing_variants"],
        "MIDDLEWARE": [],
    }
    if variant == "stock":
        common |= {
            "INSTALLED_APPS": [
                "django_tenants",
                "tests.benchmarks.routing_variants.stock",
                "django.contrib.contenttypes",
                "tests.benchmarks.routing_variants",
            ],
            "SHARED_APPS": ["django_tenants", "tests.benchmarks.routing_variants.stock", "django.contrib.contenttypes"],
            "TENANT_APPS": ["tests.benchmarks.routing_variants"],
            "TENANT_MODEL": "stock.Client",
            "TENANT_DOMAIN_MODEL": "stock.Domain",
            "DATABASE_ROUTERS": ["django_tenants.routers.TenantSyncRouter"],
            "MIDDLEWARE": ["django_tenants.middleware.main.TenantMainMiddleware"],
        }
    if variant in ("ours", "login"):
        common |= {
            "INSTALLED_APPS": [
                "django.contrib.contenttypes",
                "shared.plans",
                "shared.organizations",
                "tests.benchmarks.routing_variants",
            ],
            "SHARED_APPS": ["shared.plans", "shared.organizations"],
            "TENANT_APPS": ["tests.benchmarks.routing_variants"],
            "TENANCY_DIRECTORY": "shared.organizations.directory",
            "DATABASE_ORGANIZATIONS_PER_CONNECTION": 200,
            "DATABASE_LOGIN_SECRETS": (LOGIN_SECRET,),
            "DATABASE_LOGIN_CONNECTIONS": LOGIN_CONNECTIONS,
            "DATABASE_LOGIN_IDLE_SECONDS": 300,
            "PLATFORM_HOST": f"platform.{BASE}",
            "HOOKS_HOST": f"hooks.{BASE}",
            "MIDDLEWARE": ["engine.tenancy.routing.OrganizationMiddleware"],
        }
    from django.conf import settings

    settings.configure(**common)


def load(variant: str) -> Any:
    """The WSGI application of a design."""
    configure(variant, os.environ["BENCH_DATABASE_URL"])
    import django

    django.setup()
    # The benchmark's endpoint, where the platform would serve an organization's.
    sys.modules["config.urls_organization"] = import_module("tests.benchmarks.routing_variants.urls")
    from django.core.handlers.wsgi import WSGIHandler

    return WSGIHandler()


def __getattr__(name: str) -> Any:
    if name == "application":
        return load(os.environ["BENCH_VARIANT"])
    raise AttributeError(name)


def main() -> None:
    variant = os.environ["BENCH_VARIANT"]
    called = load(variant)
    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        began = time.perf_counter()
        for number in range(count):
            request(called, number % ORGANIZATIONS, variant)
        print(time.perf_counter() - began, flush=True)


def check(variant: str, organization: int, body: bytes) -> None:
    """Stop the run unless `body` is the right organization's answer."""
    answer = json.loads(body)
    expected = "plain" if variant == "plain" else f"o{organization}"
    if answer["owner"] != expected or len(answer["data"]) != 20:
        raise SystemExit(f"{variant}: organization {organization} got {answer}")


def request(application: Any, organization: int, variant: str) -> None:
    """One GET without a server in between."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/items",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": f"o{organization}.{BASE}",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    response = application(environ, lambda code, headers, exc_info=None: status.append(code))
    body = b"".join(response)
    response.close()
    if status != ["200 OK"]:
        raise SystemExit(f"{variant}: organization {organization} got {status}")
    check(variant, organization, body)


if __name__ == "__main__":
    main()
