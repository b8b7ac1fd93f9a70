"""May somebody do something, and why?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rest_framework.response import Response

from engine.api.access import AUTHENTICATED
from engine.api.views import APIView, Request, operation
from engine.clock import utc_now
from engine.errors import InvalidInput
from engine.permissions import PERMISSIONS
from engine.principals import Principal
from tenants.access import catalogue, deciding, explaining, rules, selectors
from tenants.access.api.decision_serializers import (
    CheckBatch,
    DecisionBody,
    DecisionList,
    Explain,
    ExplanationBody,
)
from tenants.access.api.policy_serializers import PermissionBody, PermissionList
from tenants.access.deciding import Question
from tenants.sites.rules import Location

ABOUT_OTHERS = "members.read"
_READS = {"site": "sites.read", "dev": "devices.read"}


class Permissions(APIView):
    """The catalogue."""

    permission = AUTHENTICATED

    @operation(id="permissions_list", summary="List the permissions", tag="Access", response=PermissionList)
    def get(self, request: Request) -> Response:
        found = sorted(PERMISSIONS.values(), key=lambda one: one.name)
        return Response({"version": catalogue.version(), "data": PermissionBody(found, many=True).data})


class AccessCheck(APIView):
    """Decisions, asked for in advance."""

    permission = AUTHENTICATED

    @operation(
        id="access_check",
        summary="Ask what is allowed",
        description=f"Up to 100 questions, about yourself or, with `{ABOUT_OTHERS}`, about others.",
        tag="Access",
        request=CheckBatch,
        response=DecisionList,
    )
    def post(self, request: Request) -> Response:
        asked = self.valid(request)["checks"]
        fields = [f"checks.{number}." for number in range(len(asked))]
        answers = deciding.check_all(questions=_questions(request, asked, fields))
        return Response({"data": DecisionBody(answers, many=True).data})


class AccessExplain(APIView):
    """Why a decision is what it is."""

    permission = AUTHENTICATED

    @operation(
        id="access_explain",
        summary="Ask why something is allowed or not",
        description=(
            "Every grant of the principal, and what it lacks. With `at`, about a moment of the past: grants, roles,"
            " groups and sites are those that the audit log tells of."
        ),
        tag="Access",
        request=Explain,
        response=ExplanationBody,
        problems=(409,),
    )
    def post(self, request: Request) -> Response:
        asked = self.valid(request)
        (question,) = _questions(request, [asked], [""])
        principal = question.principal
        if asked["with_mfa"]:
            principal = explaining.with_second_factor(principal, at=asked.get("at") or utc_now())
        found = explaining.explain(
            principal=principal,
            permission=question.permission,
            where=question.where,
            amount_minor=question.amount_minor,
            currency=question.currency,
            at=asked.get("at"),
        )
        return Response(ExplanationBody(found).data)


def _questions(request: Request, asked: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[Question]:
    """What was asked, about things and principals that exist. Five queries, however many there are."""
    knows_others = deciding.check(principal=request.principal, permission=ABOUT_OTHERS).allowed
    places = selectors.places(one["resource"] for one in asked if "resource" in one)
    others = selectors.principals(one["principal"] for one in asked if "principal" in one)
    found = []
    for one, field in zip(asked, fields, strict=True):
        principal, where = request.principal, rules.EVERYWHERE
        if "principal" in one:
            principal = _principal(request, others.get(one["principal"]), f"{field}principal", knows_others)
        if "resource" in one:
            where = _place(places, one["resource"], f"{field}resource")
        found.append(Question(principal, one["permission"], where, one.get("amount_minor"), one.get("currency", "")))
    if not knows_others:
        _check_in_sight(request, asked, found, fields)
    return found


def _principal(request: Request, found: Principal | None, field: str, knows_others: bool) -> Principal:
    if found == request.principal:
        return request.principal
    if found is None or not knows_others:
        raise InvalidInput("There is no such principal, or you may not ask about it.", field=field)
    return found


def _place(places: Mapping[tuple[str, UUID], Location], key: tuple[str, UUID], field: str) -> Location:
    if key not in places:
        raise _out_of_sight(field)
    return places[key]


def _check_in_sight(
    request: Request, asked: Sequence[Mapping[str, Any]], found: Sequence[Question], fields: Sequence[str]
) -> None:
    """What somebody may neither see nor use is not there for them."""
    named = [
        (one, question, field) for one, question, field in zip(asked, found, fields, strict=True) if "resource" in one
    ]
    seen = deciding.check_all(
        questions=[
            Question(request.principal, _READS[one["resource"][0]], question.where) for one, question, _ in named
        ]
    )
    used = deciding.check_all(questions=[question for _, question, _ in named])
    for (_, _, field), sees, uses in zip(named, seen, used, strict=True):
        if not (sees.allowed or uses.allowed):
            raise _out_of_sight(f"{field}resource")


def _out_of_sight(field: str) -> InvalidInput:
    return InvalidInput("There is no such site or device.", field=field)
