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
    path(f"{_DEVICE}/factory-reset", views.DeviceReset.as_view(), name="device-reset"),
    path(f"{_DEVICE}/enrolment-codes", views.ReEnrolmentCodes.as_view(), name="device-enrolment-codes"),
    path(f"{_DEVICE}/quarantine", views.DeviceQuarantine.as_view(), name="device-quarantine"),
    path(f"{_DEVICE}/release", views.DeviceRelease.as_view(), name="device-release"),
    path(f"{_DEVICE}/transfer", views.DeviceTransfer.as_view(), name="device-transfer"),
    path(f"{_DEVICE}/rotate-key", views.DeviceKeyRotation.as_view(), name="device-key-rotation"),
    path(f"{_DEVICE}/credentials", views.DeviceCredentials.as_view(), name="device-credentials"),
]
