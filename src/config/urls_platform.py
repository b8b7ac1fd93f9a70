"""What the operators' host answers."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from engine.api import documentation, health, openapi
from provisioning.admin import pages as _pages  # noqa: F401 - registers what the site shows
from provisioning.admin.site import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.health),
    path("v1/", include("shared.accounts.api.urls")),
    path("v1/", include("shared.operators.api.urls")),
    path("v1/", include("shared.operator_log.api.urls")),
    path("v1/", include("provisioning.api.urls")),
    path("v1/", include("provisioning.api.impersonation_views")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", site.urls),
    *documentation.urlpatterns_for(openapi.PLATFORM),
]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
