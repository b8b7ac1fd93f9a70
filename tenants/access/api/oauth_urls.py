"""Paths that stand beside /v1, because their RFCs fix them or a browser shows them."""

from __future__ import annotations

from django.urls import path

from tenants.access.api import authorize_pages, device_pages
from tenants.access.api import oauth_views as views

urlpatterns = [
    path("oauth/authorize", authorize_pages.Authorize.as_view(), name="oauth-authorize"),
    path("oauth/sign-in", authorize_pages.SignIn.as_view(), name="oauth-sign-in"),
    path("oauth/device", device_pages.ConnectDevice.as_view(), name="oauth-device"),
    path("oauth/token", views.Token.as_view(), name="oauth-token"),
    path("oauth/device_authorization", views.DeviceAuthorization.as_view(), name="oauth-device-authorization"),
    path("oauth/introspect", views.Introspection.as_view(), name="oauth-introspect"),
    path("oauth/revoke", views.Revocation.as_view(), name="oauth-revoke"),
    path("oauth/userinfo", views.UserInfo.as_view(), name="oauth-userinfo"),
    path(".well-known/jwks.json", views.Keys.as_view(), name="jwks"),
    path(".well-known/openid-configuration", views.OpenIdMetadata.as_view(), name="openid-configuration"),
    path(
        ".well-known/oauth-authorization-server",
        views.Metadata.as_view(),
        name="oauth-authorization-server",
    ),
]
