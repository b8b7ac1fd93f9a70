"""People, consents, templates, verifications, identifications."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, QuerySet
from rest_framework.response import Response

from engine import ids
from engine.api import etags
from engine.api.views import APIView, Request, operation
from engine.errors import NotFound
from engine.idempotency.decorators import idempotent
from tenants.identity import services
from tenants.identity.api import serializers as s
from tenants.identity.models import (
    Consent,
    Identification,
    MatchThreshold,
    Person,
    Template,
    Verification,
)

Row = TypeVar("Row", bound=Model)


class PersonList(APIView):
    permissions = {"GET": "people.read", "POST": "people.write"}

    @operation(
        id="people_list", tag="People", summary="List people", response=s.PersonBody(many=True), query=s.PersonFilter
    )
    def get(self, request: Request) -> Response:
        return self.page(Person.objects.filter(**self.query(request)), s.PersonBody)

    @operation(
        id="people_create",
        tag="People",
        summary="Add a person",
        request=s.CreatePerson,
        response={201: s.PersonBody},
        problems=(409,),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        person = services.create_person(**self.valid(request), by=request.principal)
        return etags.respond(request, s.PersonBody(person).data, status=201)


class PersonDetail(APIView):
    permissions = {"GET": "people.read", "PATCH": "people.write", "DELETE": "people.write"}

    @operation(id="people_get", tag="People", summary="Get a person", response=s.PersonBody)
    def get(self, request: Request, person_id: UUID) -> Response:
        return etags.respond(request, s.PersonBody(_found(Person.objects.all(), person_id)).data)

    @operation(
        id="people_update",
        tag="People",
        summary="Change a person",
        request=s.UpdatePerson,
        response=s.PersonBody,
        headers=("If-Match",),
        problems=(409, 412, 428),
    )
    def patch(self, request: Request, person_id: UUID) -> Response:
        changes = self.valid(request)
        with transaction.atomic():
            seen = _found(Person.objects.select_for_update(no_key=True), person_id)
            etags.require_match(request, s.PersonBody(seen).data, required=True)
            person = services.update_person(person_id=person_id, changes=changes, by=request.principal)
        return etags.respond(request, s.PersonBody(person).data)

    @operation(
        id="people_erase",
        tag="People",
        summary="Erase a person",
        description=(
            "Deletes the person's key, so that no template of theirs can be opened again, also from a backup. "
            "The answer comes when that is done and the matcher has let go of them."
        ),
        response=s.PersonBody,
    )
    def delete(self, request: Request, person_id: UUID) -> Response:
        return Response(s.PersonBody(services.erase_person(person_id=person_id, by=request.principal)).data)


class ConsentList(APIView):
    permissions = {"GET": "people.read", "POST": "consents.write"}

    @operation(
        id="consents_list", tag="People", summary="List consents", response=s.ConsentBody(many=True), query=s.OfPerson
    )
    def get(self, request: Request) -> Response:
        return self.page(_of_person(Consent.objects.all(), self.query(request)), s.ConsentBody)

    @operation(
        id="consents_grant",
        tag="People",
        summary="Record a consent",
        request=s.GrantConsent,
        response={201: s.ConsentBody},
        problems=(404, 409),
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        valid = self.valid(request)
        consent = services.grant_consent(person_id=valid.pop("person"), **valid, by=request.principal)
        return Response(s.ConsentBody(consent).data, status=201)


class ConsentWithdrawal(APIView):
    permission = "consents.write"

    @operation(
        id="consents_withdraw",
        tag="People",
        summary="Withdraw a consent",
        description="Matching stops at once. Withdrawing twice changes nothing.",
        response=s.ConsentBody,
    )
    def post(self, request: Request, consent_id: UUID) -> Response:
        return Response(s.ConsentBody(services.withdraw_consent(consent_id=consent_id, by=request.principal)).data)


class TemplateList(APIView):
    permissions = {"GET": "people.read", "POST": "templates.write"}

    @operation(
        id="templates_list",
        tag="People",
        summary="List templates",
        response=s.TemplateBody(many=True),
        query=s.OfPerson,
    )
    def get(self, request: Request) -> Response:
        return self.page(_of_person(Template.objects.defer("sealed"), self.query(request)), s.TemplateBody)

    @operation(
        id="templates_enroll",
        tag="People",
        summary="Enrol a template",
        description="Replaces the person's active template of the same modality and model.",
        request=s.EnrollTemplate,
        response={201: s.TemplateBody},
        problems=(404, 409, 503),
    )
    @idempotent(required=False, finish="enroll")
    def post(self, request: Request) -> str:
        self.valid(request)
        return str(ids.uuid7())

    def enroll(self, request: Request, intent: str) -> Response:
        valid = self.valid(request)
        template = services.enroll_template(
            template_id=UUID(intent), person_id=valid.pop("person"), **valid, by=request.principal
        )
        return Response(s.TemplateBody(template).data, status=201)


class TemplateDetail(APIView):
    permissions = {"GET": "people.read", "DELETE": "templates.write"}

    @operation(id="templates_get", tag="People", summary="Get a template", response=s.TemplateBody)
    def get(self, request: Request, template_id: UUID) -> Response:
        return Response(s.TemplateBody(_found(Template.objects.defer("sealed"), template_id)).data)

    @operation(id="templates_retire", tag="People", summary="Retire a template", response=s.TemplateBody)
    def delete(self, request: Request, template_id: UUID) -> Response:
        template = services.retire_template(template_id=template_id, by=request.principal)
        return Response(s.TemplateBody(template).data)


class VerificationList(APIView):
    permissions = {"GET": "people.read", "POST": "verifications.create"}

    @operation(
        id="verifications_list",
        tag="Matching",
        summary="List verifications",
        response=s.VerificationBody(many=True),
        query=s.OfPerson,
    )
    def get(self, request: Request) -> Response:
        return self.page(_of_person(Verification.objects.all(), self.query(request)), s.VerificationBody)

    @operation(
        id="verifications_create",
        tag="Matching",
        summary="Compare a probe with one person (1:1)",
        request=s.Verify,
        response={201: s.VerificationBody},
        problems=(404, 409, 503),
    )
    @idempotent(required=False, finish="verify")
    def post(self, request: Request) -> str:
        self.valid(request)
        return str(ids.uuid7())

    def verify(self, request: Request, intent: str) -> Response:
        valid = self.valid(request)
        row = services.verify(
            verification_id=UUID(intent), person_id=valid.pop("person"), **valid, by=request.principal
        )
        return Response(s.VerificationBody(row).data, status=201)


class IdentificationList(APIView):
    permissions = {"GET": "people.read", "POST": "identifications.create"}

    @operation(
        id="identifications_list",
        tag="Matching",
        summary="List identifications",
        response=s.IdentificationBody(many=True),
        query=s.OfPerson,
    )
    def get(self, request: Request) -> Response:
        return self.page(_of_person(Identification.objects.all(), self.query(request)), s.IdentificationBody)

    @operation(
        id="identifications_create",
        tag="Matching",
        summary="Find out whose probe this is (1:N)",
        description="`ambiguous` when two people are about as alike; then nobody is named.",
        request=s.Identify,
        response={201: s.IdentificationBody},
        problems=(409, 503),
    )
    @idempotent(required=False, finish="identify")
    def post(self, request: Request) -> str:
        self.valid(request)
        return str(ids.uuid7())

    def identify(self, request: Request, intent: str) -> Response:
        row = services.identify(identification_id=UUID(intent), **self.valid(request), by=request.principal)
        return Response(s.IdentificationBody(row).data, status=201)


class ThresholdList(APIView):
    permissions = {"GET": "people.read", "PUT": "settings.write"}

    @operation(
        id="match_thresholds_list",
        tag="Matching",
        summary="List thresholds",
        response=s.ThresholdBody(many=True),
    )
    def get(self, request: Request) -> Response:
        return self.page(MatchThreshold.objects.all(), s.ThresholdBody)

    @operation(
        id="match_thresholds_set",
        tag="Matching",
        summary="Set a threshold",
        request=s.SetThreshold,
        response=s.ThresholdBody,
    )
    def put(self, request: Request) -> Response:
        return Response(s.ThresholdBody(services.set_threshold(**self.valid(request), by=request.principal)).data)


def _found(rows: QuerySet[Row], row_id: UUID) -> Row:
    row = rows.filter(pk=row_id).first()
    if row is None:
        raise NotFound
    return row


def _of_person(rows: QuerySet[Row], query: dict[str, Any]) -> QuerySet[Row]:
    return rows.filter(person_id=query["person"]) if "person" in query else rows
