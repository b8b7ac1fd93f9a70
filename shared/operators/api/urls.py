from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from shared.operators.api import views

_ONE = f"operators/{typeid('opr', 'operator_id')}"

urlpatterns = [
    path("operators", views.OperatorList.as_view()),
    path(_ONE, views.OperatorDetail.as_view()),
    path(f"{_ONE}/role", views.OperatorRole.as_view()),
    path(f"{_ONE}/disable", views.OperatorDisabling.as_view()),
    path(f"{_ONE}/reset-totp", views.OperatorTotp.as_view()),
    path(f"{_ONE}/sessions", views.OperatorSessions.as_view()),
    path(f"{_ONE}/sessions/{typeid('ses', 'session_id')}", views.OperatorSession.as_view()),
]
