"""What providers call: each view enters the organization of the account in its path."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [path("", include("tenants.payments.api.hooks"))]

handler400 = "engine.api.problems.bad_request"
handler403 = "engine.api.problems.permission_denied"
handler404 = "engine.api.problems.not_found"
handler500 = "engine.api.problems.server_error"
