"""Logs: structlog for our own records and the standard library's alike, one line each.

Every record of an organization carries its id; no record carries a body, a header or a parameter.
"""

from __future__ import annotations

from typing import Any

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


_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    add_organization,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
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
