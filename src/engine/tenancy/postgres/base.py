"""The database backend: django-tenants' introspection, behind our wall.

django-tenants sets the search path in a statement of its own and goes on when that statement
fails. Here the settings are part of the query's message, so a query either runs inside its
scope or does not run.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql.base import CursorMixin
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.features import DatabaseFeatures as PostgresFeatures
from django_tenants.postgresql_backend import base as django_tenants_backend
from psycopg import ClientCursor

from engine.tenancy.context import current_schema, current_scope
from engine.tenancy.postgres.schema import DatabaseSchemaEditor
from engine.tenancy.wall import Wall, WalledCursor, WallError, raise_wall, wall_of

# Below the decorator that looks for an event loop.
_create_cursor = PostgresWrapper.create_cursor.__wrapped__  # type: ignore[attr-defined]


class Cursor(CursorMixin, WalledCursor[Any]):
    """Django's cursor (callproc) over the walled one."""


class DatabaseFeatures(PostgresFeatures):
    # Django finds out by creating a table, which no role of ours may do.
    supports_transactions = True


class DatabaseWrapper(django_tenants_backend.DatabaseWrapper):
    """PostgreSQL, one role and one schema at a time, read from the context at each statement."""

    features_class = DatabaseFeatures
    SchemaEditorClass = DatabaseSchemaEditor
    include_public_schema = False

    @property
    def schema_name(self) -> str | None:
        """The schema that unqualified names mean now; what django-tenants' router asks for."""
        return current_schema()

    @schema_name.setter
    def schema_name(self, value: str | None) -> None:
        """Set by the parent's __init__ only; the context decides."""

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None:
        raise WallError("enter engine.tenancy.context.organization(..) instead of setting a tenant")

    def set_schema_to_public(self) -> None:
        """Called by the parent's __init__; a fresh connection is nowhere until a context is entered."""

    def _cursor(self, name: str | None = None) -> Any:
        """Django's own: django-tenants' sends the search path here, ours travels with the query.

        On an open connection whose health is not to be checked, Django's would look for an event loop
        twice more, after `cursor()` has: 0.5 % of a small request.
        """
        unchecked = self.health_check_enabled and not self.health_check_done
        if name is not None or self.connection is None or unchecked:
            return PostgresWrapper._cursor(self, name)  # type: ignore[attr-defined]
        with self.wrap_database_errors:
            return self._prepare_cursor(_create_cursor(self))

    def get_connection_params(self) -> dict[str, Any]:
        if self.settings_dict["OPTIONS"].get("server_side_binding"):
            raise ImproperlyConfigured("server_side_binding cannot carry the wall: remove it from OPTIONS")
        params = super().get_connection_params()
        params["cursor_factory"] = Cursor
        params["prepare_threshold"] = None
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        wall = raise_wall(connection, current_scope)
        wall.switch_allowed = self._in_test_transaction
        return connection

    # The number of atomic blocks that a test's own fixture has opened; 0 outside tests.
    test_atomic_blocks = 0

    def _in_test_transaction(self) -> bool:
        return 0 < self.test_atomic_blocks >= len(self.atomic_blocks)

    def _savepoint(self, sid: str) -> None:
        # A block inside the test's own transaction is what a transaction is outside tests: it may
        # belong to another context than the block before it.
        if self._in_test_transaction():
            self.wall.unbind()
        super()._savepoint(sid)

    @property
    def wall(self) -> Wall:
        """The wall of the open connection."""
        self.ensure_connection()
        return wall_of(self.connection)

    def create_cursor(self, name: str | None = None) -> Any:
        if name:
            raise WallError("a server-side cursor outlives its scope: page by key instead of iterator()")
        return super().create_cursor()

    def is_usable(self) -> bool:
        """As the parent's, with a plain cursor: a health check happens outside every context."""
        if self.connection is None:
            return False
        try:
            with ClientCursor(self.connection) as cursor:
                cursor.execute("SELECT 1")
        except self.Database.Error:
            return False
        return True

    def _configure_timezone(self, connection: Any) -> bool:
        name = self.timezone_name
        if not name or connection.info.parameter_status("TimeZone") == name:
            return False
        with ClientCursor(connection) as cursor:
            cursor.execute(self.ops.set_time_zone_sql(), [name])
        return True

    def close_if_unusable_or_obsolete(self) -> None:
        """Also close a connection that has served many organizations.

        A PostgreSQL backend keeps the catalog entries of every table it has touched (measured:
        471 MiB after 300 schemas of 44 tables), and gives them back only when it ends.
        """
        if self.connection is not None and not self.in_atomic_block:
            seen = self.connection.__dict__.get("keystead_wall")
            if isinstance(seen, Wall) and len(seen.scopes_seen) > settings.DATABASE_ORGANIZATIONS_PER_CONNECTION:
                self.close()
                return
        super().close_if_unusable_or_obsolete()
