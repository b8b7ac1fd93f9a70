"""Paths of the event log, under /v1/."""

from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.events.api import views

urlpatterns = [
    path("events", views.EventList.as_view()),
    path(f"events/{typeid('evt', 'event_id')}", views.EventDetail.as_view()),
]
