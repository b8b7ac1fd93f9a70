"""Checkouts, their rules and people's PINs over HTTP. Checkouts are made by devices, at the gateway."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api import etags
from engine.api.views import APIView, Request, operation
from tenants.checkouts import selectors, services
from tenants.checkouts.api.serializers import (
    CheckoutBody,
    CheckoutFilter,
    PinInput,
    PolicyBody,
    PolicyInput,
)

TAG = "Checkouts"
_COLUMNS = {"device": "device_id", "person": "person_id", "state": "state"}


class Checkouts(APIView):
    """What devices asked for."""

    narrowed = True
    permission = "checkouts.read"

    @operation(
        id="checkouts_list",
        summary="List checkouts",
        tag=TAG,
        response=CheckoutBody(many=True),
        query=CheckoutFilter,
    )
    def get(self, request: Request) -> Response:
        """At the sites that the caller may see, newest first."""
        wanted = {_COLUMNS[name]: value for name, value in self.query(request).items()}
        rows = selectors.checkouts(visible_to=request.principal).filter(**wanted)
        return self.page(rows, CheckoutBody)


class CheckoutDetail(APIView):
    """One checkout."""

    narrowed = True
    permission = "checkouts.read"

    @operation(id="checkouts_get", summary="Get a checkout", tag=TAG, response=CheckoutBody)
    def get(self, request: Request, checkout_id: UUID) -> Response:
        """With the figures that decided it."""
        row = selectors.checkout(checkout_id=checkout_id)
        self.check_object(row)
        return etags.respond(request, CheckoutBody(row).data)


class Policy(APIView):
    """The organization's rules for checkouts."""

    permissions = {"GET": "settings.read", "PUT": "settings.write"}

    @operation(
        id="checkout_policy_get",
        summary="Get the rules for checkouts",
        tag=TAG,
        response=PolicyBody,
    )
    def get(self, request: Request) -> Response:
        """The platform's own, until the organization sets others."""
        return etags.respond(request, _policy(services.current_policy()))

    @operation(
        id="checkout_policy_update",
        summary="Set the rules for checkouts",
        tag=TAG,
        request=PolicyInput,
        response=PolicyBody,
        headers=("If-Match",),
        problems=(409, 412, 428),
    )
    def put(self, request: Request) -> Response:
        """All of them at once; they hold from the next checkout on."""
        row = services.update_policy(
            values=self.valid(request),
            guard=lambda seen: etags.require_match(request, _policy(seen), required=True),
            by=request.principal,
        )
        return etags.respond(request, _policy(row))


class PersonPin(APIView):
    """A person's PIN: it can be set and taken away, never read."""

    permission = "people.write"

    @operation(
        id="people_set_pin",
        summary="Set a person's PIN",
        description="The second factor above `confirmation_above_minor`.",
        tag="People",
        request=PinInput,
        response={204: None},
    )
    def put(self, request: Request, person_id: UUID) -> Response:
        """Also opens a PIN that was locked by wrong guesses."""
        pin = self.valid(request)["pin"]
        services.set_pin(person_id=person_id, pin=pin, by=request.principal)
        return Response(status=204)

    @operation(
        id="people_remove_pin",
        summary="Remove a person's PIN",
        tag="People",
        response={204: None},
    )
    def delete(self, request: Request, person_id: UUID) -> Response:
        """Safe to repeat."""
        services.remove_pin(person_id=person_id, by=request.principal)
        return Response(status=204)


def _policy(row: Any) -> Any:
    return PolicyBody(row).data
