"""What an organization's first host goes on to answer when the organization has moved to another.

Tokens name it as their issuer and devices as the place where they are enrolled, and neither changes.
"""

from django.urls import URLPattern, URLResolver, include, path

from tenants.devices.api.views import ClaimView

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tenants.access.api.oauth_urls")),
    path("v1/devices/claim", ClaimView.as_view()),
]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
