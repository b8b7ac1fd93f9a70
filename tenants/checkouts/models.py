"""Checkouts, the rules that the organization set for them, and the probes that were used up."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q

from engine.models import Model
from tenants.checkouts.rules import TERMINAL, State
from tenants.sites.rules import Location

_TERMINAL = sorted(TERMINAL)


class Checkout(Model):
    """One payment that a device asked for: the decision, the match and the payment it led to.

    The probe itself is never here.
    """

    id_prefix: ClassVar[str] = "chk"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    device = models.ForeignKey("devices.Device", on_delete=models.PROTECT, related_name="+", db_index=False)
    credential = models.ForeignKey("devices.DeviceCredential", on_delete=models.PROTECT, related_name="+")
    site = models.ForeignKey("sites.Site", on_delete=models.PROTECT, related_name="+", db_index=False)
    sequence = models.BigIntegerField()
    frame_sha256 = models.BinaryField()
    signature = models.BinaryField()
    """The device's own, over the frame that `frame_sha256` is the hash of."""

    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    modality = models.CharField(max_length=16)
    model = models.CharField(max_length=64)
    captured_at = models.DateTimeField()
    liveness_method = models.CharField(max_length=64)
    liveness_score = models.FloatField()
    claimed_person_id = models.UUIDField(null=True, blank=True)
    """As the device sent it: there may be nobody of this id."""
    confirms = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="confirmed_by"
    )
    """The checkout that asked for the confirmation that came with this one."""

    state = models.CharField(max_length=24, choices=[(one.value, one.value) for one in State])
    reason = models.CharField(max_length=40, blank=True)
    grant_id = models.UUIDField(null=True, blank=True)
    """The grant by which the device was allowed to try."""
    policy_version = models.PositiveIntegerField(default=0)

    person = models.ForeignKey(
        "identity.Person", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    template = models.ForeignKey("identity.Template", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    template_version = models.PositiveIntegerField(null=True, blank=True)
    score = models.FloatField(null=True, blank=True)
    runner_up_score = models.FloatField(null=True, blank=True)
    threshold = models.FloatField(null=True, blank=True)
    gallery_size = models.PositiveIntegerField(null=True, blank=True)
    gallery_sequence = models.BigIntegerField(null=True, blank=True)

    payment = models.OneToOneField(
        "payments.Payment", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    worked_on_until = models.DateTimeField()
    """Until then somebody is at it; afterwards somebody else may go on."""
    decided_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "credential", "sequence"], name="checkouts_checkout_sequence"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="checkouts_checkout_amount"),
            models.CheckConstraint(condition=Q(sequence__gt=0), name="checkouts_checkout_positive"),
            models.CheckConstraint(
                condition=Q(state__in=[one.value for one in State]), name="checkouts_checkout_state"
            ),
            models.CheckConstraint(
                condition=Q(state__in=_TERMINAL, finished_at__isnull=False)
                | (~Q(state__in=_TERMINAL) & Q(finished_at=None)),
                name="checkouts_checkout_finished",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["paying", "unknown", "approved"])
                | Q(payment__isnull=False, person__isnull=False),
                name="checkouts_checkout_paid",
            ),
            models.CheckConstraint(
                condition=Q(payment=None) | Q(person__isnull=False), name="checkouts_checkout_payer"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=~Q(state__in=_TERMINAL), name="checkouts_checkout_open"),
            models.Index(fields=["person", "id"], name="checkouts_checkout_person"),
            models.Index(fields=["site", "id"], name="checkouts_checkout_site"),
        ]

    @property
    def location(self) -> Location:
        """Where it took place, for an access decision. Needs `site` loaded."""
        return Location(site_path=self.site.path, device_id=self.device_id)


class UsedProbe(Model):
    """A probe that was presented once. Only a keyed hash: the probe cannot be found from it."""

    id_prefix: ClassVar[str] = "prb"

    digest = models.BinaryField()
    checkout = models.ForeignKey("checkouts.Checkout", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="checkouts_usedprobe_digest")]


class CheckoutPolicy(Model):
    """The organization's rules for checkouts: one row, from the first time that they are changed."""

    id_prefix: ClassVar[str] = "chp"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    is_only = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    limit_minor = models.BigIntegerField(default=50_000)
    confirmation_above_minor = models.BigIntegerField(default=10_000)
    probe_age_max_s = models.PositiveIntegerField(default=60)
    liveness_min = models.FloatField(default=0.5)
    score_growth_per_tenfold = models.FloatField(default=0.02)
    score_margin = models.FloatField(default=0.05)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["is_only"], name="checkouts_policy_one"),
            models.CheckConstraint(condition=Q(is_only=True), name="checkouts_policy_only"),
            models.CheckConstraint(
                condition=Q(limit_minor__gt=0, confirmation_above_minor__gte=0),
                name="checkouts_policy_amounts",
            ),
            models.CheckConstraint(
                condition=Q(liveness_min__gte=0, liveness_min__lte=1), name="checkouts_policy_liveness"
            ),
            models.CheckConstraint(
                condition=Q(
                    score_growth_per_tenfold__gte=0,
                    score_growth_per_tenfold__lte=1,
                    score_margin__gte=0,
                    score_margin__lte=1,
                ),
                name="checkouts_policy_scores",
            ),
        ]


class PersonPin(Model):
    """A person's PIN as a slow hash, and how often it was guessed wrong in a row."""

    id_prefix: ClassVar[str] = "pin"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE", "DELETE"})

    person = models.OneToOneField("identity.Person", on_delete=models.PROTECT, related_name="+")
    hashed = models.CharField(max_length=200)
    wrong_attempts = models.PositiveSmallIntegerField(default=0)
    changed_at = models.DateTimeField()
