from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from shared.accounts.api import views

urlpatterns = [
    path("me", views.Me.as_view(), name="me"),
    path("sessions", views.Sessions.as_view(), name="sessions"),
    path("sessions/current", views.CurrentSession.as_view(), name="current-session"),
    path(f"sessions/{typeid('ses', 'session_id')}", views.SessionDetail.as_view(), name="session"),
    path("invitations/accept", views.InvitationAcceptance.as_view(), name="accept-invitation"),
]
