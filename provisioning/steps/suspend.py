"""What remains to be done once an organization's status says that it is suspended, or no longer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.clock import utc_now
from engine.outbox import claims
from engine.outbox.execution import SUSPENDED_REASON
from engine.tenancy.context import organization
from provisioning import rules
from provisioning.models import Flow
from provisioning.rules import Wait


def hear(flow: Flow) -> Wait | None:
    """Until nobody works for it any more, and so nobody loads again what is forgotten."""
    heard = flow.created_at + rules.HEARD_EVERYWHERE
    return Wait(until=heard) if heard > utc_now() else None


def forget_in_memory(flow: Flow) -> None:
    """Galleries and keys in clear are overwritten: nobody needs them now."""
    from tenants.keyring import services as keyring

    with organization(flow.organization.context()):
        keyring.forget_in_memory()


def take_up_messages(flow: Flow) -> None:
    """What workers had put off is due now."""
    claims.hurry(org_role=flow.organization.role_name, held=SUSPENDED_REASON)


SUSPEND: Mapping[str, Callable[[Flow], Wait | None]] = {"heard": hear, "forget": forget_in_memory}
RESUME: Mapping[str, Callable[[Flow], None]] = {"take_up": take_up_messages}
