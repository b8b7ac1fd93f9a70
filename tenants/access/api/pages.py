"""What the pages for members in a browser share: the session's cookie, proofs against forged forms, headers.

A form is protected by a proof and not by a CSRF cookie: an HMAC over the session and everything that the answer
is about. So a yes is a yes to this request, of this app, by this member in this session, and cannot be moved.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views import View

from engine.api.throttles import Rate, client_address, spend
from engine.tenancy.context import current_organization
from shared.accounts import services as accounts

COOKIE = "__Host-keystead-session"
RATE = Rate(limit=600, seconds=60, name="pages")
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)


class Page(View):
    """A page for somebody in a browser: limited, never kept, never framed, without a script."""

    http_method_names = ["get", "post", "head"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Count, refuse forms from elsewhere, and put our headers on whatever comes of it."""
        answer: HttpResponseBase
        verdict = spend(key=f"address:{client_address(request)}", rate=RATE)
        if not verdict.allowed:
            answer = message(request, "Too many requests", "Wait a minute, and try again.", status=429)
        elif request.method == "POST" and not _comes_from_here(request):
            answer = message(request, "Please start again", "This form did not come from here.", status=403)
        else:
            answer = super().dispatch(request, *args, **kwargs)
        answer.is_for_people = True  # type: ignore[attr-defined]  # read by ProblemMiddleware
        answer.headers.setdefault("Content-Security-Policy", _POLICY)
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["X-Frame-Options"] = "DENY"
        # The address carries what an app asks for, and the next page is often the app's.
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer


def session_of(request: HttpRequest) -> Any:
    """The living session of a member's browser; None without one, or where it lacks a second factor that the
    organization asks for: an app must not be lent what the member may not use."""
    session = accounts.authenticate(token=request.COOKIES.get(COOKIE, ""))
    return None if session is None or session.lacks_mfa else session


def show(request: HttpRequest, name: str, *, status: int = 200, answers_to: str = "", **context: Any) -> HttpResponse:
    """A page of ours. `answers_to` is where its form may lead in the end (browsers hold redirects to it, too)."""
    context["organization"] = urlsplit(current_organization().issuer).hostname
    answer = render(request, f"keystead_oauth/{name}.html", context, status=status)
    if answers_to:
        answer.headers["Content-Security-Policy"] = f"{_POLICY} {_source(answers_to)}"
    return answer


def message(request: HttpRequest, heading: str, text: str, *, status: int = 200) -> HttpResponse:
    """A page that only says something."""
    return show(request, "message", status=status, heading=heading, message=text)


def proof(*about: str) -> str:
    """What a form carries to show that we made it, for this and nothing else."""
    # Lengths in front, so that no two lists of parts read the same.
    return salted_hmac(
        "keystead.pages", "".join(f"{len(part)}:{part}" for part in about), algorithm="sha256"
    ).hexdigest()


def is_proven(request: HttpRequest, *about: str) -> bool:
    """Whether the form that was sent is one of ours, about the same."""
    return constant_time_compare(request.POST.get("proof", ""), proof(*about))


def destination(uri: str) -> str:
    """Where a redirect URI leads, for people."""
    parts = urlsplit(uri)
    return parts.netloc or parts.scheme


def _source(uri: str) -> str:
    """A redirect URI as a source of a policy. It was checked when it was registered: no space, no semicolon."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _comes_from_here(request: HttpRequest) -> bool:
    """Browsers say where a form comes from. The scheme is left out: a proxy may have ended TLS."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.get_host()
