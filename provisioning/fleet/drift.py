"""Where organizations' schemas differ from what their fingerprint stands for.

The expected structure comes from the baked script, run in a transaction that is rolled back. Of many
schemas one query brings a hash each; only those with another hash are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from engine.errors import DomainError
from engine.tenancy.context import public_schema
from provisioning import pool, schemas
from provisioning.fleet import structure
from provisioning.fleet.structure import Structure
from shared.organizations.models import GONE, Organization

# Of one query, and of one connection: a backend keeps catalog entries of every schema that it has touched.
_SCHEMAS_PER_QUERY = 50


class NotComparableError(DomainError):
    """There is nothing to compare an organization's schema with."""

    code = "drift_not_comparable"
    status = 409
    title = "The organization cannot be compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An organization that ought to have this release's structure."""

    id: UUID
    slug: str
    schema: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Whom to compare, and how many have another release's structure."""

    targets: list[Target]
    behind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What differs in one organization's schema."""

    slug: str
    differences: tuple[str, ...] = ()
    has_moved: bool = False
    """It was migrated or taken away meanwhile, so nothing was compared."""


def fleet(*, slug: str | None = None) -> Fleet:
    """All organizations, or one. Raises NotComparableError for one that has not this release's migrations."""
    with public_schema():
        rows = Organization.objects.exclude(schema_fingerprint="").exclude(status__in=GONE).order_by("id")
        if slug is not None:
            rows = rows.filter(slug=slug)
            if not rows.exists():
                raise NotComparableError(f"{slug!r} is no organization with a schema; see `keystead org list`.")
        current = rows.filter(schema_fingerprint=schemas.fingerprint())
        targets = [
            Target(id=row_id, slug=name, schema=schema, role=role)
            for row_id, name, schema, role in current.values_list("id", "slug", "schema_name", "role_name")
        ]
        behind = rows.count() - len(targets)
    if slug is not None and behind:
        raise NotComparableError(f"{slug!r} has another release's structure: run `keystead migrate` first.")
    return Fleet(targets=targets, behind=behind)


def findings(targets: Sequence[Target]) -> Iterator[Finding]:
    """Compare, in batches. Raises StaleScriptError when the baked script is of other migrations."""
    schemas.require_owner_login()
    expected, digest = _expected()
    for start in range(0, len(targets), _SCHEMAS_PER_QUERY):
        yield from _compared(targets[start : start + _SCHEMAS_PER_QUERY], expected, digest)


def _expected() -> tuple[Structure, str]:
    script, names = schemas.baked_script(), pool.new_names()
    place = (names.schema, names.role)
    with schemas.owner_connection() as raw, raw.transaction(force_rollback=True):
        schemas.make(raw, script=script, schema=names.schema, role=names.role)
        _qualify(raw)
        return structure.read(raw, place), structure.hashes(raw, [place])[names.schema]


def _compared(targets: Sequence[Target], expected: Structure, digest: str) -> list[Finding]:
    found = []
    with schemas.owner_connection() as raw:
        _qualify(raw)
        hashes = structure.hashes(raw, [(target.schema, target.role) for target in targets])
        for target in targets:
            differences: tuple[str, ...] = ()
            has_moved = False
            if hashes.get(target.schema) != digest:
                here = structure.read(raw, (target.schema, target.role))
                differences = tuple(structure.differences(found=here, expected=expected))
                has_moved = bool(differences) and _has_moved(target)
            found.append(Finding(slug=target.slug, differences=() if has_moved else differences, has_moved=has_moved))
    return found


def _has_moved(target: Target) -> bool:
    with public_schema():
        return (
            not Organization.objects.filter(
                id=target.id, schema_name=target.schema, schema_fingerprint=schemas.fingerprint()
            )
            .exclude(status__in=GONE)
            .exists()
        )


def _qualify(raw: structure.Connection) -> None:
    """Let PostgreSQL print every name outside pg_catalog with its schema."""
    raw.execute("SELECT set_config('search_path', '', false)")
