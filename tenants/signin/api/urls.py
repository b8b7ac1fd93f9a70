from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.signin.api import federation_views, views

_MEMBER = f"members/{typeid('mem', 'member_id')}"

urlpatterns = [
    path("sign-in-policy", views.Policy.as_view(), name="sign-in-policy"),
    path("identity-providers", views.Providers.as_view(), name="identity-providers"),
    path(f"identity-providers/{typeid('idp', 'provider_id')}", views.ProviderDetail.as_view()),
    path(f"{_MEMBER}/sessions", views.MemberSessions.as_view()),
    path(f"{_MEMBER}/second-factors", views.MemberSecondFactors.as_view()),
    path("sessions/federated", federation_views.FederatedSignIn.as_view()),
    path("sessions/federated/answer", federation_views.FederatedAnswer.as_view()),
    path("linked-identities", federation_views.LinkedIdentities.as_view()),
    path("linked-identities/begin", federation_views.LinkBeginning.as_view()),
    path(f"linked-identities/{typeid('lid', 'identity_id')}", federation_views.LinkedIdentityDetail.as_view()),
]
