"""Logs: structlog for our own records and the standard library's alike, one line each.

Every record of an organization carries its id; no record carries a body, a header or a parameter.
"""

from __future__ import annotations

import traceback
from typing import Any

import django.db
import psycopg
import pydantic
import structlog
from structlog.typing import EventDict, WrappedLogger

from engine.tenancy.context import NoOrganization, current_organization


def add_organization(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say whose work it was."""
    try:
        event["organization"] = str(current_organization().id)
    except NoOrganization:
        return event
    return event


# PostgreSQL quotes the row that it refuses ("Failing row contains ..") and the statement with its values, pydantic
# the input.
_TALKATIVE = (django.db.Error, psycopg.Error, pydantic.ValidationError)


def discreet_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    """Where an exception came from, without the words of those that quote what they were given."""
    parts: list[str] = []
    exception: BaseException | None = exc_info[1]
    seen: set[int] = set()
    while exception is not None and id(exception) not in seen:
        seen.add(id(exception))
        frames = "".join(traceback.format_tb(exception.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{_last_line(exception)}")
        exception = exception.__cause__ or (None if exception.__suppress_context__ else exception.__context__)
    return "\n\nraised while this was handled:\n\n".join(reversed(parts))


def _last_line(exception: BaseException) -> str:
    if not isinstance(exception, _TALKATIVE):
        return "".join(traceback.format_exception_only(exception)).rstrip("\n")
    diagnosis = getattr(exception, "diag", None) or getattr(exception.__cause__, "diag", None)
    said = [getattr(diagnosis, name, None) for name in ("sqlstate", "table_name", "constraint_name")]
    return f"{type(exception).__module__}.{type(exception).__qualname__}: {' '.join(filter(None, said)) or 'withheld'}"


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    add_organization,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.ExceptionRenderer(discreet_traceback),
]


def configure(*, log_format: str, level: str) -> dict[str, Any]:
    """Set structlog up and return the LOGGING of Django's settings."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # httpx2 logs every URL; ours may carry ids, a provider's may carry more.
            "httpx2": {"level": "WARNING"},
            "httpcore2": {"level": "WARNING"},
            "django.server": {"level": "WARNING"},
        },
    }
