"""The documentation page works without the internet."""

from __future__ import annotations

import re

import pytest
from rest_framework.test import APIClient

from tests.harness import environment


@pytest.mark.parametrize(("host", "title"), [("org-a", "Keystead API"), ("platform", "Keystead platform API")])
def test_the_page_and_all_it_loads_come_from_the_same_host(http_a: APIClient, host: str, title: str) -> None:
    client = APIClient(HTTP_HOST=f"{host}.{environment.BASE_DOMAIN}")
    page = client.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page["Content-Security-Policy"]
    html = page.content.decode()
    assert f"<title>{title}</title>" in html
    links = re.findall(r'(?:src|href|data-document)="([^"]+)"', html)
    assert len(links) >= 5
    for link in links:
        assert link.startswith("/"), link
        response = client.get(link)
        assert response.status_code == 200, link
        assert b"".join(response) if response.streaming else response.content
    assert client.get("/docs/openapi.json").json()["info"]["title"] == title


def test_an_unknown_host_has_no_static_files(http_a: APIClient) -> None:
    client = APIClient(HTTP_HOST=f"nobody.{environment.BASE_DOMAIN}")
    assert client.get("/static/keystead/documentation.js").status_code == 404
