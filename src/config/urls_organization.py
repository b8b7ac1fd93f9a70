"""What an organization's host answers: documentation, OAuth, and each app's API under /v1."""

from django.urls import URLPattern, URLResolver, include, path

from engine.api import documentation, openapi

_API = [
    "checkouts",
    "payments",
    "identity",
    "devices",
    "webhooks",
    "signin",
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
    *(path("v1/", include(f"tenants.{app}.api.urls")) for app in _API),
]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
