"""Paths of the audit log, under /v1/."""

from __future__ import annotations

from django.urls import path

from tenants.audit.api import views

urlpatterns = [
    path("audit-entries", views.EntryList.as_view()),
    path("audit-entries/export", views.EntryExport.as_view()),
    path("audit-settings", views.Settings.as_view()),
]
