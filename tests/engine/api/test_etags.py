"""Updates that would overwrite what somebody else wrote are refused."""

from __future__ import annotations

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from engine.api import etags

BODY = {"id": "x", "name": "a"}


def request(method: str = "GET", **headers: str) -> Request:
    return Request(APIRequestFactory().generic(method, "/", headers=headers))


def test_the_tag_changes_with_the_body_and_only_with_it() -> None:
    assert etags.tag(BODY) == etags.tag(dict(BODY))
    assert etags.tag(BODY) != etags.tag({**BODY, "name": "b"})
    assert etags.tag(BODY).startswith('"')


def test_a_known_body_is_not_sent_again() -> None:
    tag = etags.respond(request(), BODY)["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = etags.respond(request(**{"If-None-Match": known}), BODY)
        assert (again.status_code, again.data) == (304, None)
    assert etags.respond(request(**{"If-None-Match": '"other"'}), BODY).status_code == 200
    assert etags.respond(request("PATCH", **{"If-None-Match": tag}), BODY).status_code == 200


def test_an_update_needs_the_present_tag() -> None:
    tag = etags.tag(BODY)
    for given in (tag, "*", f'"other", {tag}'):
        etags.require_match(request("PATCH", **{"If-Match": given}), BODY)
    for given in ('"other"', f"W/{tag}", "", tag.strip('"')):
        with pytest.raises(etags.PreconditionFailed):
            etags.require_match(request("PATCH", **{"If-Match": given}), BODY)


def test_without_the_header_it_passes_unless_it_is_required() -> None:
    etags.require_match(request("PATCH"), BODY)
    with pytest.raises(etags.PreconditionRequired):
        etags.require_match(request("PATCH"), BODY, required=True)
