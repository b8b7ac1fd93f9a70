"""What a log record may say of an exception."""

from __future__ import annotations

import json
import logging.config
import sys

import psycopg
import pydantic
from django.db import DataError, IntegrityError, connection, transaction

from config.logging import configure, discreet_traceback
from engine.tenancy.context import OrganizationContext
from tenants.identity.models import Person, PersonStatus

# Used by name only: a traceback may quote our own source.
HIDDEN = "Ada Lovelace"


def told() -> str:
    return discreet_traceback(sys.exc_info())  # type: ignore[arg-type]


def test_a_refused_row_is_not_quoted(in_org_a: OrganizationContext) -> None:
    text = ""
    try:
        with transaction.atomic():
            Person.objects.create(display_name=HIDDEN, status=PersonStatus.ERASING)
    except IntegrityError as error:
        assert HIDDEN in str(error)
        text = told()
    assert HIDDEN not in text
    assert "test_logging.py" in text
    last = "django.db.utils.IntegrityError: 23514 identity_person person_nameless_once_erased"
    assert text.splitlines()[-1] == last


def test_a_statements_values_are_not_quoted(in_org_a: OrganizationContext) -> None:
    text = ""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT %s::text::uuid", [HIDDEN])
    except DataError as error:
        assert HIDDEN in str(error)
        text = told()
    assert HIDDEN not in text
    assert text.splitlines()[-1] == "django.db.utils.DataError: 22P02"


def test_an_input_is_not_quoted_and_our_own_words_are() -> None:
    class Frame(pydantic.BaseModel):
        pin: int

    text = ""
    try:
        try:
            Frame.model_validate({"pin": HIDDEN})
        except pydantic.ValidationError as error:
            assert HIDDEN in str(error)
            raise RuntimeError("the frame could not be read") from error
    except RuntimeError:
        text = told()
    assert HIDDEN not in text
    assert "ValidationError: withheld" in text
    assert text.splitlines()[-1] == "RuntimeError: the frame could not be read"


def test_the_standard_librarys_loggers_are_as_discreet() -> None:
    settings = configure(log_format="json", level="INFO")
    formatter = logging.config.DictConfigurator(settings).configure_formatter(settings["formatters"]["structured"])
    try:
        raise psycopg.errors.CheckViolation(HIDDEN)
    except psycopg.Error:
        record = logging.LogRecord("somebody.else", logging.ERROR, __file__, 1, "it failed", (), sys.exc_info())
    written = json.loads(formatter.format(record))
    assert written["event"] == "it failed"
    assert HIDDEN not in json.dumps(written)
    assert "CheckViolation: withheld" in written["exception"]
