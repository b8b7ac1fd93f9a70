"""docs/permissions.md: who may do what, written from the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tenants.access.permissions import PERMISSIONS, ROLES

_INTRODUCTION = """\
# Who may do what

Written by `make permissions` from what the code declares; a test fails when it is stale. What the words mean,
and how grants bound roles to a part of the organization, stands in [access.md](access.md).

Version {version} of the catalogue. A permission never changes its meaning once it was published: what has to
change gets another name. `since` says which version brought it.

## Roles

{roles}

## Permissions

{permissions}

## Operations

What each operation asks for. `public`: anyone, signed in or not. `authenticated`: every principal of the
organization, about itself. Everything else needs a grant, and everything that is not listed is refused.

{operations}
"""


def render(*, operations: Iterable[tuple[str, str, str]]) -> str:
    """The page. `operations` are method, path and permission of the organization's API."""
    return _INTRODUCTION.format(
        version=version(),
        roles="\n".join(_roles()),
        permissions="\n".join(_permissions()),
        operations="\n".join(_operations(operations)),
    )


def version() -> int:
    """Of the catalogue: that of its newest permission."""
    return max(one.since for one in PERMISSIONS.values())


def published() -> dict[str, Any]:
    """What callers may rely on: names, when they came, and who can use them."""
    return {
        "version": version(),
        "permissions": {
            one.name: {"since": one.since, "kinds": sorted(one.kinds)}
            for one in sorted(PERMISSIONS.values(), key=lambda each: each.name)
        },
    }


def breaking_changes(before: Mapping[str, Any]) -> list[str]:
    """What a caller of the published catalogue `before` would miss in the present one."""
    now = published()["permissions"]
    found = []
    for name, old in before["permissions"].items():
        if name not in now:
            found.append(f"{name} is gone")
        elif now[name]["since"] != old["since"]:
            found.append(f"{name} says that it came with version {now[name]['since']}, not {old['since']}")
        elif missing := sorted(set(old["kinds"]) - set(now[name]["kinds"])):
            found.append(f"{name} is no longer for {', '.join(missing)}")
    return found


def _roles() -> Iterator[str]:
    yield "| Role | For | Held by |"
    yield "|---|---|---|"
    for role in ROLES.values():
        yield f"| `{role.name}` | {role.meaning} | {', '.join(f'{kind}s' for kind in sorted(role.kinds))} |"


def _permissions() -> Iterator[str]:
    yield f"| Permission | Allows to | Since | {' | '.join(ROLES)} |"
    yield "|---|---|---|" + "---|" * len(ROLES)
    for one in sorted(PERMISSIONS.values(), key=lambda each: each.name):
        held = ("yes" if one.name in role.permissions else "" for role in ROLES.values())
        yield f"| `{one.name}` | {one.meaning} | {one.since} | {' | '.join(held)} |"


def _operations(operations: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    yield "| Operation | Needs | Built-in roles that have it |"
    yield "|---|---|---|"
    for method, path, permission in operations:
        roles = ", ".join(role.name for role in ROLES.values() if permission in role.permissions)
        yield f"| `{method} {path}` | `{permission}` | {roles} |"
