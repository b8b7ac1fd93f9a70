"""The base of every view of an API.

    class PaymentList(APIView):
        permissions = {"GET": "payments.read", "POST": "payments.write"}

        @operation(id="payments_list", response=PaymentBody(many=True), query=PaymentFilter)
        def get(self, request: Request) -> Response:
            wanted = self.query(request)
            return self.page(payments.visible_to(request.principal), PaymentBody)

        @operation(id="payments_create", request=CreatePayment, response={201: PaymentBody})
        @idempotent(required=True)
        def post(self, request: Request) -> Response:
            payment = services.create(**self.valid(request), by=request.principal)
            return Response(PaymentBody(payment).data, status=201)

What `operation` says is what the handler validates with and what the OpenAPI document shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from django.db.models import QuerySet
from django.http import Http404
from rest_framework import views
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request as FrameworkRequest
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer

from engine.api import access, parsing, throttles
from engine.api.access import DeclaredPermission, Permission
from engine.api.pagination import PARAMETERS, KeyPagination
from engine.principals import Principal

Handler = TypeVar("Handler", bound=Callable[..., Any])
SerializerClass = type[Serializer[Any]]
Bodies = SerializerClass | BaseSerializer[Any] | dict[int, Any] | dict[tuple[int, str], Any] | None


@dataclass(frozen=True, slots=True)
class Operation:
    """What one handler takes and answers, in words and in serializers."""

    id: str
    summary: str = ""
    description: str = ""
    tag: str = ""
    request: SerializerClass | None = None
    response: Bodies = None
    query: SerializerClass | None = None
    problems: tuple[int, ...] = ()
    request_examples: Mapping[str, Any] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


def operation(
    *,
    id: str,  # noqa: A002 - OpenAPI's own word
    summary: str = "",
    description: str = "",
    tag: str = "",
    request: SerializerClass | None = None,
    response: Bodies = None,
    query: SerializerClass | None = None,
    problems: tuple[int, ...] = (),
    request_examples: Mapping[str, Any] | None = None,
    headers: tuple[str, ...] = (),
) -> Callable[[Handler], Handler]:
    """Describe a handler.

    ``id`` is the operation id (``payments_create``), stable once published. ``response`` is a
    serializer class (200), one with ``many=True`` (a page), or a dict from status to either or
    None. ``problems`` names statuses beyond those that follow from the declaration (402, 409, 422 ...);
    ``headers`` names request headers beyond the standard ones. Put it outermost.
    """
    described = Operation(
        id=id,
        summary=summary,
        description=description,
        tag=tag,
        request=request,
        response=response,
        query=query,
        problems=problems,
        request_examples=request_examples or {},
        headers=headers,
    )

    def attach(handler: Handler) -> Handler:
        handler.operation = described  # type: ignore[attr-defined]
        return handler

    return attach


def operation_of(view: Any, method: str) -> Operation | None:
    """The description of the view's handler for ``method``, if it has one."""
    handler = getattr(view, "get" if method == "HEAD" else method.lower(), None)
    found: Operation | None = getattr(handler, "operation", None)
    return found


class Request(FrameworkRequest):
    """A request that knows its principal."""

    @property
    def principal(self) -> Principal:
        """Who asks. Raises NotAuthenticated for an anonymous caller (of a PUBLIC view)."""
        principal = access.principal_of(self)
        if principal is None:
            raise NotAuthenticated
        return principal

    @property
    def caller(self) -> Principal | None:
        """Who asks, or None for an anonymous caller."""
        return access.principal_of(self)


class APIView(views.APIView):
    """A view of the API: strict input, declared permission, problems as errors.

    Declare ``permission`` (for every method) or ``permissions`` (by method). ``max_body_bytes``
    sets a body limit of its own; ``page_key`` / ``page_descending`` the order of its list.

    ``narrowed`` lets callers in who hold the permission over a part of the organization only: such a
    view has to call ``check_object`` on what it touches, and filter its lists by the caller's reach.

    ``delegable`` opens a view that asks for no permission, only for a caller, to apps that act for a member.
    """

    permission: ClassVar[Permission | None] = None
    permissions: ClassVar[Mapping[str, Permission] | None] = None
    narrowed: ClassVar[bool] = False
    delegable: ClassVar[bool] = False
    max_body_bytes: ClassVar[int | None] = None
    page_key: ClassVar[str] = "id"
    page_descending: ClassVar[bool] = True

    permission_classes = [DeclaredPermission]
    pagination_class = KeyPagination
    request: Request

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Request:
        """Wrap Django's request in ours."""
        return Request(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Authenticate, check the declaration, throttle; then look at the query string."""
        super().initial(request, *args, **kwargs)
        if any("\x00" in value for value in kwargs.values() if isinstance(value, str)):
            raise Http404
        parsing.check_query(request.query_params)
        described = operation_of(self, request.method)
        if described is not None:
            _refuse_unknown_parameters(request, described)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add what the rate limit left over, and what the caller is always to be told."""
        finished = super().finalize_response(request, response, *args, **kwargs)
        for name, value in throttles.headers(getattr(request, "_request", request)).items():
            finished[name] = value
        # `_user`: asking for `user` would authenticate again where that has just failed.
        for name, value in getattr(getattr(request, "_user", None), "answer_headers", {}).items():
            finished[name] = value
        return finished

    def valid(self, request: FrameworkRequest, serializer: SerializerClass | None = None) -> dict[str, Any]:
        """The validated body, by ``serializer`` or by the one that ``operation`` names."""
        described = operation_of(self, request.method or "")
        chosen = serializer or (described.request if described else None)
        if chosen is None:
            raise TypeError("this handler declares no request serializer")
        bound = chosen(data=request.data, context={"request": request, "view": self})
        bound.is_valid(raise_exception=True)
        validated: dict[str, Any] = bound.validated_data
        return validated

    def query(self, request: FrameworkRequest) -> dict[str, Any]:
        """The validated query parameters, by the ``query`` serializer of the operation."""
        described = operation_of(self, request.method or "")
        if described is None or described.query is None:
            raise TypeError("this handler declares no query serializer")
        given = {k: v for k, v in request.query_params.items() if k not in PARAMETERS}
        bound = described.query(data=given, context={"request": request, "view": self})
        bound.is_valid(raise_exception=True)
        validated: dict[str, Any] = bound.validated_data
        return validated

    def page(self, rows: QuerySet[Any], body: SerializerClass) -> Response:
        """One page of ``rows``, each written by ``body``."""
        paginator = self.pagination_class()
        found = paginator.paginate_queryset(rows, self.request, self)
        context = {"request": self.request, "view": self}
        return paginator.get_paginated_response(body(found, many=True, context=context).data)

    def check_object(self, resource: Any) -> None:
        """Hold ``resource`` against the declared permission: 404 when the caller may not see it."""
        self.check_object_permissions(self.request, resource)


def is_page(response: Any) -> bool:
    """Whether a declared response is a page of a list."""
    return bool(getattr(response, "many", False))


def _refuse_unknown_parameters(request: Any, described: Operation) -> None:
    known: set[str] = set()
    if described.query is not None:
        known |= set(described.query().fields)
    declared = described.response
    answers = declared.values() if isinstance(declared, dict) else [declared]
    if any(is_page(answer) for answer in answers):
        known |= set(PARAMETERS)
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        parsing.refuse_parameters(unknown)
