"""Guessing at one-time codes: `make chaos NAME=otp`. GUESSES=n and ADDRESSES=n change its size, SEED=n repeats it."""

from __future__ import annotations

import logging
import os
import random

from tests.chaos.report import Report, seed
from tests.harness import environment


def run(*, guesses: int, addresses: int, sign_ins: int, number: int) -> Report:
    """The attack at an organization of the template. Needs a database in which commits are real."""
    from engine.tenancy import directory
    from tests.chaos.code_guessing import Size, guess_at_codes

    report = Report(name="otp", seed=number)
    org = directory.by_host(f"org-a.{environment.BASE_DOMAIN}")
    assert org is not None
    size = Size(guesses=guesses, addresses=addresses, sign_ins=sign_ins)
    guess_at_codes(report, org=org, size=size, chance=random.Random(number))
    return report


def main() -> None:
    environment.set_up()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from tests.harness.live import live_database

    logging.disable(logging.CRITICAL)
    with live_database():
        report = run(
            guesses=int(os.environ.get("GUESSES", "10000")),
            addresses=int(os.environ.get("ADDRESSES", "1000")),
            sign_ins=40,
            number=seed(),
        )
    report.end()


if __name__ == "__main__":
    main()
