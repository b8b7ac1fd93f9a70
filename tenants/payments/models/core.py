"""Payments and what they are made of. The ledger's tables stand beside, in ``ledger.py``."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from engine.models import Model
from engine.tenancy.privileges import DELETE, UPDATE
from tenants.payments.rules import (
    LIVE_ATTEMPTS,
    MAX_AMOUNT_MINOR,
    AttemptState,
    CaptureMethod,
    OperationState,
    PaymentState,
)

CURRENCY = r"^[A-Z]{3}$"


def values(states: type[PaymentState | AttemptState | OperationState | CaptureMethod]) -> list[str]:
    """The words of a state machine, for choices and check constraints."""
    return [state.value for state in states]


class AccountStatus(models.TextChoices):
    ACTIVE = "active"
    DISABLED = "disabled"


class ProviderAccountQuerySet(models.QuerySet["ProviderAccount"]):
    def active(self) -> ProviderAccountQuerySet:
        """Those that may be asked for new charges, the preferred one first."""
        return self.filter(status=AccountStatus.ACTIVE).order_by("priority", "id")


class ProviderAccount(Model):
    """The organization's account at a payment provider. Its secrets are sealed and never answered."""

    id_prefix = "pacc"
    privileges = frozenset({UPDATE})

    name = models.CharField(max_length=100)
    provider = models.CharField(max_length=32)
    base_url = models.CharField(max_length=200)
    sealed_credentials = models.BinaryField()
    priority = models.PositiveSmallIntegerField(default=100)
    status = models.CharField(max_length=16, choices=AccountStatus, default=AccountStatus.ACTIVE)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ProviderAccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], name="provider_account_name_unique"),
            models.CheckConstraint(condition=Q(status__in=AccountStatus.values), name="provider_account_status_known"),
        ]


class MethodStatus(models.TextChoices):
    ACTIVE = "active"
    DETACHED = "detached"


class PaymentMethodQuerySet(models.QuerySet["PaymentMethod"]):
    def active(self) -> PaymentMethodQuerySet:
        """Those that can be charged."""
        return self.filter(status=MethodStatus.ACTIVE)


class PaymentMethod(Model):
    """Something that a person pays with. What a provider knows it by stands in its tokens."""

    id_prefix = "pm"
    privileges = frozenset({UPDATE})

    person = models.ForeignKey("identity.Person", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, default="card")
    brand = models.CharField(max_length=32, blank=True, default="")
    last4 = models.CharField(max_length=4, blank=True, default="")
    status = models.CharField(max_length=16, choices=MethodStatus, default=MethodStatus.ACTIVE)
    detached_at = models.DateTimeField(null=True)

    objects = PaymentMethodQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind="card"), name="payment_method_kind_known"),
            models.CheckConstraint(condition=Q(last4__regex=r"^([0-9]{4})?$"), name="payment_method_last4_is_digits"),
            models.CheckConstraint(
                condition=Q(status="detached", detached_at__isnull=False)
                | Q(status="active", detached_at__isnull=True),
                name="payment_method_detached_at_when_detached",
            ),
        ]


class ProviderToken(Model):
    """What one provider account knows a payment method by, sealed; deleted when the method is detached."""

    id_prefix = "ptok"
    privileges = frozenset({DELETE})

    payment_method = models.ForeignKey(PaymentMethod, on_delete=models.PROTECT, related_name="tokens", db_index=False)
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+")
    sealed = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment_method", "provider_account"], name="provider_token_one_each"),
        ]


class Acted(Model):
    """A row that somebody asked for."""

    actor_kind = models.CharField(max_length=16)
    actor_id = models.UUIDField()

    class Meta:
        abstract = True


class PaymentQuerySet(models.QuerySet["Payment"]):
    def undecided(self) -> PaymentQuerySet:
        """Those on which somebody still has to work."""
        return self.filter(Q(status__in=(PaymentState.PENDING, PaymentState.UNKNOWN)) | Q(open_operations__gt=0))


class Payment(Acted):
    """Money that a person owes the organization, and how far it has come.

    Amounts repeat what immutable provider events say, so that a query need not add them up. ``lease_*`` belong to
    the worker that talks to a provider about it at this moment.
    """

    id_prefix = "pay"
    privileges = frozenset({UPDATE})

    person = models.ForeignKey("identity.Person", on_delete=models.PROTECT, related_name="+", db_index=False)
    payment_method = models.ForeignKey(PaymentMethod, on_delete=models.PROTECT, related_name="+")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    capture_method = models.CharField(max_length=16)
    description = models.CharField(max_length=200, blank=True, default="")
    reference = models.CharField(max_length=100, blank=True, default="")
    status = models.CharField(max_length=16, default=PaymentState.PENDING.value)
    authorized_minor = models.BigIntegerField(default=0)
    captured_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    refund_reserved_minor = models.BigIntegerField(default=0)
    open_operations = models.PositiveSmallIntegerField(default=0)
    failure_code = models.CharField(max_length=64, blank=True, default="")
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gte=1, amount_minor__lte=MAX_AMOUNT_MINOR), name="payment_amount_in_range"
            ),
            models.CheckConstraint(condition=Q(currency__regex=CURRENCY), name="payment_currency_is_a_code"),
            models.CheckConstraint(condition=Q(status__in=values(PaymentState)), name="payment_status_known"),
            models.CheckConstraint(
                condition=Q(capture_method__in=values(CaptureMethod)), name="payment_capture_method_known"
            ),
            models.CheckConstraint(
                condition=Q(captured_minor__gte=0, captured_minor__lte=F("amount_minor"))
                & Q(authorized_minor__gte=0, authorized_minor__lte=F("amount_minor")),
                name="payment_takes_no_more_than_asked",
            ),
            models.CheckConstraint(
                condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("refund_reserved_minor"))
                & Q(refund_reserved_minor__lte=F("captured_minor")),
                name="payment_refunds_no_more_than_taken",
            ),
            models.CheckConstraint(
                condition=~Q(status="captured") | Q(captured_minor__gte=1), name="payment_captured_has_an_amount"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("failed", "voided")) | Q(captured_minor=0),
                name="payment_without_effect_took_nothing",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_check_at", "id"],
                condition=Q(status__in=("pending", "unknown")) | Q(open_operations__gt=0),
                name="payment_undecided",
            ),
            models.Index(fields=["person", "-id"], name="payment_of_person"),
        ]


