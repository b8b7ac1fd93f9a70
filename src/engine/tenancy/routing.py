"""Where an HTTP request enters a context: the only place.

<slug>.<base>, custom domains   the organization's API, in its context
its former hosts                308 to the present one or 404; the issuer's own paths answer at the first
platform.<base>                 the operators' API, in the public schema
hooks.<base>                    providers' webhooks; the view enters the account's organization
anything else                   404
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.urls import is_valid_path

from engine import ids
from engine.tenancy import directory
from engine.tenancy.context import organization, public_schema

GetResponse = Callable[[HttpRequest], HttpResponse]
PROBLEM_BASE = "https://docs.keystead.dev/problems/"
SUSPENDED = "suspended"


class OrganizationMiddleware:
    """Matches the host exactly, refuses what is unknown or suspended, and enters the context."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        host = host_name(request.META.get("HTTP_HOST", ""))
        if host == settings.PLATFORM_HOST:
            request.urlconf = "config.urls_platform"
            with public_schema():
                return self.get_response(request)
        if host == settings.HOOKS_HOST:
            request.urlconf = "config.urls_hooks"
            return self.get_response(request)
        at = directory.host_of(host) if host else None
        if at is None:
            return _unknown_host()
        found = at.organization
        if found.status == SUSPENDED:
            return _problem(
                403,
                "organization_suspended",
                "Organization suspended",
                "This organization is suspended. Its owner can ask support why.",
            )
        request.urlconf = "config.urls_organization"
        if not at.serves:
            if not (at.is_issuer and is_valid_path(request.path_info, "config.urls_issuer")):
                return _moved(request, at.moved_to)
            request.urlconf = "config.urls_issuer"
        with organization(found):
            return self.get_response(request)


def _moved(request: HttpRequest, host: str | None) -> HttpResponse:
    if host is None:
        return _unknown_host()
    port = f":{settings.BASE_PORT}" if settings.BASE_PORT else ""
    answer = HttpResponsePermanentRedirect(f"{settings.BASE_SCHEME}://{host}{port}{request.get_full_path()}")
    # 308 (RFC 9110 15.4.9): the method and the body stay what they are.
    answer.status_code = 308
    return answer


def _unknown_host() -> HttpResponse:
    return _problem(404, "unknown_host", "Unknown host", "No organization lives at this host.")


def host_name(header: str) -> str:
    """The host of a Host header in lower case, without port and final dot; empty when malformed."""
    name, _, port = header.strip().lower().partition(":")
    if port and not port.isdigit():
        return ""
    return name.removesuffix(".")


def _problem(status: int, code: str, title: str, detail: str) -> JsonResponse:
    """Made by hand, because the API's own renderer runs inside a context only."""
    request_id = ids.encode("req", ids.uuid7())
    return JsonResponse(
        {
            "type": PROBLEM_BASE + code,
            "title": title,
            "status": status,
            "detail": detail,
            "code": code,
            "request_id": request_id,
        },
        status=status,
        content_type="application/problem+json",
        headers={"Request-Id": request_id},
    )
