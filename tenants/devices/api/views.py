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
    CreateReEnrolmentCode,
    CredentialBody,
    DeviceBody,
    EnrolmentCodeBody,
    QuarantineDevice,
    TransferDevice,
)
from tenants.devices.models import Device, EnrolmentCode


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
        return Response(_code_body(row, code), status=201)


class ReEnrolmentCodes(APIView):
    """Codes that give a device that was reset another key."""

    narrowed = True
    permission = "devices.write"

    @operation(
        id="devices_create_enrolment_code",
        summary="Make a code that enrols a reset device again",
        description="The device keeps its id, name, site and roles, and gets another key. It has to be reset first. "
        "Whoever has the code becomes the device, so the caller has to hold all that the device holds.",
        tag="Devices",
        request=CreateReEnrolmentCode,
        response={201: EnrolmentCodeBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request, device_id: UUID) -> Response:
        """Answers the code itself, which cannot be read again."""
        self.check_object(selectors.device(device_id=device_id))
        wanted = self.valid(request)
        row, code = services.create_code_again(
            device_id=device_id,
            expires_in=timedelta(seconds=wanted["expires_in_s"]),
            by=request.principal,
        )
        return Response(_code_body(row, code), status=201)


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


class DeviceReset(APIView):
    """The end of a device's key."""

    narrowed = True
    permissions = {"POST": "devices.write"}

    @operation(
        id="devices_factory_reset",
        summary="End a device's key, to enrol it again",
        description="At once: its socket is closed within 5 s. The device keeps its id, name, site and roles. "
        "Safe to repeat.",
        tag="Devices",
        response=DeviceBody,
        problems=(409,),
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """What the device's memory held is worth nothing any more."""
        self.check_object(selectors.device(device_id=device_id))
        return Response(_shown([services.factory_reset(device_id=device_id, by=request.principal)], many=False))


class DeviceQuarantine(APIView):
    """A device that is looked at before it works on."""

    narrowed = True
    permissions = {"POST": "devices.quarantine"}

    @operation(
        id="devices_quarantine",
        summary="Quarantine a device",
        description="It may connect and say that it is there, and take no checkout, until it is released. "
        "Safe to repeat.",
        tag="Devices",
        request=QuarantineDevice,
        response=DeviceBody,
        problems=(409,),
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Suspend the device."""
        self.check_object(selectors.device(device_id=device_id))
        wanted = self.valid(request)
        device = services.quarantine(device_id=device_id, reason=wanted["reason"], by=request.principal)
        return Response(_shown([device], many=False))


class DeviceRelease(APIView):
    """The end of a quarantine."""

    narrowed = True
    permissions = {"POST": "devices.write"}

    @operation(
        id="devices_release",
        summary="Release a device from quarantine",
        description="It works again, with what it holds. Safe to repeat.",
        tag="Devices",
        response=DeviceBody,
        problems=(409,),
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Let the device work again."""
        self.check_object(selectors.device(device_id=device_id))
        return Response(_shown([services.release(device_id=device_id, by=request.principal)], many=False))


class DeviceTransfer(APIView):
    """The way of a device to another site."""

    narrowed = True
    permissions = {"POST": "devices.write"}

    @operation(
        id="devices_transfer",
        summary="Transfer a device to another site",
        description="Needs `devices.write` at both. What the device holds over the site that it leaves, it holds "
        "over the other from then on. Safe to repeat.",
        tag="Devices",
        request=TransferDevice,
        response=DeviceBody,
        problems=(409,),
    )
    def post(self, request: Request, device_id: UUID) -> Response:
        """Let the device stand elsewhere."""
        self.check_object(selectors.device(device_id=device_id))
        wanted = self.valid(request)
        device = services.transfer(device_id=device_id, site_id=wanted["site"], by=request.principal)
        return Response(_shown([device], many=False))


class DeviceKeyRotation(APIView):
    """A device's way to another key, begun from here."""

    narrowed = True
    permissions = {"POST": "devices.write"}

    @operation(
        id="devices_rotate_key",
        summary="Ask a device to change its key",
        description="The device gets the command `device.rotate_key` and makes the key itself; until it comes with "
        "it, the present one is good.",
        tag="Devices",
        response={202: DeviceBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request, device_id: UUID) -> Response:
        """Tell the device."""
        self.check_object(selectors.device(device_id=device_id))
        device = services.ask_for_rotation(device_id=device_id, by=request.principal)
        return Response(_shown([device], many=False), status=202)


class DeviceCredentials(APIView):
    """The keys that a device had, has, and wants to change to."""

    narrowed = True
    permission = "devices.read"

    @operation(
        id="devices_list_credentials",
        summary="List a device's keys",
        tag="Devices",
        response=CredentialBody(many=True),
    )
    def get(self, request: Request, device_id: UUID) -> Response:
        """Newest first."""
        self.check_object(selectors.device(device_id=device_id))
        paginator = self.pagination_class()
        found = paginator.paginate_queryset(selectors.credentials(device_id=device_id), request, self)
        return paginator.get_paginated_response(CredentialBody(found, many=True).data)


def _code_body(row: EnrolmentCode, code: str) -> Any:
    shown = {name: getattr(row, name) for name in ("id", "site_id", "name", "kind", "role", "expires_at", "created_at")}
    return EnrolmentCodeBody(shown | {"code": code}).data


def _shown(devices: list[Device], *, many: bool) -> Any:
    online = hints.online(device_ids=[one.id for one in devices])
    rows = DeviceBody(devices, many=True, context={"online": online}).data
    return rows if many else rows[0]
