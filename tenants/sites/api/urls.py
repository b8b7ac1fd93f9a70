from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.sites.api import views

urlpatterns = [
    path("sites", views.Sites.as_view(), name="sites"),
    path(f"sites/{typeid('site', 'site_id')}", views.SiteDetail.as_view(), name="site"),
]
