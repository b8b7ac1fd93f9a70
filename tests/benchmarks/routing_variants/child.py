"""One variant in a process of its own: reads a number of requests, answers with seconds.

The WSGI application is called directly: an HTTP server would cost all three the same and so
bring the ratios closer to 1 than they are.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

ORGANIZATIONS = 20
BASE = "bench.test"


def configure(variant: str, url: str) -> None:
    """Settings of the three variants, equal but for what is compared."""
    parts = urlsplit(url)
    engines = {
        "plain": "django.db.backends.postgresql",
        "stock": "django_tenants.postgresql_backend",
        "ours": "engine.tenancy.postgres",
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
    if variant == "ours":
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
            "PLATFORM_HOST": f"platform.{BASE}",
            "HOOKS_HOST": f"hooks.{BASE}",
            "MIDDLEWARE": [
                "engine.tenancy.routing.OrganizationMiddleware",
                "tests.benchmarks.routing_variants.child.BenchUrls",
            ],
        }
    from django.conf import settings

    settings.configure(**common)


class BenchUrls:
    """Serves the benchmark's own endpoint where the platform would serve an organization's."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        request.urlconf = "tests.benchmarks.routing_variants.urls"
        return self.get_response(request)


def main() -> None:
    variant, url = sys.argv[1], os.environ["BENCH_DATABASE_URL"]
    configure(variant, url)
    import django

    django.setup()
    from django.core.handlers.wsgi import WSGIHandler

    application = WSGIHandler()
    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        began = time.perf_counter()
        for number in range(count):
            request(application, number % ORGANIZATIONS, variant)
        print(time.perf_counter() - began, flush=True)


def request(application: Any, organization: int, variant: str) -> None:
    """One GET, whose answer has to be the right organization's."""
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
    body = json.loads(b"".join(response))
    response.close()
    expected = "plain" if variant == "plain" else f"o{organization}"
    if status != ["200 OK"] or body["owner"] != expected or len(body["data"]) != 20:
        raise SystemExit(f"{variant}: organization {organization} got {status} {body}")


if __name__ == "__main__":
    main()
