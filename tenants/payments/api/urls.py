from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.payments.api import views

_PAYMENT = f"payments/{typeid('pay', 'payment_id')}"
_METHOD = f"payment-methods/{typeid('pm', 'method_id')}"

urlpatterns = [
    path("provider-accounts", views.ProviderAccountList.as_view(), name="provider-accounts"),
    path(
        f"provider-accounts/{typeid('pacc', 'account_id')}",
        views.ProviderAccountDetail.as_view(),
        name="provider-account",
    ),
    path("payment-methods", views.PaymentMethodList.as_view(), name="payment-methods"),
    path(_METHOD, views.PaymentMethodDetail.as_view(), name="payment-method"),
    path(f"{_METHOD}/detach", views.PaymentMethodDetachment.as_view(), name="payment-method-detach"),
    path("payments", views.PaymentList.as_view(), name="payments"),
    path(_PAYMENT, views.PaymentDetail.as_view(), name="payment"),
    path(f"{_PAYMENT}/capture", views.PaymentCapture.as_view(), name="payment-capture"),
    path(f"{_PAYMENT}/void", views.PaymentVoid.as_view(), name="payment-void"),
    path(f"{_PAYMENT}/refunds", views.RefundList.as_view(), name="payment-refunds"),
    path("ledger/accounts", views.LedgerAccountList.as_view(), name="ledger-accounts"),
    path("ledger/entries", views.EntryList.as_view(), name="ledger-entries"),
]
