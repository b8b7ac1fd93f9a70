"""Webhook endpoints and deliveries over HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api import etags
from engine.api.views import APIView, Request, operation
from engine.idempotency.decorators import idempotent
from tenants.webhooks import selectors, services
from tenants.webhooks.api import serializers
from tenants.webhooks.models import Endpoint

_READ_WRITE = {"GET": "webhooks.read", "POST": "webhooks.write", "PATCH": "webhooks.write", "DELETE": "webhooks.write"}


def _with_secret(made: services.WithSecret) -> dict[str, Any]:
    return {**serializers.EndpointBody(made.endpoint).data, "secret": made.secret}


class EndpointList(APIView):
    permissions = _READ_WRITE

    @operation(
        id="webhook_endpoints_list",
        summary="List webhook endpoints",
        response=serializers.EndpointBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(selectors.endpoints(), serializers.EndpointBody)

    @operation(
        id="webhook_endpoints_create",
        summary="Create a webhook endpoint",
        description=(
            "It gets every event of its types from now on, signed as the Standard Webhooks specification says. "
            "The answer holds the signing secret, which is never shown again."
        ),
        request=serializers.EndpointInput,
        response={201: serializers.EndpointWithSecretBody},
        problems=(409,),
        request_examples={
            "Payments": {"url": "https://shop.example/hooks/keystead", "event_types": ["payment.*"]},
        },
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        made = services.create_endpoint(**self.valid(request), by=request.principal)
        return Response(_with_secret(made), status=201)


class EndpointDetail(APIView):
    permissions = _READ_WRITE

    @operation(
        id="webhook_endpoints_get",
        summary="Get a webhook endpoint",
        response=serializers.EndpointBody,
        headers=("If-None-Match",),
    )
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        found = selectors.endpoint(endpoint_id=endpoint_id)
        return etags.respond(request, serializers.EndpointBody(found).data)

    @operation(
        id="webhook_endpoints_update",
        summary="Change a webhook endpoint",
        request=serializers.EndpointChange,
        response=serializers.EndpointBody,
        headers=("If-Match",),
    )
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        def check(endpoint: Endpoint) -> None:
            etags.require_match(request, serializers.EndpointBody(endpoint).data)

        changed = services.update_endpoint(
            endpoint_id=endpoint_id, by=request.principal, check=check, **self.valid(request)
        )
        return etags.respond(request, serializers.EndpointBody(changed).data)

    @operation(
        id="webhook_endpoints_delete",
        summary="Delete a webhook endpoint",
        description="Nothing more is sent to it. Its deliveries stay in the log.",
    )
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        services.delete_endpoint(endpoint_id=endpoint_id, by=request.principal)
        return Response(status=204)


class EndpointSecret(APIView):
    permission = "webhooks.write"

    @operation(
        id="webhook_endpoints_rotate_secret",
        summary="Give a webhook endpoint a new secret",
        description=(
            "Deliveries carry a signature of each valid secret, so the receiver can change over at any moment "
            "of the overlap. The new secret is shown this once."
        ),
        request=serializers.RotateInput,
        response=serializers.EndpointWithSecretBody,
        tag="webhook-endpoints",
    )
    @idempotent(required=False)
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        overlap = timedelta(hours=self.valid(request)["overlap_hours"])
        made = services.rotate_secret(endpoint_id=endpoint_id, by=request.principal, overlap=overlap)
        return Response(_with_secret(made))


class DeliveryList(APIView):
    permission = "webhooks.read"

    @operation(
        id="webhook_deliveries_list",
        summary="List deliveries",
        description="What was or will be sent to the endpoints, newest first.",
        response=serializers.DeliveryBody(many=True),
        query=serializers.DeliveryQuery,
    )
    def get(self, request: Request) -> Response:
        wanted = self.query(request)
        rows = selectors.deliveries(endpoint_id=wanted.get("webhook_endpoint"), state=wanted["state"])
        return self.page(rows, serializers.DeliveryBody)


class DeliveryDetail(APIView):
    permission = "webhooks.read"

    @operation(
        id="webhook_deliveries_get",
        summary="Get a delivery with its attempts",
        response=serializers.DeliveryDetailBody,
    )
    def get(self, request: Request, delivery_id: UUID) -> Response:
        found = selectors.delivery(delivery_id=delivery_id)
        return Response(serializers.DeliveryDetailBody(found).data)


class DeliveryReplay(APIView):
    permission = "webhooks.write"

    @operation(
        id="webhook_deliveries_replay",
        summary="Deliver once more",
        description="Sends the event again, now, with a fresh schedule of retries. Its `webhook-id` stays the same.",
        response={202: serializers.DeliveryBody},
        problems=(409,),
        tag="webhook-deliveries",
    )
    @idempotent(required=False)
    def post(self, request: Request, delivery_id: UUID) -> Response:
        again = services.replay(delivery_id=delivery_id, by=request.principal)
        return Response(serializers.DeliveryBody(again).data, status=202)
