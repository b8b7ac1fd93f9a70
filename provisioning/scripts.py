"""pg_dump's output as the script of a schema: only what defines it, in as few statements as it takes.

pg_dump adds each key in a statement of its own, after the tables. PostgreSQL then reads the table's
entry anew for each, and looks through an empty table to validate each foreign key. Written into
CREATE TABLE, under the same name, a key costs about half of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_TABLE = re.compile(r"CREATE TABLE (?P<table>\w+) \(\n(?P<body>.*)\n\)\Z", re.DOTALL)
_KEY = re.compile(
    r"ALTER TABLE ONLY (?P<table>\w+)\s+ADD (?P<key>CONSTRAINT \w+ (?:PRIMARY KEY|UNIQUE|FOREIGN KEY).*)\Z", re.DOTALL
)
_REFERENCED = re.compile(r" REFERENCES (?P<table>\w+)\(")


@dataclass(slots=True)
class _Table:
    body: str
    keys: list[str] = field(default_factory=list)
    # Foreign keys, each with the table that it refers to.
    references: list[tuple[str, str]] = field(default_factory=list)


def statements(dump: str) -> list[str]:
    """pg_dump's statements, without its comments and psql's own commands.

    A dump of tables, constraints and indexes has no function bodies, so a semicolon that ends a
    line ends a statement.
    """
    lines = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
    return [part.strip() for part in re.split(r";\n", "\n".join(lines) + "\n") if part.strip()]


def fold_keys(dumped: Iterable[str]) -> list[str]:
    """The same definitions, with the keys inside the tables and each table after those it refers to.

    A foreign key that closes a circle stays a statement of its own, behind the tables.
    """
    tables: dict[str, _Table] = {}
    rest: list[str] = []
    for statement in dumped:
        if made := _TABLE.match(statement):
            tables[made["table"]] = _Table(made["body"])
        elif (added := _KEY.match(statement)) and added["table"] in tables:
            table, key = tables[added["table"]], added["key"]
            if referenced := _REFERENCED.search(key):
                table.references.append((key, referenced["table"]))
            else:
                table.keys.append(key)
        else:
            rest.append(statement)
    created: set[str] = set()
    circular: list[str] = []
    folded: list[str] = []
    for name in _in_order(tables):
        created.add(name)
        table = tables[name]
        for key, referenced_table in table.references:
            if referenced_table in created:
                table.keys.append(key)
            else:
                circular.append(f"ALTER TABLE ONLY {name}\n    ADD {key}")
        lines = [table.body, *(f"    {key}" for key in table.keys)]
        folded.append(f"CREATE TABLE {name} (\n" + ",\n".join(lines) + "\n)")
    return [*folded, *circular, *rest]


def _in_order(tables: dict[str, _Table]) -> list[str]:
    """Names of tables, each behind those that it refers to unless they refer back."""
    order: dict[str, None] = {}
    entered: set[str] = set()

    def enter(name: str) -> None:
        if name in entered:
            return
        entered.add(name)
        for _, referenced in tables[name].references:
            enter(referenced)
        order[name] = None

    for name in sorted(tables):
        enter(name)
    return list(order)
