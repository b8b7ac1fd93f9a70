"""What the API takes and gives about payments. Credentials and tokens come in and never go out."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from engine import ids
from engine.api.fields import (
    CurrencyField,
    MinorAmountField,
    OutputSerializer,
    StrictIntegerField,
    StrictSerializer,
    TextField,
    TypeIdField,
)
from engine.tenancy.context import current_organization
from tenants.payments.adapters import ADAPTERS
from tenants.payments.models import AccountStatus, LedgerKind, MethodStatus, ProviderAccount, TransferKind
from tenants.payments.rules import AttemptState, CaptureMethod, OperationState, PaymentState

PAYMENT_STATES = [state.value for state in PaymentState]
OPERATION_STATES = [state.value for state in OperationState]
CAPTURE_METHODS = [method.value for method in CaptureMethod]


class SecretField(TextField):
    """Text that is sealed at once and never answered."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=8, max_length=255, write_only=True, **kwargs)


# Provider accounts


class CreateProviderAccount(StrictSerializer):
    name = TextField(max_length=100, help_text="Your own word for the account, unique.")
    provider = serializers.ChoiceField(sorted(ADAPTERS))
    secret_key = SecretField(help_text="The account's API key. It is sealed and never answered.")
    webhook_secrets = serializers.ListField(
        child=SecretField(), required=False, max_length=4, help_text="Signing secrets of its webhooks; all are good."
    )
    priority = StrictIntegerField(
        required=False, min_value=0, max_value=10_000, help_text="Accounts are asked from the smallest upwards."
    )
    base_url = TextField(required=False, help_text="Of a provider sandbox; development platforms only.")


class UpdateProviderAccount(StrictSerializer):
    status = serializers.ChoiceField(AccountStatus.choices, required=False)
    priority = StrictIntegerField(required=False, min_value=0, max_value=10_000)
    secret_key = SecretField(required=False)
    webhook_secrets = serializers.ListField(child=SecretField(), required=False, max_length=4)


class ProviderAccountBody(OutputSerializer):
    """An account at a payment provider, without its credentials."""

    id = TypeIdField("pacc")
    name = serializers.CharField()
    provider = serializers.CharField()
    base_url = serializers.CharField()
    priority = serializers.IntegerField()
    status = serializers.ChoiceField(AccountStatus.choices)
    webhook_url = serializers.SerializerMethodField(help_text="Where the provider has to send its webhooks.")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_webhook_url(self, account: ProviderAccount) -> str:
        port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
        organization = ids.encode("org", current_organization().id)
        host = f"{settings.BASE_SCHEME}://{settings.HOOKS_HOST}{port}"
        return f"{host}/{account.provider}/{organization}/{account.public_id}"


# Payment methods


class NewTokenBody(StrictSerializer):
    provider_account = TypeIdField("pacc")
    token = SecretField(help_text="What the provider calls the payment method (`pm_...` at Stripe). Never a number.")
    customer = TextField(
        required=False, max_length=255, help_text="The provider's customer that the method belongs to, if any."
    )


class CreatePaymentMethod(StrictSerializer):
    person = TypeIdField("per")
    tokens = serializers.ListField(
        child=NewTokenBody(), min_length=1, max_length=10, help_text="One for each provider account that may be asked."
    )
    brand = TextField(required=False, max_length=32, allow_blank=True)
    last4 = serializers.RegexField(r"\A[0-9]{4}\Z", required=False, max_length=4)


class PaymentMethodBody(OutputSerializer):
    id = TypeIdField("pm")
    person = TypeIdField("per", source="person_id")
    kind = serializers.ChoiceField(["card"])
    brand = serializers.CharField(allow_blank=True)
    last4 = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(MethodStatus.choices)
    created_at = serializers.DateTimeField()
    detached_at = serializers.DateTimeField(allow_null=True)


class OfPerson(StrictSerializer):
    person = TypeIdField("per", required=False)


# Payments


