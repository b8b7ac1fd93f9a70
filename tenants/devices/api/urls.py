from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.devices.api import views

_DEVICE = f"devices/{typeid('dev', 'device_id')}"

urlpatterns = [
    path("enrolment-codes", views.EnrolmentCodes.as_view(), name="enrolment-codes"),
    path("devices", views.Devices.as_view(), name="devices"),
    path("devices/claim", views.ClaimView.as_view(), name="device-claim"),
    path(_DEVICE, views.DeviceDetail.as_view(), name="device"),
    path(f"{_DEVICE}/revoke", views.DeviceRevocation.as_view(), name="device-revocation"),
]
