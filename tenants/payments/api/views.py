"""Payments, what they are paid with, who is asked for the money, and the books."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework.response import Response

from engine.api import etags
from engine.api.views import APIView, Request, operation
from engine.errors import NotFound
from engine.idempotency.decorators import idempotent
from tenants.payments import services
from tenants.payments.api import serializers as s
from tenants.payments.models import LedgerAccount, Payment, PaymentMethod, ProviderAccount, Refund, Transfer

Row = TypeVar("Row", bound=Model)


class ProviderAccountList(APIView):
    permissions = {"GET": "provider_accounts.read", "POST": "provider_accounts.write"}

    @operation(
        id="provider_accounts_list",
        tag="Payments",
        summary="List provider accounts",
        response=s.ProviderAccountBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(ProviderAccount.objects.all(), s.ProviderAccountBody)

    @operation(
        id="provider_accounts_create",
        tag="Payments",
        summary="Add a provider account",
        description="Accounts are asked by ascending priority; the next one only after a proven refusal.",
        request=s.CreateProviderAccount,
        response={201: s.ProviderAccountBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        account = services.create_account(**self.valid(request), by=request.principal)
        return Response(s.ProviderAccountBody(account).data, status=201)


class ProviderAccountDetail(APIView):
    permissions = {"GET": "provider_accounts.read", "PATCH": "provider_accounts.write"}

    @operation(
        id="provider_accounts_get",
        tag="Payments",
        summary="Get a provider account",
        response=s.ProviderAccountBody,
    )
    def get(self, request: Request, account_id: UUID) -> Response:
        account = _found(ProviderAccount.objects.all(), account_id)
        return etags.respond(request, s.ProviderAccountBody(account).data)

    @operation(
        id="provider_accounts_update",
        tag="Payments",
        summary="Change a provider account",
        description="A disabled account gets no new charges; what is under way is still settled with it.",
        request=s.UpdateProviderAccount,
        response=s.ProviderAccountBody,
        headers=("If-Match",),
    )
    def patch(self, request: Request, account_id: UUID) -> Response:
        changes = self.valid(request)
        with transaction.atomic():
            account = _found(ProviderAccount.objects.select_for_update(no_key=True), account_id)
            etags.require_match(request, s.ProviderAccountBody(account).data)
            account = services.update_account(account=account, **changes, by=request.principal)
        return etags.respond(request, s.ProviderAccountBody(account).data)


class PaymentMethodList(APIView):
    permissions = {"GET": "payments.read", "POST": "payment_methods.write"}

    @operation(
        id="payment_methods_list",
        tag="Payments",
        summary="List payment methods",
        response=s.PaymentMethodBody(many=True),
        query=s.OfPerson,
    )
    def get(self, request: Request) -> Response:
        return self.page(_filtered(PaymentMethod.objects.all(), self.query(request)), s.PaymentMethodBody)

    @operation(
        id="payment_methods_create",
        tag="Payments",
        summary="Attach a payment method to a person",
        request=s.CreatePaymentMethod,
        response={201: s.PaymentMethodBody},
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        valid = self.valid(request)
        tokens = [
            services.NewToken(each["provider_account"], each["token"], each.get("customer"))
            for each in valid.pop("tokens")
        ]
        method = services.create_method(person_id=valid.pop("person"), tokens=tokens, **valid, by=request.principal)
        return Response(s.PaymentMethodBody(method).data, status=201)


class PaymentMethodDetail(APIView):
    permission = "payments.read"

    @operation(id="payment_methods_get", tag="Payments", summary="Get a payment method", response=s.PaymentMethodBody)
    def get(self, request: Request, method_id: UUID) -> Response:
        return Response(s.PaymentMethodBody(_found(PaymentMethod.objects.all(), method_id)).data)


class PaymentMethodDetachment(APIView):
    permission = "payment_methods.write"

    @operation(
        id="payment_methods_detach",
        tag="Payments",
        summary="Detach a payment method",
        description="Its tokens are deleted. Payments that were made with it stay. Detaching twice changes nothing.",
        response=s.PaymentMethodBody,
    )
    def post(self, request: Request, method_id: UUID) -> Response:
        method = _found(PaymentMethod.objects.all(), method_id)
        return Response(s.PaymentMethodBody(services.detach_method(method=method, by=request.principal)).data)


class PaymentList(APIView):
    permissions = {"GET": "payments.read", "POST": "payments.write"}

    @operation(
        id="payments_list",
        tag="Payments",
        summary="List payments",
        response=s.PaymentBody(many=True),
        query=s.PaymentFilter,
    )
    def get(self, request: Request) -> Response:
        rows = Payment.objects.prefetch_related("attempts")
        return self.page(_filtered(rows, self.query(request)), s.PaymentBody)

    @operation(
        id="payments_create",
        tag="Payments",
        summary="Charge a person",
        description=(
            "Asks the provider accounts that know the payment method, one after the other, the next one only after "
            "a proven refusal. `failed` says that nothing was taken; `unknown` that this is being found out."
        ),
        request=s.CreatePayment,
        response={201: s.PaymentBody},
        problems=(409,),
    )
    @idempotent(required=True, finish="carried_on")
    def post(self, request: Request) -> str:
        valid = self.valid(request)
        payment = services.create(
            person_id=valid.pop("person"),
            payment_method_id=valid.pop("payment_method", None),
            **valid,
            by=request.principal,
        )
        return str(payment.id)

    def carried_on(self, request: Request, intent: str) -> Response:
        """Ask the providers, outside every transaction."""
        return Response(s.PaymentBody(services.advance(payment_id=UUID(intent))).data, status=201)


class PaymentDetail(APIView):
    permission = "payments.read"

    @operation(id="payments_get", tag="Payments", summary="Get a payment", response=s.PaymentBody)
    def get(self, request: Request, payment_id: UUID) -> Response:
        return Response(s.PaymentBody(_found(Payment.objects.all(), payment_id)).data)


class _Carried(APIView):
    """A command on a payment: committed first, then carried on."""

    permission = "payments.write"

    def carried_on(self, request: Request, intent: str) -> Response:
        """Ask the provider, outside every transaction."""
        return Response(s.PaymentBody(services.advance(payment_id=UUID(intent))).data)


class PaymentCapture(_Carried):
    @operation(
        id="payments_capture",
        tag="Payments",
        summary="Capture an authorized payment",
        request=s.CapturePayment,
        response=s.PaymentBody,
        problems=(409,),
    )
    @idempotent(required=True, finish="carried_on")
    def post(self, request: Request, payment_id: UUID) -> str:
        services.capture(payment_id=payment_id, **self.valid(request), by=request.principal)
        return str(payment_id)


class PaymentVoid(_Carried):
    @operation(
        id="payments_void",
        tag="Payments",
        summary="Void a payment",
        description="Releases what is reserved. Of an `unknown` payment it makes sure that nothing is taken.",
        request=s.VoidPayment,
        response=s.PaymentBody,
        problems=(409,),
    )
    @idempotent(required=True, finish="carried_on")
    def post(self, request: Request, payment_id: UUID) -> str:
        services.void(payment_id=payment_id, **self.valid(request), by=request.principal)
        return str(payment_id)


class RefundList(APIView):
    permissions = {"GET": "payments.read", "POST": "payments.write"}

    @operation(id="refunds_list", tag="Payments", summary="List a payment's refunds", response=s.RefundBody(many=True))
    def get(self, request: Request, payment_id: UUID) -> Response:
        payment = _found(Payment.objects.all(), payment_id)
        return self.page(Refund.objects.filter(payment=payment), s.RefundBody)

    @operation(
        id="refunds_create",
        tag="Payments",
        summary="Refund a captured payment",
        request=s.RefundPayment,
        response={201: s.RefundBody},
        problems=(409,),
    )
    @idempotent(required=True, finish="carried_on")
    def post(self, request: Request, payment_id: UUID) -> str:
        return str(services.refund(payment_id=payment_id, **self.valid(request), by=request.principal).id)

    def carried_on(self, request: Request, intent: str) -> Response:
        """Ask the provider, outside every transaction."""
        services.advance(payment_id=Refund.objects.get(id=intent).payment_id)
        return Response(s.RefundBody(Refund.objects.get(id=intent)).data, status=201)


class LedgerAccountList(APIView):
    permission = "ledger.read"

    @operation(
        id="ledger_accounts_list",
        tag="Ledger",
        summary="List ledger accounts with their balances",
        response=s.LedgerAccountBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(LedgerAccount.objects.select_related("balance"), s.LedgerAccountBody)


class EntryList(APIView):
    permission = "ledger.read"

    @operation(
        id="ledger_entries_list",
        tag="Ledger",
        summary="List ledger entries",
        response=s.LedgerEntryBody(many=True),
        query=s.EntryFilter,
    )
    def get(self, request: Request) -> Response:
        return self.page(_filtered(Transfer.objects.all(), self.query(request)), s.LedgerEntryBody)


def _found(rows: QuerySet[Row], row_id: UUID) -> Row:
    row = rows.filter(pk=row_id).first()
    if row is None:
        raise NotFound
    return row


def _filtered(rows: QuerySet[Row], query: dict[str, Any]) -> QuerySet[Row]:
    relations = {"person": "person_id", "payment": "payment_id"}
    return rows.filter(**{relations.get(name, name): value for name, value in query.items()})
