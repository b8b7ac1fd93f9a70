"""What the OpenAPI document says of one operation, read off its view."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework.serializers import ListSerializer

from engine.api import access, schema_fields  # noqa: F401  # registers how our fields look
from engine.api.access import PUBLIC, Marker
from engine.api.fields import OutputSerializer, StrictSerializer
from engine.api.views import Operation, is_page, operation_of

REUSABLE_PROBLEMS = {
    400: "BadRequest",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "BodyTooLarge",
    415: "UnsupportedMediaType",
    422: "Unprocessable",
    428: "PreconditionRequired",
    429: "TooManyRequests",
    503: "Unavailable",
}

IDEMPOTENCY_DESCRIPTION = (
    "Makes the request safe to repeat: the same key with the same body has one effect and one answer "
    "for at least 24 hours. Use a new UUID for each new command."
)


class KeysteadSchema(AutoSchema):
    """Turns `engine.api.views.operation` and the access declaration into an OpenAPI operation."""

    @property
    def described(self) -> Operation | None:
        """What the handler says of itself."""
        return operation_of(self.view, self.method)

    def is_excluded(self) -> bool:
        """Views that are not part of the API (pages, documents) declare no operation."""
        return self.described is None

    def get_operation_id(self) -> str:
        """The declared id."""
        return self._known.id

    def get_summary(self) -> str | None:
        """The declared summary."""
        return self._known.summary or None

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's signature
        """The declared description; docstrings of views speak to us, not to callers."""
        return self._known.description

    def get_tags(self) -> list[str]:
        """The declared tag, else the first part of the path behind the version."""
        if self._known.tag:
            return [self._known.tag]
        parts = [part for part in self.path.split("/") if part and not part.startswith("{")]
        return [parts[1] if len(parts) > 1 and parts[0] == "v1" else parts[0]]

    def get_request_serializer(self) -> Any:
        """The declared request body."""
        return self._known.request

    def get_response_serializers(self) -> Any:
        """The declared answers by status."""
        response = self._known.response
        if response is None:
            return {204: None}
        return response if isinstance(response, dict) else {200: response}

    def get_auth(self) -> list[dict[str, Any]]:
        """None needed for PUBLIC, otherwise a bearer token."""
        if access.declared(self.view, self.method) is PUBLIC:
            return [{}]
        return [{"bearer": []}]

    def get_override_parameters(self) -> list[Any]:
        """Query parameters and the headers that the declaration brings with it."""
        parameters: list[Any] = []
        described = self._known
        if described.query is not None:
            parameters.append(described.query)
        idempotency = getattr(getattr(self.view, self.method.lower()), "idempotency", None)
        if idempotency:
            parameters.append(_header("Idempotency-Key", IDEMPOTENCY_DESCRIPTION, idempotency == "required"))
        names = [*described.headers, *(["If-None-Match"] if self._is_tagged else [])]
        parameters += [_header(name, HEADERS[name], required=False) for name in names]
        return parameters

    def get_examples(self) -> list[OpenApiExample]:
        """The declared examples of the request."""
        return [
            OpenApiExample(name, value=value, request_only=True) for name, value in self._known.request_examples.items()
        ]

    def get_extensions(self) -> dict[str, Any]:
        """``x-permission``: what the caller needs, for readers and for our own tests."""
        permission = access.declared(self.view, self.method)
        name = permission.value if isinstance(permission, Marker) else permission
        return {"x-permission": name} if name else {}

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """The operation with every problem that its declaration makes possible."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for status in self._problems(operation):
            reference = f"#/components/responses/{REUSABLE_PROBLEMS[status]}"
            operation["responses"].setdefault(str(status), {"$ref": reference})
        if self._is_tagged:
            operation["responses"]["304"] = {"description": "You have it already."}
        operation["responses"] = dict(sorted(operation["responses"].items()))
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True
        return operation

    def _is_list_view(self, serializer: Any = None) -> bool:
        if isinstance(serializer, ListSerializer):
            return True
        response = self._known.response
        answers = response.values() if isinstance(response, dict) else [response]
        return any(is_page(answer) for answer in answers)

    def _postprocess_serializer_schema(self, schema: Any, serializer: Any, direction: Any) -> Any:
        finished = super()._postprocess_serializer_schema(schema, serializer, direction)
        if isinstance(serializer, StrictSerializer) and direction == "request":
            finished["additionalProperties"] = False
        return finished

    @property
    def _known(self) -> Operation:
        described = self.described
        if described is None:
            raise TypeError(f"{type(self.view).__name__}.{self.method.lower()} has no @operation")
        return described

    @property
    def _is_tagged(self) -> bool:
        """Whether this reads what another operation of the view updates by ETag."""
        updates = (operation_of(self.view, method) for method in ("PATCH", "PUT"))
        return self.method == "GET" and any(one and "If-Match" in one.headers for one in updates)

    def _problems(self, operation: dict[str, Any]) -> list[int]:
        statuses = {400, 429, 503, *self._known.problems}
        if access.declared(self.view, self.method) is not PUBLIC:
            statuses |= {401, 403}
        if "{" in self.path:
            statuses.add(404)
        if "requestBody" in operation:
            statuses |= {413, 415}
        if hasattr(getattr(self.view, self.method.lower()), "idempotency"):
            statuses |= {409, 422}
        if "If-Match" in self._known.headers:
            statuses |= {412, 428}
        return sorted(statuses)


def undescribed_classes() -> list[type]:
    """Bases whose docstrings speak to us and are no description of what inherits from them."""
    return [*get_lib_doc_excludes(), StrictSerializer, OutputSerializer]


HEADERS = {
    "If-Match": "The `ETag` that you last saw: the update is refused when the object changed since.",
    "If-None-Match": "The `ETag` that you have: 304 when the object is still the same.",
}


def _header(name: str, description: str, required: bool) -> OpenApiParameter:
    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255}
    if name == "Idempotency-Key":
        schema["pattern"] = "^[!-~]([ -~]*[!-~])?$"
    return OpenApiParameter(
        name=name,
        type=schema,
        location=OpenApiParameter.HEADER,
        required=required,
        description=description,
    )
