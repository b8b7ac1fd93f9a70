"""What an organization's host answers. `main` of each app's api under /v1."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

_API = [
    "checkouts",
    "payments",
    "identity",
    "devices",
    "webhooks",
    "access",
    "sites",
    "usage",
    "audit",
    "events",
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include(f"tenants.{app}.api.urls"))
    for app in _API
    if find_spec(f"tenants.{app}") and find_spec(f"tenants.{app}.api") and find_spec(f"tenants.{app}.api.urls")
]
