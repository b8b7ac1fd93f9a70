from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.access.api import views

urlpatterns = [
    path("roles", views.Roles.as_view(), name="roles"),
    path("grants", views.Grants.as_view(), name="grants"),
    path(f"grants/{typeid('grant', 'grant_id')}", views.GrantDetail.as_view(), name="grant"),
    path("members", views.Members.as_view(), name="members"),
    path(f"members/{typeid('mem', 'member_id')}", views.MemberDetail.as_view(), name="member"),
    path("apps", views.Apps.as_view(), name="apps"),
    path(f"apps/{typeid('app', 'app_id')}", views.AppDetail.as_view(), name="app"),
    path(
        f"apps/{typeid('app', 'app_id')}/rotate-secret",
        views.AppSecret.as_view(),
        name="rotate-app-secret",
    ),
    path("authorizations", views.Authorizations.as_view(), name="authorizations"),
    path(
        f"authorizations/{typeid('auz', 'authorization_id')}",
        views.AuthorizationDetail.as_view(),
        name="authorization",
    ),
    path("signing-keys", views.SigningKeys.as_view(), name="signing-keys"),
]
