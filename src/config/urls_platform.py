"""What the operators' host answers."""

from django.urls import URLPattern, URLResolver, include, path

from engine.api import documentation, health, openapi

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.health),
    path("v1/", include("shared.accounts.api.urls")),
    path("v1/", include("shared.operators.api.urls")),
    path("v1/", include("shared.operator_log.api.urls")),
    path("v1/", include("provisioning.api.urls")),
    path("v1/", include("provisioning.api.impersonation_views")),
    *documentation.urlpatterns_for(openapi.PLATFORM),
]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
