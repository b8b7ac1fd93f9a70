from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from tenants.checkouts.api import views

urlpatterns = [
    path("checkouts", views.Checkouts.as_view(), name="checkouts"),
    path(
        f"checkouts/{typeid('chk', 'checkout_id')}",
        views.CheckoutDetail.as_view(),
        name="checkout",
    ),
    path("checkout-policy", views.Policy.as_view(), name="checkout-policy"),
    path(f"people/{typeid('per', 'person_id')}/pin", views.PersonPin.as_view(), name="person-pin"),
]
