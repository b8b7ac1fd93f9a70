"""Who acts: a member, an app, a device, an operator, or the platform itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from engine import ids

PrincipalKind: TypeAlias = Literal["member", "app", "device", "operator", "system"]


@dataclass(frozen=True, slots=True)
class Principal:
    """One actor. Two are equal when their kind and id are; ``display`` is for humans and logs only.

    ``scopes`` are the permissions that the actor's token is confined to; None when the token sets no
    bounds of its own, as a member's session does not.

    ``authenticated_at`` is when the actor last proved who it is (a password, a key); ``mfa_at`` when it
    last proved a second factor, and None when it never did in this session. A token that is handed on
    carries the moments of the session that it came from.

    ``through`` is the public id of what lets the actor act, where that is not the actor's own account: the
    app that a member has lent a token to, or the impersonation of an operator. The audit log keeps it.
    """

    kind: PrincipalKind
    id: UUID
    display: str = field(default="", compare=False)
    scopes: frozenset[str] | None = field(default=None, compare=False)
    authenticated_at: datetime | None = field(default=None, compare=False)
    mfa_at: datetime | None = field(default=None, compare=False)
    through: str = field(default="", compare=False)

    @property
    def public_id(self) -> str:
        """The TypeID of the actor, for example ``mem_01h455vb4pex5vsknk084sn02q``."""
        return ids.encode(ids.PRINCIPAL_PREFIXES[self.kind], self.id)


SYSTEM = Principal(kind="system", id=UUID(int=0), display="Keystead")
"""The platform acting on its own behalf: reconcilers, sweeps, flows."""
