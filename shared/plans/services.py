"""Making and changing plans. Call these in `public_schema()`."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from shared.operator_log import services as operator_log
from shared.plans.models import Plan

_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}\Z")


class PlanExists(Conflict):
    """A plan has that code."""

    code = "plan_exists"
    title = "There is a plan with this code"


def create(*, code: str, by: Principal, title: str = "", **limits: int) -> Plan:
    """Make a plan. ``limits`` are its fields that end in ``_max``.

    Raises InvalidInput (field code), PlanExists.
    """
    if not _CODE.match(code):
        raise InvalidInput("Use 2 to 32 lower-case letters, digits and hyphens; a letter first.", field="code")
    try:
        with transaction.atomic():
            row = Plan.objects.create(code=code, title=title or code, **limits)
            operator_log.record(action="plan.created", by=by, detail={"plan": code, **limits})
    except IntegrityError as error:
        raise PlanExists("Change that one, or choose another code.", field="code") from error
    return row


def change(*, code: str, by: Principal, **changes: str | int) -> Plan:
    """Change a plan's title or limits, for every organization that has it. Raises NotFound."""
    with transaction.atomic():
        row = Plan.objects.select_for_update().filter(code=code).first()
        if row is None:
            raise NotFound
        changed = {name: value for name, value in changes.items() if getattr(row, name) != value}
        if changed:
            before = {name: getattr(row, name) for name in changed}
            for name, value in changed.items():
                setattr(row, name, value)
            row.save(update_fields=list(changed))
            operator_log.record(action="plan.changed", by=by, detail={"plan": code, "before": before, "after": changed})
    return row