class Attempt(Model):
    """One try at one provider account. Its keys are committed before anything is sent under them."""

    id_prefix = "att"
    privileges = frozenset({UPDATE})

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts", db_index=False)
    number = models.PositiveSmallIntegerField()
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    status = models.CharField(max_length=16, default=AttemptState.CREATED.value)
    place_key = models.CharField(max_length=64, unique=True)
    charge_key = models.CharField(max_length=64, unique=True)
    provider_reference = models.CharField(max_length=128, null=True)  # noqa: DJ001 - unique once known
    sends = models.PositiveSmallIntegerField(default=0)
    checks = models.PositiveSmallIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True)
    refusal_code = models.CharField(max_length=64, blank=True, default="")
    elsewhere = models.BooleanField(default=False)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "number"], name="attempt_number_unique"),
            models.UniqueConstraint(
                fields=["payment"],
                condition=Q(status__in=sorted(state.value for state in LIVE_ATTEMPTS)),
                name="attempt_one_live_per_payment",
            ),
            models.UniqueConstraint(fields=["provider_account", "provider_reference"], name="attempt_reference_unique"),
            models.CheckConstraint(condition=Q(status__in=values(AttemptState)), name="attempt_status_known"),
            models.CheckConstraint(
                condition=Q(sends=0, first_sent_at__isnull=True) | Q(sends__gte=1, first_sent_at__isnull=False),
                name="attempt_first_sent_at_when_sent",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=("placed", "unknown", "authorized", "captured"))
                | Q(provider_reference__isnull=False),
                name="attempt_reference_when_placed",
            ),
        ]


class Operation(Acted):
    """A capture, refund or void: a request to the provider about a charge that exists."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="%(class)ss")
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=16, default=OperationState.CREATED.value)
    key = models.CharField(max_length=64, unique=True)
    provider_reference = models.CharField(max_length=128, blank=True, default="")
    sends = models.PositiveSmallIntegerField(default=0)
    checks = models.PositiveSmallIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True)
    refusal_code = models.CharField(max_length=64, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True


class Capture(Operation):
    """Taking part or all of what was reserved, once."""

    id_prefix = "cap"
    privileges = frozenset({UPDATE})

    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=values(OperationState)), name="capture_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="capture_amount_positive"),
            models.UniqueConstraint(
                fields=["payment"], condition=~Q(status__in=("refused", "failed")), name="capture_one_per_payment"
            ),
        ]


class Refund(Operation):
    """Giving back part or all of what was taken."""

    id_prefix = "ref"
    privileges = frozenset({UPDATE})

    amount_minor = models.BigIntegerField()
    reason = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=values(OperationState)), name="refund_status_known"),
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="refund_amount_positive"),
        ]


class Void(Operation):
    """Releasing what was reserved, or making sure that nothing can be taken."""

    id_prefix = "void"
    privileges = frozenset({UPDATE})

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=values(OperationState)), name="void_status_known"),
            models.UniqueConstraint(
                fields=["payment"], condition=~Q(status__in=("refused", "failed")), name="void_one_per_payment"
            ),
        ]


class EventSource(models.TextChoices):
    REPLY = "reply"
    WEBHOOK = "webhook"


class ProviderEvent(Model):
    """What a provider said, once, for good: the source of every amount. Append-only by privilege.

    Of a body only what a payment needs is kept; ``body_sha256`` pins the bytes whose signature was checked.
    """

    id_prefix = "pevt"

    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    source = models.CharField(max_length=16, choices=EventSource)
    source_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=64)
    subject = models.CharField(max_length=16)
    reference = models.CharField(max_length=128, blank=True, default="")
    charge_reference = models.CharField(max_length=128, blank=True, default="")
    attempt_id_claimed = models.UUIDField(null=True)
    refund_id_claimed = models.UUIDField(null=True)
    said = models.CharField(max_length=16, blank=True, default="")
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    code = models.CharField(max_length=64, blank=True, default="")
    elsewhere = models.BooleanField(default=False)
    occurred_at = models.DateTimeField()
    body_sha256 = models.BinaryField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider_account", "source", "source_id", "kind"], name="provider_event_stored_once"
            ),
            models.CheckConstraint(condition=Q(source__in=EventSource.values), name="provider_event_source_known"),
            models.CheckConstraint(
                condition=Q(amount_minor__isnull=True) | Q(amount_minor__gte=0), name="provider_event_amount_positive"
            ),
        ]
