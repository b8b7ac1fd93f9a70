"""Paths under /v1 of the platform's host."""

from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from provisioning.api import views

urlpatterns = [
    path("organizations", views.OrganizationList.as_view()),
    path(f"organizations/{typeid('org', 'organization_id')}", views.OrganizationDetail.as_view()),
    path("plans", views.PlanList.as_view()),
]
