"""Paths of usage, under /v1/."""

from __future__ import annotations

from django.urls import path

from tenants.usage.api import views

urlpatterns = [path("usage-records", views.RecordList.as_view())]
