"""Why a socket was closed, as the code of its close frame (4000 to 4999 are ours to give)."""

from __future__ import annotations

from enum import IntEnum


class Close(IntEnum):
    """Close codes of the gateway. docs/gateway.md explains them to the makers of devices."""

    MESSAGE_TOO_BIG = 1009
    TRY_AGAIN = 1013
    TOO_MANY_FAULTS = 4400
    NOT_AUTHENTICATED = 4401
    REVOKED = 4403
    SILENT = 4408
    REPLACED = 4409
    TOO_FAST = 4429
    SLOW = 4430
