"""Every method of a psycopg cursor, and why it cannot reach the server outside its scope.

A new version of psycopg that brings a new method fails here until somebody has thought about it.
"""

from __future__ import annotations

from psycopg import ClientCursor

SENDS_BEHIND_THE_WALL = {"execute", "executemany", "copy"}
REFUSED = {"stream"}
CALLS_EXECUTE = {"callproc"}
SENDS_NOTHING = {
    "adapters", "arraysize", "close", "closed", "connection", "description", "fetchall", "fetchmany", "fetchone",
    "format", "mogrify", "nextset", "pgresult", "results", "row_factory", "rowcount", "rownumber", "scroll",
    "set_result", "setinputsizes", "setoutputsize", "statusmessage",
}  # fmt: skip


def test_every_public_method_is_accounted_for():
    from engine.tenancy.postgres.base import Cursor
    from engine.tenancy.wall import WalledCursor

    public = {name for name in dir(Cursor) if not name.startswith("_")}
    assert public == SENDS_BEHIND_THE_WALL | REFUSED | CALLS_EXECUTE | SENDS_NOTHING
    for name in SENDS_BEHIND_THE_WALL | REFUSED:
        assert getattr(WalledCursor, name) is not getattr(ClientCursor, name)
