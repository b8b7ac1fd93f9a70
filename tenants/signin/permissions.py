from __future__ import annotations

from engine.permissions import Permission, declare

declare(
    Permission(
        "sign_in.read",
        "See how people have to sign in, and the identity providers.",
        since=1,
        roles=frozenset({"admin"}),
    ),
    # Whoever names an identity provider says who may be whom: so no role has it but the owner's, and no app.
    Permission(
        "sign_in.write",
        "Ask for second factors; add and remove identity providers.",
        since=1,
        kinds=frozenset({"member"}),
    ),
)
