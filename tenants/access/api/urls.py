from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.access.api import decision_views, policy_views, views

GROUP = typeid("grp", "group_id")

urlpatterns = [
    path("permissions", decision_views.Permissions.as_view(), name="permissions"),
    path("access/check", decision_views.AccessCheck.as_view(), name="access-check"),
    path("access/explain", decision_views.AccessExplain.as_view(), name="access-explain"),
    path("roles", policy_views.Roles.as_view(), name="roles"),
    path(f"roles/{typeid('role', 'role_id')}", policy_views.RoleDetail.as_view(), name="role"),
    path("groups", policy_views.Groups.as_view(), name="groups"),
    path(f"groups/{GROUP}", policy_views.GroupDetail.as_view(), name="group"),
    path(f"groups/{GROUP}/memberships", policy_views.Memberships.as_view(), name="group-memberships"),
    path(
        f"groups/{GROUP}/memberships/{typeid('gms', 'membership_id')}",
        policy_views.MembershipDetail.as_view(),
        name="group-membership",
    ),
    path("grants", policy_views.Grants.as_view(), name="grants"),
    path(f"grants/{typeid('grant', 'grant_id')}", policy_views.GrantDetail.as_view(), name="grant"),
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
