"""What an organization's role may do to each of its tables, declared beside the table.

Default privileges give SELECT and INSERT on everything. A model that wants more says so in
`privileges`; one that says nothing is append-only, by privilege and not by promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from psycopg import sql

UPDATE = "UPDATE"
DELETE = "DELETE"
_ALLOWED = frozenset({UPDATE, DELETE})

# Says which migrations a schema has: nobody but the owner adds to it.
RECORDER = "django_migrations"

# Tables whose models are not ours to annotate, by app label and model name.
THIRD_PARTY: dict[str, frozenset[str]] = {
    "sessions.session": frozenset({UPDATE, DELETE}),
    "oauth2_provider.accesstoken": frozenset({UPDATE, DELETE}),
    "oauth2_provider.refreshtoken": frozenset({UPDATE, DELETE}),
    "oauth2_provider.grant": frozenset({UPDATE, DELETE}),
    "oauth2_provider.idtoken": frozenset({UPDATE, DELETE}),
    "oauth2_provider.devicegrant": frozenset({UPDATE, DELETE}),
    "otp_totp.totpdevice": frozenset({UPDATE, DELETE}),
    "otp_static.staticdevice": frozenset({UPDATE, DELETE}),
    "otp_static.statictoken": frozenset({UPDATE, DELETE}),
}


class UndeclaredPrivileges(RuntimeError):
    """A table of an organization's schema has a model that does not say what may be done to it."""


def organization_models() -> Iterator[type[Model]]:
    """Every concrete, managed model whose table stands in an organization's schema."""
    for config in apps.get_app_configs():
        full_name = f"{type(config).__module__}.{type(config).__name__}"
        if config.name not in settings.TENANT_APPS and full_name not in settings.TENANT_APPS:
            continue
        for model in config.get_models(include_auto_created=True):
            if model._meta.managed and not model._meta.proxy:
                yield model


def declared(model: type[Model]) -> frozenset[str]:
    """The privileges beyond SELECT and INSERT that `model` declares."""
    # Read from the class itself, so that a subclass of an append-only base says it again.
    own = model.__dict__.get("privileges", THIRD_PARTY.get(model._meta.label_lower))
    if own is None:
        own = getattr(model, "privileges", None)
    if own is None:
        raise UndeclaredPrivileges(f"{model._meta.label} needs `privileges` or a line in THIRD_PARTY")
    if not set(own) <= _ALLOWED:
        raise UndeclaredPrivileges(f"{model._meta.label}: {sorted(own)} are not all of {sorted(_ALLOWED)}")
    return frozenset(own)


def expected(tables: Iterable[str]) -> dict[str, frozenset[str]]:
    """What an organization's role may do to each of these tables of its schema."""
    more = {model._meta.db_table: declared(model) for model in organization_models()}
    found = {name: frozenset({"SELECT", "INSERT"}) | more.get(name, frozenset()) for name in tables}
    if RECORDER in found:
        found[RECORDER] = frozenset({"SELECT"})
    return found


def grants_sql(*, schema: str, role: str) -> list[sql.Composed]:
    """The statements that bring `role`'s privileges in `schema` to what the models declare."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    statements = [
        sql.SQL(text).format(**names)
        for text in (
            "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
            "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO {role}",
            "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        )
    ]
    return [*statements, *grants_on_new_sql(schema=schema, role=role)]


def grants_on_new_sql(*, schema: str, role: str) -> list[sql.Composed]:
    """The same for a schema whose tables were just made: default privileges have given the rest."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    statements = [sql.SQL("REVOKE INSERT ON {schema}.django_migrations FROM {role}").format(**names)]
    tables: dict[frozenset[str], list[str]] = {}
    for model in organization_models():
        if extra := declared(model):
            tables.setdefault(extra, []).append(model._meta.db_table)
    for extra, names_of_tables in sorted(tables.items(), key=lambda item: sorted(item[0])):
        statements.append(
            sql.SQL("GRANT {verbs} ON {tables} TO {role}").format(
                verbs=sql.SQL(", ").join(sql.SQL(verb) for verb in sorted(extra)),
                tables=sql.SQL(", ").join(sql.Identifier(schema, table) for table in sorted(names_of_tables)),
                role=sql.Identifier(role),
            )
        )
    return statements
