"""Updates that do not overwrite what somebody else just wrote: ETag, If-Match, If-None-Match.

An ETag is a hash of the JSON that a caller sees, so it changes exactly when that does.
"""

from __future__ import annotations

import hashlib
from typing import Any

from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from engine.errors import DomainError


class PreconditionFailed(DomainError):
    """The object is not the one that the caller saw."""

    code = "precondition_failed"
    status = 412
    title = "The object has changed in the meantime"


class PreconditionRequired(DomainError):
    """The update would be blind."""

    code = "precondition_required"
    status = 428
    title = "The request needs an If-Match header"


def tag(data: Any) -> str:
    """The strong ETag of a body, quoted as RFC 9110 wants it."""
    digest = hashlib.sha256(JSONRenderer().render(data)).hexdigest()
    return f'"{digest[:32]}"'


def respond(request: Request, data: Any, *, status: int = 200) -> Response:
    """The body with its ETag; 304 without a body when a GET already has it (If-None-Match)."""
    current = tag(data)
    known = request.headers.get("If-None-Match")
    if request.method in {"GET", "HEAD"} and known is not None and _names(known, current, weak=True):
        return Response(status=304, headers={"ETag": current})
    return Response(data, status=status, headers={"ETag": current})


def require_match(request: Request, data: Any, *, required: bool = False) -> None:
    """Hold If-Match against ``data``, the present body of the object, read under a lock.

    Without the header the update passes, unless ``required``.
    Raises PreconditionFailed or PreconditionRequired.
    """
    wanted = request.headers.get("If-Match")
    if wanted is None:
        if required:
            raise PreconditionRequired("Send the ETag that you last saw.", field="If-Match")
        return
    if not _names(wanted, tag(data), weak=False):
        raise PreconditionFailed("Read it again, then decide.", field="If-Match")


def _names(header: str, current: str, *, weak: bool) -> bool:
    given = [part.strip() for part in header.split(",")]
    if weak:
        given = [part.removeprefix("W/") for part in given]
    return "*" in given or current in given
