"""The ledger: every row moves an amount from one account to another, so the books balance by construction.

A pending transfer is resolved by one row that posts some of it and voids the rest; nothing is ever changed. The
composite foreign keys that hold currencies and amounts equal are SQL in the migration: Django has no word for them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from engine.models import Model
from engine.tenancy.privileges import UPDATE
from tenants.payments.models.core import CURRENCY, Payment, ProviderAccount, ProviderEvent


class LedgerKind(models.TextChoices):
    PROVIDER = "provider"  # what a provider account owes the organization
    SALES = "sales"  # what people paid for
    REFUNDS = "refunds"  # what was given back


class LedgerAccount(Model):
    """One account of the books, in one currency for good."""

    id_prefix = "lac"

    kind = models.CharField(max_length=16, choices=LedgerKind)
    currency = models.CharField(max_length=3)
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "currency", "provider_account"],
                nulls_distinct=False,
                name="ledger_account_unique",
            ),
            # What the composite foreign keys point at.
            models.UniqueConstraint(fields=["id", "currency"], name="ledger_account_currency"),
            models.CheckConstraint(condition=Q(kind__in=LedgerKind.values), name="ledger_account_kind_known"),
            models.CheckConstraint(condition=Q(currency__regex=CURRENCY), name="ledger_account_currency_is_a_code"),
            models.CheckConstraint(
                condition=Q(kind="provider", provider_account__isnull=False)
                | (~Q(kind="provider") & Q(provider_account__isnull=True)),
                name="ledger_account_provider_when_its_own",
            ),
        ]


class Balance(Model):
    """What the transfers of an account add up to, in minor units: the row that limits and locks sit on."""

    id_prefix = "lbal"
    privileges = frozenset({UPDATE})

    account = models.OneToOneField(LedgerAccount, on_delete=models.PROTECT, related_name="balance")
    debits_posted_minor = models.BigIntegerField(default=0)
    credits_posted_minor = models.BigIntegerField(default=0)
    debits_pending_minor = models.BigIntegerField(default=0)
    credits_pending_minor = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(debits_posted_minor__gte=0, credits_posted_minor__gte=0)
                & Q(debits_pending_minor__gte=0, credits_pending_minor__gte=0),
                name="balance_never_negative",
            ),
        ]


class TransferKind(models.TextChoices):
    POSTED = "posted"  # at once
    PENDING = "pending"  # reserved
    POST = "post"  # resolves a pending one: amount_minor is posted, voided_minor released
    VOID = "void"  # resolves a pending one: all of it is released


class Transfer(Model):
    """An amount from one account (debit) to another (credit). Append-only by privilege."""

    id_prefix = "ent"

    transaction_id = models.UUIDField()
    kind = models.CharField(max_length=8, choices=TransferKind)
    debit_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    credit_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    voided_minor = models.BigIntegerField(default=0)
    pending = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="resolution")
    pending_kind = models.CharField(max_length=8, blank=True, default="")
    pending_minor = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=24)
    source_id = models.UUIDField()
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    provider_event = models.ForeignKey(ProviderEvent, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reason", "source_id"], name="transfer_once_per_reason"),
            models.UniqueConstraint(
                fields=["id", "kind", "debit_account", "credit_account", "amount_minor"],
                name="transfer_resolvable",
            ),
            models.CheckConstraint(condition=Q(kind__in=TransferKind.values), name="transfer_kind_known"),
            models.CheckConstraint(condition=Q(amount_minor__gte=1), name="transfer_amount_positive"),
            models.CheckConstraint(
                condition=~Q(debit_account=F("credit_account")), name="transfer_between_two_accounts"
            ),
            models.CheckConstraint(
                condition=Q(kind__in=("posted", "pending"), voided_minor=0)
                & Q(pending__isnull=True, pending_kind="", pending_minor__isnull=True)
                | Q(kind="post", pending__isnull=False, pending_kind="pending", pending_minor__isnull=False)
                & Q(voided_minor__gte=0, pending_minor=F("amount_minor") + F("voided_minor"))
                | Q(kind="void", pending__isnull=False, pending_kind="pending", pending_minor__isnull=False)
                & Q(pending_minor=F("amount_minor"), voided_minor=F("amount_minor")),
                name="transfer_resolves_all_or_nothing",
            ),
        ]
        indexes = [
            models.Index(fields=["payment", "id"], name="transfer_of_payment"),
            models.Index(fields=["transaction_id"], name="transfer_of_transaction"),
        ]