class CreatePayment(StrictSerializer):
    person = TypeIdField("per")
    payment_method = TypeIdField("pm", required=False, help_text="The person's newest active one unless told.")
    amount_minor = MinorAmountField(help_text="Minor units of the currency: 1999 in EUR is 19.99.")
    currency = CurrencyField()
    capture_method = serializers.ChoiceField(
        CAPTURE_METHODS, required=False, help_text="`automatic` takes the money at once, `manual` reserves it."
    )
    description = TextField(required=False, allow_blank=True)
    reference = TextField(required=False, allow_blank=True, max_length=100, help_text="Your own word for it.")


class AttemptBody(OutputSerializer):
    """One try at one provider account."""

    id = TypeIdField("att")
    number = serializers.IntegerField()
    provider_account = TypeIdField("pacc", source="provider_account_id")
    status = serializers.ChoiceField([state.value for state in AttemptState])
    refusal_code = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class PaymentBody(OutputSerializer):
    """A payment. `unknown` is what its name says: whether money was taken is being found out."""

    id = TypeIdField("pay")
    status = serializers.ChoiceField(PAYMENT_STATES)
    person = TypeIdField("per", source="person_id")
    payment_method = TypeIdField("pm", source="payment_method_id")
    amount_minor = serializers.IntegerField()
    currency = serializers.CharField()
    capture_method = serializers.ChoiceField(CAPTURE_METHODS)
    authorized_minor = serializers.IntegerField()
    captured_minor = serializers.IntegerField()
    refunded_minor = serializers.IntegerField()
    failure_code = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    reference = serializers.CharField(allow_blank=True)
    attempts = AttemptBody(many=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class PaymentFilter(StrictSerializer):
    person = TypeIdField("per", required=False)
    status = serializers.ChoiceField(PAYMENT_STATES, required=False)
    reference = serializers.CharField(required=False, max_length=100)


class CapturePayment(StrictSerializer):
    amount_minor = MinorAmountField(required=False, help_text="All that is reserved unless told; the rest is released.")


class RefundPayment(StrictSerializer):
    amount_minor = MinorAmountField(required=False, help_text="All that is left to refund unless told.")
    reason = TextField(required=False, allow_blank=True)


class VoidPayment(StrictSerializer):
    """Nothing to say."""


class RefundBody(OutputSerializer):
    id = TypeIdField("ref")
    payment = TypeIdField("pay", source="payment_id")
    status = serializers.ChoiceField(OPERATION_STATES)
    amount_minor = serializers.IntegerField()
    reason = serializers.CharField(allow_blank=True)
    refusal_code = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


# The ledger


class BalanceBody(OutputSerializer):
    debits_posted_minor = serializers.IntegerField()
    credits_posted_minor = serializers.IntegerField()
    debits_pending_minor = serializers.IntegerField()
    credits_pending_minor = serializers.IntegerField()


class LedgerAccountBody(OutputSerializer):
    id = TypeIdField("lac")
    kind = serializers.ChoiceField(LedgerKind.choices)
    currency = serializers.CharField()
    provider_account = TypeIdField("pacc", source="provider_account_id", allow_null=True)
    balance = BalanceBody()
    created_at = serializers.DateTimeField()


class LedgerEntryBody(OutputSerializer):
    """One transfer. `post` and `void` resolve the pending entry that they name."""

    id = TypeIdField("ent")
    transaction = TypeIdField("txn", source="transaction_id")
    kind = serializers.ChoiceField(TransferKind.choices)
    reason = serializers.CharField()
    debit_account = TypeIdField("lac", source="debit_account_id")
    credit_account = TypeIdField("lac", source="credit_account_id")
    amount_minor = serializers.IntegerField()
    voided_minor = serializers.IntegerField()
    currency = serializers.CharField()
    pending = TypeIdField("ent", source="pending_id", allow_null=True)
    payment = TypeIdField("pay", source="payment_id")
    created_at = serializers.DateTimeField()


class EntryFilter(StrictSerializer):
    payment = TypeIdField("pay", required=False)
