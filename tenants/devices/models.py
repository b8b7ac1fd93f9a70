"""Devices, their keys, the codes that enrol them, their sessions and what they still have to be told."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from engine.models import Model
from engine.principals import Principal
from tenants.devices.rules import codes
from tenants.devices.rules.proofs import PublicKey
from tenants.devices.rules.states import DeviceStatus
from tenants.sites.rules import Location


class DeviceKind(models.TextChoices):
    """What stands at the site."""

    TERMINAL = "terminal"
    READER = "reader"
    LOCK = "lock"


class CredentialStatus(models.TextChoices):
    """An active credential opens sessions; the first session of a pending one makes it the active one."""

    PENDING = "pending"
    ACTIVE = "active"
    REPLACED = "replaced"
    REVOKED = "revoked"


class EnrolmentCode(Model):
    """A short code that an admin reads out and that enrols one device, or one again. Only its digest is kept."""

    id_prefix: ClassVar[str] = "code"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    handle = models.CharField(max_length=codes.HANDLE_LENGTH)
    digest = models.BinaryField()
    site = models.ForeignKey("sites.Site", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=DeviceKind)
    name = models.CharField(max_length=120)
    role = models.CharField(max_length=40)
    expires_at = models.DateTimeField()
    wrong_attempts = models.PositiveSmallIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    device = models.OneToOneField(
        "devices.Device", on_delete=models.PROTECT, null=True, blank=True, related_name="enrolment_code"
    )
    """The device that the code has made."""
    re_enrols = models.ForeignKey(
        "devices.Device", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    """The device that is there already, and gets a new key by the code."""
    created_by = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["handle"], name="devices_code_handle"),
            models.CheckConstraint(
                condition=Q(claimed_at=None, device=None)
                | Q(claimed_at__isnull=False, device__isnull=False, re_enrols=None)
                | Q(claimed_at__isnull=False, device=None, re_enrols__isnull=False),
                name="devices_code_claimed",
            ),
        ]

    @property
    def claimed_device_id(self) -> UUID | None:
        """The device that got its key by the code."""
        return (self.re_enrols_id or self.device_id) if self.claimed_at else None

    def is_open(self, *, at: datetime) -> bool:
        """Whether the code can still be claimed."""
        return self.claimed_at is None and at < self.expires_at and self.wrong_attempts < codes.ATTEMPTS_MAX


class DeviceQuerySet(models.QuerySet["Device"]):
    """Devices of the organization."""

    def counted(self) -> DeviceQuerySet:
        """Those that the plan counts: all that could be at work again."""
        return self.exclude(status=DeviceStatus.REVOKED)


class Device(Model):
    """A terminal, a reader or a lock of the organization."""

    id_prefix: ClassVar[str] = "dev"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    site = models.ForeignKey("sites.Site", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=16, choices=DeviceKind)
    status = models.CharField(
        max_length=16, choices=[(one.value, one.value) for one in DeviceStatus], default=DeviceStatus.ACTIVE.value
    )
    last_seen_at = models.DateTimeField(null=True, blank=True)
    """Written in batches by the gateway, so up to some seconds late."""
    revoked_at = models.DateTimeField(null=True, blank=True)
    quarantined_at = models.DateTimeField(null=True, blank=True)
    """When it was last quarantined; it may have been released since."""
    quarantine_reason = models.CharField(max_length=200, blank=True, default="", db_default="")

    objects = DeviceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="devices_device_named"),
            models.CheckConstraint(
                condition=Q(status="revoked", revoked_at__isnull=False) | (~Q(status="revoked") & Q(revoked_at=None)),
                name="devices_device_revoked",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[one.value for one in DeviceStatus]), name="devices_device_status"
            ),
            models.CheckConstraint(
                condition=~Q(status="quarantined") | Q(quarantined_at__isnull=False),
                name="devices_device_quarantined",
            ),
        ]

    @property
    def principal(self) -> Principal:
        """This device as an actor."""
        return Principal(kind="device", id=self.id, display=self.name)

    @property
    def is_working(self) -> bool:
        """Whether it may do what it was given, and not only connect."""
        return self.status == DeviceStatus.ACTIVE

    @property
    def location(self) -> Location:
        """Where this device is, for an access decision. Needs `site` loaded."""
        return Location(site_path=self.site.path, device_id=self.id)


class DeviceCredential(Model):
    """An Ed25519 public key of a device. The private half never leaves it."""

    id_prefix: ClassVar[str] = "cred"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    device = models.ForeignKey("devices.Device", on_delete=models.PROTECT, related_name="credentials")
    public_key = models.BinaryField()
    thumbprint = models.CharField(max_length=43)
    """RFC 7638."""
    status = models.CharField(max_length=16, choices=CredentialStatus, default=CredentialStatus.ACTIVE)
    replaced_by = models.OneToOneField("self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaces")
    expires_at = models.DateTimeField(null=True, blank=True)
    """Until when a pending credential can be taken up."""

    class Meta:
        constraints = [
            # A key stands for one device, ever: a revoked one cannot come back under another name.
            models.UniqueConstraint(fields=["thumbprint"], name="devices_credential_key"),
            models.UniqueConstraint(
                fields=["device"], condition=Q(status="active"), name="devices_credential_one_active"
            ),
            models.CheckConstraint(
                condition=Q(status="replaced", replaced_by__isnull=False)
                | (~Q(status="replaced") & Q(replaced_by=None)),
                name="devices_credential_replaced",
            ),
            models.CheckConstraint(
                condition=~Q(status="pending") | Q(expires_at__isnull=False), name="devices_credential_pending"
            ),
        ]

    def can_open(self, *, at: datetime) -> bool:
        """Whether a proof by it opens a session at the moment `at`, as far as it is up to the credential."""
        if self.status == CredentialStatus.PENDING:
            return self.expires_at is not None and at < self.expires_at
        return self.status == CredentialStatus.ACTIVE

    @property
    def key(self) -> PublicKey:
        """The public key."""
        return PublicKey(bytes(self.public_key))


class GatewaySession(Model):
    """One authenticated socket. Its nonce is here, so that no proof opens two sessions."""

    id_prefix: ClassVar[str] = "gws"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    device = models.ForeignKey("devices.Device", on_delete=models.PROTECT, related_name="sessions", db_index=False)
    credential = models.ForeignKey("devices.DeviceCredential", on_delete=models.PROTECT, related_name="+")
    nonce = models.CharField(max_length=64)
    closed_at = models.DateTimeField(null=True, blank=True)
    close_code = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["nonce"], name="devices_session_nonce")]
        indexes = [models.Index(fields=["device", "id"], name="devices_session_device")]


class DeviceCommandQuerySet(models.QuerySet["DeviceCommand"]):
    """What devices have to be told."""

    def pending(self, *, at: datetime) -> DeviceCommandQuerySet:
        """Not acknowledged and not out of date at the moment `at`, oldest first."""
        return self.filter(acknowledged_at=None, expires_at__gt=at).order_by("id")


class DeviceCommand(Model):
    """Something that a device has to be told, kept until it says that it was."""

    id_prefix: ClassVar[str] = "cmd"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    device = models.ForeignKey("devices.Device", on_delete=models.PROTECT, related_name="commands")
    name = models.CharField(max_length=64)
    body = models.JSONField()
    expires_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    """When it was last written to a socket."""
    deliveries = models.PositiveIntegerField(default=0)
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    objects = DeviceCommandQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["device", "id"], condition=Q(acknowledged_at=None), name="devices_command_pending"),
        ]
