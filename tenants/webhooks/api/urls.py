"""Paths of webhooks, under /v1/."""

from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.webhooks.api import views

_ENDPOINT = f"webhook-endpoints/{typeid('we', 'endpoint_id')}"
_DELIVERY = f"webhook-deliveries/{typeid('dlv', 'delivery_id')}"

urlpatterns = [
    path("webhook-endpoints", views.EndpointList.as_view()),
    path(_ENDPOINT, views.EndpointDetail.as_view()),
    path(f"{_ENDPOINT}/rotate-secret", views.EndpointSecret.as_view()),
    path("webhook-deliveries", views.DeliveryList.as_view()),
    path(_DELIVERY, views.DeliveryDetail.as_view()),
    path(f"{_DELIVERY}/replay", views.DeliveryReplay.as_view()),
]
