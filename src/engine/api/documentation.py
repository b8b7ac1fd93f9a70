"""The page at /docs on every host: Swagger UI from our own static files, and the document it shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_safe

from engine.api import openapi

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="{style}">
<link rel="icon" type="image/png" href="{icon}">
</head>
<body>
<div id="documentation" data-document="/docs/openapi.json"></div>
<noscript>The document is at <a href="/docs/openapi.json">/docs/openapi.json</a>.</noscript>
<script src="{bundle}"></script>
<script src="{start}"></script>
</body>
</html>
"""
PageView = Callable[[HttpRequest], HttpResponse]
_SIDECAR = "drf_spectacular_sidecar/swagger-ui-dist/"


def urlpatterns_for(name: str) -> list[URLPattern]:
    """``/docs`` and ``/docs/openapi.json`` for the document of that file name."""
    return [
        path("docs", require_safe(_page(name))),
        path("docs/openapi.json", require_safe(_document(name))),
    ]


def _page(name: str) -> PageView:
    def page(request: HttpRequest) -> HttpResponse:
        html = format_html(
            _PAGE,
            title=openapi.document(name)["info"]["title"],
            style=static(_SIDECAR + "swagger-ui.css"),
            icon=static(_SIDECAR + "favicon-32x32.png"),
            bundle=static(_SIDECAR + "swagger-ui-bundle.js"),
            start=static("keystead/documentation.js"),
        )
        return HttpResponse(html, headers={"Content-Security-Policy": _POLICY})

    return page


def _document(name: str) -> PageView:
    def document(request: HttpRequest) -> HttpResponse:
        return HttpResponse(_bytes(name), content_type="application/json")

    return document


@cache
def _bytes(name: str) -> bytes:
    return json.dumps(openapi.document(name), ensure_ascii=False).encode()
