"""Paths that stand beside /v1, because their RFCs fix them."""

from __future__ import annotations

from django.urls import path

from tenants.access.api import oauth_views as views

urlpatterns = [
    path("oauth/token", views.Token.as_view(), name="oauth-token"),
    path(".well-known/jwks.json", views.Keys.as_view(), name="jwks"),
    path(
        ".well-known/oauth-authorization-server",
        views.Metadata.as_view(),
        name="oauth-authorization-server",
    ),
]
