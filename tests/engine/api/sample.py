"""Views that use every convention once."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import connection, transaction
from django.http import Http404
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.response import Response

from engine import ids
from engine.api import fields
from engine.api.access import AUTHENTICATED, OPERATOR_READ, OPERATOR_WRITE, PUBLIC
from engine.api.paths import typeid
from engine.api.views import APIView, Request, operation
from engine.errors import DomainError
from engine.idempotency.decorators import idempotent
from engine.idempotency.models import IdempotencyKey
from engine.principals import Principal

GRANTED = {"things.read", "things.write"}
HIDDEN = {"hidden"}
MEMBER = Principal("member", UUID(int=7), "Ada")
OPERATING = Principal("operator", UUID(int=8), "Olu")
TOKENS = {"member": MEMBER, "operator": OPERATING, "other": Principal("member", UUID(int=9))}


class User:
    is_authenticated = True

    def __init__(self, principal: Principal) -> None:
        self.principal = principal


class Bearer(BaseAuthentication):
    def authenticate(self, request: Any) -> tuple[User, str] | None:
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        token = header.removeprefix("Bearer ")
        if token not in TOKENS:
            raise AuthenticationFailed("The token is not valid.")
        return User(TOKENS[token]), token

    def authenticate_header(self, request: Any) -> str:
        return 'Bearer realm="keystead"'


class SampleView(APIView):
    authentication_classes = [Bearer]


class Teapot(DomainError):
    code = "teapot"
    status = 422
    title = "Short and stout"


class Inner(fields.StrictSerializer):
    name = fields.TextField(max_length=10)


class ThingInput(fields.StrictSerializer):
    amount_minor = fields.MinorAmountField(required=False)
    currency = fields.CurrencyField(required=False)
    site = fields.TypeIdField("site", required=False)
    blob = fields.Base64Field(max_bytes=16, required=False)
    vector = fields.VectorField(max_dimensions=128, required=False)
    inner = Inner(required=False)
    flag = fields.StrictBooleanField(required=False)
    caption = fields.TextField(required=False, max_length=20)
    metadata = fields.JSONObjectField(max_bytes=64, required=False)


class ThingBody(fields.OutputSerializer):
    id = fields.TypeIdField("idem")
    endpoint = serializers.CharField()


class Filter(fields.StrictSerializer):
    endpoint = fields.TextField(required=False)


class Things(SampleView):
    permissions = {"GET": "things.read", "POST": "things.write"}

    @operation(id="things_list", response=ThingBody(many=True), query=Filter)
    def get(self, request: Request) -> Response:
        return self.page(IdempotencyKey.objects.filter(**self.query(request)), ThingBody)

    @operation(id="things_create", request=ThingInput, response={201: ThingBody})
    def post(self, request: Request) -> Response:
        values = self.valid(request)
        return Response({"accepted": sorted(values)}, status=201)


class Thing(SampleView):
    permissions = {"GET": "things.read", "DELETE": "things.erase"}

    @operation(id="things_get", response=ThingBody)
    def get(self, request: Request, thing_id: UUID) -> Response:
        return Response({"id": str(thing_id), "caller": request.principal.public_id})


class Guarded(SampleView):
    permissions = {"GET": "things.read", "POST": "things.erase"}

    def get(self, request: Request, name: str) -> Response:
        self.check_object(name)
        return Response({"name": name})

    post = get


class Undeclared(SampleView):
    def get(self, request: Request) -> Response:
        return Response({})


class Mine(SampleView):
    permission = AUTHENTICATED

    def get(self, request: Request) -> Response:
        return Response({})


class Staff(SampleView):
    permissions = {"GET": OPERATOR_READ, "POST": OPERATOR_WRITE}

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({})


class Refused(SampleView):
    permission = "things.never"

    def get(self, request: Request) -> Response:
        return Response({})


class Small(SampleView):
    permission = PUBLIC
    max_body_bytes = 50

    def post(self, request: Request) -> Response:
        return Response({"length": len(request.data)})


class Failing(SampleView):
    permission = PUBLIC
    kinds: dict[str, Exception] = {
        "domain": Teapot("No coffee here.", field="drink", pot=3, retry_after=7),
        "bug": RuntimeError("secret-of-the-house"),
        "missing": Http404("secret-of-the-house"),
        "refused": PermissionDenied("secret-of-the-house"),
        "suspicious": SuspiciousOperation("secret-of-the-house"),
        "bad": BadRequest("secret-of-the-house"),
    }
    statements = {
        "data": "SELECT 'x'::varchar(1)::int",
        "range": "SELECT 9223372036854775807 + 1",
        "busy": "SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)",
        "sql": "SELECT secret_of_the_house FROM nowhere",
    }

    def get(self, request: Request, kind: str) -> Response:
        if kind in self.kinds:
            raise self.kinds[kind]
        if kind == "unique":
            for _ in range(2):
                IdempotencyKey.objects.create(
                    principal_kind="member",
                    principal_id=MEMBER.id,
                    endpoint="x",
                    key_hash=b"k",
                    body_hash=b"b",
                    status=200,
                    sealed_answer=b"s",
                )
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(self.statements[kind])
        return Response({})


class Create(SampleView):
    permission = "things.write"

    @operation(id="things_make", request=ThingInput, response={201: ThingBody})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        self.valid(request)
        return Response({"made": str(ids.uuid7())}, status=201, headers={"Location": "/v1/t/x"})


urlpatterns = [
    path("v1/things", Things.as_view()),
    path(f"v1/things/{typeid('site', 'thing_id')}", Thing.as_view()),
    path("v1/guarded/<str:name>", Guarded.as_view()),
    path("v1/undeclared", Undeclared.as_view()),
    path("v1/mine", Mine.as_view()),
    path("v1/staff", Staff.as_view()),
    path("v1/refused", Refused.as_view()),
    path("v1/small", Small.as_view()),
    path("v1/failing/<str:kind>", Failing.as_view()),
    path("v1/create", Create.as_view()),
]
