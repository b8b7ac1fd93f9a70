"""What payment providers call: ``hooks.<base>/<provider>/<organization>/<account>``.

The path names the organization, so that no public table has to know every account (ADR on inbound webhooks). It
grants nothing: a body counts only with a signature made with that account's own secret.
"""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from engine.api.paths import typeid
from engine.api.problems import problem
from engine.errors import DomainError
from engine.tenancy import directory
from engine.tenancy.context import organization
from tenants.payments import services


@csrf_exempt
def receive(request: HttpRequest, provider: str, organization_id: UUID, account_id: UUID) -> HttpResponse:
    """Store the event and answer 200; a worker does the rest. Redelivery is answered the same."""
    if request.method != "POST":
        return problem(status=405, headers={"Allow": "POST"})
    try:
        body = request.body
    except RequestDataTooBig:
        return problem(status=413)
    found = directory.by_id(organization_id)
    if found is None:
        return problem(status=404)
    headers = {name.lower(): value for name, value in request.headers.items()}
    # A suspended organization's money still moves at its provider: the event is kept for later.
    with organization(found):
        try:
            services.receive(provider=provider, account_id=account_id, body=body, headers=headers)
        except DomainError as error:
            return problem(status=error.status, code=error.code, title=error.title, detail=error.detail)
    return HttpResponse(status=200)


urlpatterns = [
    path(f"<slug:provider>/{typeid('org', 'organization_id')}/{typeid('pacc', 'account_id')}", receive),
]
