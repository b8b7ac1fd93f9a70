"""What an organization's host answers. `main` of each app's api under /v1."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from engine.api import documentation, openapi

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
    *documentation.urlpatterns_for(openapi.ORGANIZATION),
    path("", include("tenants.access.api.oauth_urls")),
    path("v1/", include("shared.accounts.api.urls")),
]
urlpatterns += [
    path("v1/", include(f"tenants.{app}.api.urls"))
    for app in _API
    if find_spec(f"tenants.{app}") and find_spec(f"tenants.{app}.api") and find_spec(f"tenants.{app}.api.urls")
]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
