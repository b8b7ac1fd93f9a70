from __future__ import annotations

from django.urls import path

from shared.operator_log.api import views

urlpatterns = [path("operator-acts", views.ActList.as_view())]
