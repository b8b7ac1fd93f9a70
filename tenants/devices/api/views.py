"""Enrolment codes and devices over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import PUBLIC
from engine.api.throttles import client_address
from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from tenants.devices import selectors, services
from tenants.devices.adapters import hints
from tenants.devices.api.serializers import (
    ClaimBody,
    ClaimDevice,
    CreateEnrolmentCode,
    DeviceBody,
    EnrolmentCodeBody,
)
from tenants.devices.models import Device


class EnrolmentCodes(APIView):
    """Codes that make devices."""

    narrowed = True
    permission = "devices.write"

    @operation(
        id="enrolment_codes_create",
        summary="Make a code that enrols one device",
        tag="Devices",
        request=CreateEnrolmentCode,
        response={201: EnrolmentCodeBody},
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        """Answers the code itself, which cannot be read again."""
        wanted = self.valid(request)
        row, code = services.create_code(
            site_id=wanted["site"],
            name=wanted["name"],
            kind=wanted["kind"],
            role=wanted["role"],
            expires_in=timedelta(seconds=wanted["expires_in_s"]),
            by=request.principal,
        )
        shown = {name: getattr(row, name) for name in ("id", "site_id", "name", "kind", "role")}
        shown |= {"code": code, "expires_at": row.expires_at, "created_at": row.created_at}
        return Response(EnrolmentCodeBody(shown).data, status=201)


class ClaimView(APIView):
    """Where a device without credentials becomes one of the organization's."""

    permission = PUBLIC
    authentication_classes = []

    @operation(
        id="devices_claim",
        summary="Claim an enrolment code, as a device",
        description="Safe to repeat: the same code with the same key answers the same device.",
        tag="Devices",
        request=ClaimDevice,
        response={201: ClaimBody},
        problems=(409, 429),
    )
    def post(self, request: Request) -> Response:
        """Bind the device's key to the code's site."""
        wanted = self.valid(request)
        claimed = services.claim(
            code=wanted["code"],
            public_key=wanted["public_key"],
            proof=wanted["proof"],
            client_address=client_address(request),
        )
        body = ClaimBody(
            {
                "device": claimed.device.id,
                "credential": claimed.credential.id,
                "gateway_url": claimed.gateway_url,
            }
        )
        return Response(body.data, status=201)


class Devices(APIView):
    """The organization's devices."""

    narrowed = True
    permission = "devices.read"

    @operation(
        id="devices_list",
        summary="List devices",
        tag="Devices",
        response=DeviceBody(many=True),
    )
    def get(self, request: Request) -> Response:
        """Those that the caller may see, newest first."""
        paginator = self.pagination_class()
        rows = selectors.devices(visible_to=request.principal)
        found = paginator.paginate_queryset(rows, request, self)
        return paginator.get_paginated_response(_shown(found, many=True))


class DeviceDetail(APIView):
    """One device."""

    narrowed = True
    permission = "devices.read"

    @operation(id="devices_get", summary="Get a device", tag="Devices", response=DeviceBody)
    def get(self, request: Request, device_id: UUID) -> Response:
        """With whether it is connected now."""
        device = selectors.device(device_id=device_id)
        self.check_object(device)
        return Response(_shown([device], many=False))


class DeviceRevocation(APIView):
    """The end of a device."""

    narrowed = True
    permissions = {"POST": "devices.write"}

    @operation(
        id="devices_revoke",
        summary="Revoke a device",
        description="For good, and at once: its socket is closed within 5 s. Safe to repeat.",
        tag="Devices",
        response=DeviceBody,
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Shut the device out."""
        device = selectors.device(device_id=device_id)
        self.check_object(device)
        revoked = services.revoke(device_id=device.id, by=request.principal)
        return Response(_shown([revoked], many=False))


def _shown(devices: list[Device], *, many: bool) -> Any:
    online = hints.online(device_ids=[one.id for one in devices])
    rows = DeviceBody(devices, many=True, context={"online": online}).data
    return rows if many else rows[0]
