"""Paths under /v1."""

from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.identity.api import views

urlpatterns = [
    path("people", views.PersonList.as_view()),
    path(f"people/{typeid('per', 'person_id')}", views.PersonDetail.as_view()),
    path("consents", views.ConsentList.as_view()),
    path(f"consents/{typeid('con', 'consent_id')}/withdraw", views.ConsentWithdrawal.as_view()),
    path("templates", views.TemplateList.as_view()),
    path(f"templates/{typeid('tpl', 'template_id')}", views.TemplateDetail.as_view()),
    path("verifications", views.VerificationList.as_view()),
    path("identifications", views.IdentificationList.as_view()),
    path("match-thresholds", views.ThresholdList.as_view()),
]
