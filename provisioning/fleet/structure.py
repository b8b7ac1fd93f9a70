"""What a schema is made of, as lines read from the catalog; two schemas are equal when their lines are.

A line does not say what the schema or its role is called, nor in which order columns came. Whatever
depends on the schema has a line, so that what nobody thought of is seen too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import LiteralString, NamedTuple

import psycopg

Connection = psycopg.Connection[tuple[object, ...]]

# Of `wanted` and `relations`: schema, kind, relation, name, detail.
_LINES: LiteralString = r"""
WITH wanted AS MATERIALIZED (
    SELECT space.oid, asked.schema, quote_ident(asked.schema) || '.' AS prefix, space.nspowner AS owner,
        space.nspacl AS acl, role.oid AS role
    FROM unnest(%(schemas)s::text[], %(roles)s::text[]) AS asked (schema, role)
    JOIN pg_namespace AS space ON space.nspname = asked.schema
    LEFT JOIN pg_roles AS role ON role.rolname = asked.role
), relations AS MATERIALIZED (
    SELECT class.oid, wanted.schema, wanted.role, class.relname::text AS name, class.relkind AS kind,
        class.relowner AS owner, class.relacl AS acl, class.relpersistence AS persistence, class.reloptions AS options,
        class.relrowsecurity AS secured, class.relforcerowsecurity AS forced, class.relpartbound AS bound
    FROM pg_class AS class JOIN wanted ON wanted.oid = class.relnamespace WHERE class.relkind NOT IN ('i', 'I')
), lines (schema, kind, relation, name, detail) AS (
    SELECT schema, 'schema', '', '', 'owner ' || pg_get_userbyid(owner) FROM wanted
    UNION ALL
    -- Those of an owner go without saying.
    SELECT schema, 'privilege', '', concat(acl.privilege_type, ' on the schema for ',
        CASE acl.grantee WHEN 0 THEN 'everybody' WHEN wanted.role THEN 'its role'
            ELSE pg_get_userbyid(acl.grantee)::text END, CASE WHEN acl.is_grantable THEN ' with grant option' END), ''
    FROM wanted, aclexplode(wanted.acl) AS acl WHERE acl.grantee <> owner
    UNION ALL
    SELECT schema, 'default privilege', '', concat(acl.privilege_type, ' on ',
        CASE given.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' ELSE given.defaclobjtype::text END,
        ' of ', pg_get_userbyid(given.defaclrole), ' for ', CASE acl.grantee WHEN 0 THEN 'everybody'
            WHEN wanted.role THEN 'its role' ELSE pg_get_userbyid(acl.grantee)::text END,
        CASE WHEN acl.is_grantable THEN ' with grant option' END), ''
    FROM wanted JOIN pg_default_acl AS given ON given.defaclnamespace = wanted.oid, aclexplode(given.defaclacl) AS acl
    UNION ALL
    SELECT schema, 'role', '', '', concat_ws(' ', CASE WHEN held.rolsuper THEN 'SUPERUSER' END,
        CASE WHEN held.rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN held.rolcreaterole THEN 'CREATEROLE' END,
        CASE WHEN held.rolcreatedb THEN 'CREATEDB' END, CASE WHEN held.rolreplication THEN 'REPLICATION' END,
        CASE WHEN held.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END)
    FROM wanted JOIN pg_roles AS held ON held.oid = wanted.role
    UNION ALL
    SELECT schema, 'membership', '', CASE link.member WHEN wanted.role
        THEN concat('its role in ', link.roleid::regrole) ELSE concat(link.member::regrole, ' in its role') END,
        concat('ADMIN ', link.admin_option, ', INHERIT ', link.inherit_option, ', SET ', link.set_option)
    FROM wanted JOIN pg_auth_members AS link ON wanted.role IN (link.roleid, link.member)
    UNION ALL
    SELECT schema, CASE kind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
        ELSE 'relation' END, name, '', concat_ws(', ', 'owner ' || pg_get_userbyid(owner),
        CASE WHEN kind NOT IN ('r', 'S', 'v') THEN concat('of kind ', kind) END,
        CASE persistence WHEN 'u' THEN 'UNLOGGED' END, array_to_string(options, ' '),
        CASE WHEN secured THEN 'ROW LEVEL SECURITY' END, CASE WHEN forced THEN 'FORCED' END,
        pg_get_expr(bound, relations.oid),
        'of ' || format_type(run.seqtypid, NULL) || concat(' from ', run.seqstart, ' by ', run.seqincrement,
            ' between ', run.seqmin, ' and ', run.seqmax, ' cache ', run.seqcache,
            CASE WHEN run.seqcycle THEN ' cycle' END))
    FROM relations LEFT JOIN pg_sequence AS run ON run.seqrelid = relations.oid
    UNION ALL
    SELECT schema, 'privilege', relations.name, concat(acl.privilege_type, ' on ', relations.name, ' for ',
        CASE acl.grantee WHEN 0 THEN 'everybody' WHEN relations.role THEN 'its role'
            ELSE pg_get_userbyid(acl.grantee)::text END, CASE WHEN acl.is_grantable THEN ' with grant option' END), ''
    FROM relations, aclexplode(relations.acl) AS acl WHERE acl.grantee <> owner
    UNION ALL
    SELECT schema, 'privilege', relations.name, concat(acl.privilege_type, ' on ', relations.name, '.', attname,
        ' for ', CASE acl.grantee WHEN 0 THEN 'everybody' WHEN relations.role THEN 'its role'
            ELSE pg_get_userbyid(acl.grantee)::text END, CASE WHEN acl.is_grantable THEN ' with grant option' END), ''
    FROM relations JOIN pg_attribute AS own ON own.attrelid = relations.oid, aclexplode(own.attacl) AS acl
    UNION ALL
    SELECT schema, 'column', relations.name, attname::text, concat_ws(' ', format_type(own.atttypid, own.atttypmod),
        CASE WHEN own.attcollation <> type.typcollation THEN concat('COLLATE ', own.attcollation::regcollation) END,
        CASE WHEN own.attnotnull THEN 'NOT NULL' END,
        CASE own.attidentity WHEN 'a' THEN 'ALWAYS AS IDENTITY' WHEN 'd' THEN 'BY DEFAULT AS IDENTITY' END,
        CASE own.attgenerated WHEN '' THEN 'DEFAULT ' ELSE concat('GENERATED ', own.attgenerated, ' ') END
            || pg_get_expr(filled.adbin, filled.adrelid))
    FROM relations JOIN pg_attribute AS own ON own.attrelid = relations.oid AND own.attnum > 0 AND NOT own.attisdropped
    JOIN pg_type AS type ON type.oid = own.atttypid
    LEFT JOIN pg_attrdef AS filled ON filled.adrelid = own.attrelid AND filled.adnum = own.attnum
    WHERE kind <> 'S'
    UNION ALL
    -- NOT NULL is a column's; here it stands only while it has not been validated.
    SELECT schema, 'constraint', relations.name, conname::text, concat_ws(' ', pg_get_constraintdef(rule.oid),
        CASE WHEN rule.contype = 'f' AND EXISTS (SELECT FROM pg_trigger WHERE tgconstraint = rule.oid
            AND tgenabled <> 'O') THEN 'DISABLED' END)
    FROM relations JOIN pg_constraint AS rule ON rule.conrelid = relations.oid
    WHERE rule.contype <> 't' AND NOT (rule.contype = 'n' AND rule.convalidated)
    UNION ALL
    -- That of a constraint is said there, unless something is wrong with it.
    SELECT schema, 'index', relations.name, class.relname::text, concat_ws(' ', pg_get_indexdef(index.indexrelid),
        CASE WHEN NOT (index.indisvalid AND index.indisready) THEN 'INVALID' END)
    FROM relations JOIN pg_index AS index ON index.indrelid = relations.oid
    JOIN pg_class AS class ON class.oid = index.indexrelid
    WHERE NOT (index.indisvalid AND index.indisready
        AND EXISTS (SELECT FROM pg_constraint WHERE conindid = index.indexrelid AND contype IN ('p', 'u', 'x')))
    UNION ALL
    SELECT schema, 'trigger', relations.name, tgname::text, concat_ws(' ', pg_get_triggerdef(own.oid),
        CASE WHEN tgenabled <> 'O' THEN concat('ENABLED ', tgenabled) END)
    FROM relations JOIN pg_trigger AS own ON own.tgrelid = relations.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT schema, 'policy', relations.name, polname::text, concat_ws(' ', polcmd, pg_get_expr(polqual, polrelid),
        pg_get_expr(polwithcheck, polrelid))
    FROM relations JOIN pg_policy ON polrelid = relations.oid
    UNION ALL
    SELECT schema, 'rule', relations.name, rulename::text, pg_get_ruledef(own.oid)
    FROM relations JOIN pg_rewrite AS own ON own.ev_class = relations.oid
    UNION ALL
    SELECT wanted.schema, seen.type, '', seen.identity, '' FROM wanted JOIN pg_depend AS own
        ON own.refclassid = 'pg_namespace'::regclass AND own.refobjid = wanted.oid
        AND own.classid NOT IN ('pg_class'::regclass, 'pg_default_acl'::regclass),
        pg_identify_object(own.classid, own.objid, own.objsubid) AS seen
), named AS (
    SELECT schema, kind, relation, replace(lines.name, prefix, '') AS name, replace(detail, prefix, '') AS detail
    FROM lines JOIN wanted USING (schema)
), plain AS (
    -- The array of an IN is printed with one cast by who made it and, read back, with a cast of each element.
    SELECT schema, kind, relation, name, CASE WHEN detail LIKE '%%ARRAY[%%' THEN
        regexp_replace(regexp_replace(detail, $$\(('(?:[^']|'')*'::character varying)\)::text$$, '\1', 'g'),
            $$\((ARRAY\[(?:[^]']|'(?:[^']|'')*')*\])\)::text\[\]$$, '\1', 'g')
        ELSE detail END AS detail
    FROM named
)
"""

_HASHES: LiteralString = (
    _LINES  # noqa: S608  # both parts stand here
    + r"""
SELECT schema, encode(sha256(string_agg(convert_to(concat_ws(E'\t', kind, relation, name, detail), 'UTF8'), '\x0a'
    ORDER BY (kind, relation, name, detail)::text COLLATE "C")), 'hex') FROM plain GROUP BY schema
"""
)
_ALL: LiteralString = _LINES + "SELECT schema, kind, relation, name, detail FROM plain"  # noqa: S608  # as above


class Subject(NamedTuple):
    """What a line is about."""

    kind: str
    relation: str
    """The table that it belongs to, empty for what belongs to the schema."""
    name: str
    """Empty for the table itself, and where there is one of a kind."""

    def __str__(self) -> str:
        if self.kind == "column":
            return f"column {self.relation}.{self.name}"
        words = [self.kind, self.name or self.relation]
        if self.name and self.relation and self.kind != "privilege":
            words.append(f"of {self.relation}")
        return " ".join(word for word in words if word)


Structure = dict[Subject, frozenset[str]]
"""What a schema is made of: the details of each subject."""


def hashes(raw: Connection, places: Sequence[tuple[str, str]]) -> dict[str, str]:
    """A hash over the lines of each (schema, role), in one query. A schema that is not there has none."""
    return {str(schema): str(digest) for schema, digest in raw.execute(_HASHES, _asked(places)).fetchall()}


def read(raw: Connection, place: tuple[str, str]) -> Structure:
    """What one (schema, role) is made of. Empty when it is not there."""
    found: dict[Subject, set[str]] = {}
    for _, kind, relation, name, detail in raw.execute(_ALL, _asked([place])).fetchall():
        found.setdefault(Subject(str(kind), str(relation), str(name)), set()).add(str(detail))
    return {subject: frozenset(details) for subject, details in found.items()}


def differences(*, found: Structure, expected: Structure) -> Iterator[str]:
    """What differs, a line each. A table that is missing or too many is named, and nothing that stands in it."""
    if not found:
        yield "schema missing"
        return
    whole = {subject.relation for subject in found.keys() ^ expected.keys() if subject.relation and not subject.name}
    for subject in sorted(found.keys() | expected.keys()):
        here, there = found.get(subject), expected.get(subject)
        if here == there or (subject.name and subject.relation in whole):
            continue
        if there is None:
            yield f"{subject}: not expected: {_told(here)}".removesuffix(": ")
        elif here is None:
            yield f"{subject}: missing: {_told(there)}".removesuffix(": ")
        else:
            yield f"{subject}: {_told(here)}; expected: {_told(there)}"


def _told(details: frozenset[str] | None) -> str:
    return ", ".join(sorted(details or ()))


def _asked(places: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {"schemas": [schema for schema, _ in places], "roles": [role for _, role in places]}
