"""The shapes of devices and enrolment codes on the wire."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import (
    OutputSerializer,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from tenants.devices.models import CredentialStatus, Device, DeviceKind
from tenants.devices.rules import codes, proofs
from tenants.devices.rules.states import DeviceStatus

_MINUTE_S = 60


class CreateEnrolmentCode(StrictSerializer):
    """For which device, and where."""

    site = TypeIdField("site", help_text="Where the device will stand.")
    name = TextField(max_length=120, help_text="The device's name.")
    kind = serializers.ChoiceField(DeviceKind.choices, default=DeviceKind.TERMINAL)
    # Without bounds, because it was published as one of a list, which had none; what is no role is refused.
    role = TextField(
        max_length=None,
        allow_blank=True,
        default="terminal",
        help_text="What the device may do at its site: a role for devices, built in or your own, see `GET /v1/roles`.",
    )
    expires_in_s = StrictIntegerField(
        min_value=_MINUTE_S,
        max_value=int(codes.LIFETIME_MAX.total_seconds()),
        default=int(codes.LIFETIME_DEFAULT.total_seconds()),
        help_text="Seconds for which the code can be claimed.",
    )


class CreateReEnrolmentCode(StrictSerializer):
    """For the device that the path names."""

    expires_in_s = StrictIntegerField(
        min_value=_MINUTE_S,
        max_value=int(codes.LIFETIME_MAX.total_seconds()),
        default=int(codes.LIFETIME_DEFAULT.total_seconds()),
        help_text="Seconds for which the code can be claimed.",
    )


class QuarantineDevice(StrictSerializer):
    """Why, for whoever decides later."""

    reason = TextField(default="", allow_blank=True, help_text="Shown with the device and in the audit log.")


class TransferDevice(StrictSerializer):
    """Where to."""

    site = TypeIdField("site", help_text="Where the device will stand. `devices.write` is needed there too.")


class EnrolmentCodeBody(OutputSerializer):
    """A code, the only time that it is shown."""

    id = TypeIdField("code")
    code = serializers.CharField(help_text="To be typed on the device; shown once.")
    site = TypeIdField("site", source="site_id")
    name = serializers.CharField()
    kind = serializers.ChoiceField(DeviceKind.choices)
    role = serializers.CharField(help_text="Empty for a device that is enrolled again: it keeps its roles.")
    expires_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()


class PublicJwk(StrictSerializer):
    """An Ed25519 public key (RFC 8037)."""

    kty = serializers.ChoiceField(["OKP"])
    crv = serializers.ChoiceField(["Ed25519"])
    x = TextField(min_length=43, max_length=43)


class ClaimDevice(StrictSerializer):
    """A code, the device's key, and the proof that the device holds it."""

    code = TextField(max_length=32)
    public_key = PublicJwk()
    proof = TextField(
        max_length=proofs.PROOF_BYTES_MAX,
        help_text="JWS of typ keystead-claim+jwt by the key, with the claims aud (this URL), code and iat.",
    )


class ClaimBody(OutputSerializer):
    """What the device has to keep beside its private key."""

    device = TypeIdField("dev")
    credential = TypeIdField("cred")
    gateway_url = serializers.CharField()


class DeviceBody(serializers.ModelSerializer[Device]):
    """A device."""

    id = TypeIdField("dev")
    site = TypeIdField("site", source="site_id")
    kind = serializers.ChoiceField(DeviceKind.choices)
    status = serializers.ChoiceField([one.value for one in DeviceStatus])
    is_online = serializers.SerializerMethodField(
        help_text="Whether it is connected now; null when that is not known at the moment."
    )

    class Meta:
        model = Device
        fields = [
            "id",
            "site",
            "name",
            "kind",
            "status",
            "is_online",
            "last_seen_at",
            "revoked_at",
            "quarantined_at",
            "quarantine_reason",
            "created_at",
        ]

    def get_is_online(self, device: Device) -> bool | None:
        """From the presence that the view looked up for the whole page."""
        online: dict[Any, bool | None] = self.context.get("online", {})
        return online.get(device.id)


class CredentialBody(OutputSerializer):
    """A key of a device. The private half is nowhere but on the device."""

    id = TypeIdField("cred")
    status = serializers.ChoiceField(CredentialStatus.choices)
    thumbprint = serializers.CharField(help_text="Of the public key, RFC 7638.")
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when a pending key can be taken up; null for one that never was pending."
    )
    created_at = serializers.DateTimeField()
