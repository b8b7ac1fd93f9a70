"""What the migrations of all organizations cost, beside stock django-tenants' `migrate_schemas`.

    no_op     nothing is to be done, and this is found out
    column    every organization gets a column that it did not have, another one each round

`make bench NAME=fleet`. Both designs have ORGANIZATIONS schemas of the same tables on one server, and each works in
a process that has been started before: the start is measured, and reported apart, with what it makes of the ratios.
Ours goes through what `keystead migrate` calls, over all organizations, with the platform's tables, as stock does.

Stock takes minutes for all of its tenants, so it does that once. In the rounds its own command and executor work on
the first SAMPLE of them; what these take is multiplied, what the shared tables take is not. The full run has to
agree with that, or the ratios say nothing.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.interleaved import Ratio, median_ratio, report, rounds, spread
from tests.benchmarks.provisioning import Site

ROUNDS = int(os.environ.get("ROUNDS", "9"))
ORGANIZATIONS = int(os.environ.get("ORGANIZATIONS", "200"))
SAMPLE = min(10, ORGANIZATIONS)
EMPTY_RUNS = 3


class Fleet:
    """Both designs, with as many organizations."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.empty_ms = 0.0

    def measure_empty(self) -> None:
        """What stock's command takes to find out that the shared tables lack nothing."""
        self.empty_ms = statistics.median(self._stock(0) for _ in range(EMPTY_RUNS))

    def over_all(self) -> dict[str, float]:
        """Milliseconds of stock over all tenants, once: a column, and then nothing."""
        name = self.site.stock.ask("plant")
        return {"column": self._checked(name, self._stock(None), tenants=ORGANIZATIONS), "no_op": self._stock(None)}

    def no_op(self) -> float:
        return 1000 * float(self.site.ours.ask("no_op"))

    def column(self) -> float:
        return 1000 * float(self.site.ours.ask("column"))

    def stock_no_op(self) -> float:
        return self._scaled()

    def stock_column(self) -> float:
        name = self.site.stock.ask("plant")
        return self._checked(name, self._scaled(), tenants=SAMPLE)

    def _scaled(self) -> float:
        shared = self._stock(0)
        return shared + (self._stock(SAMPLE) - self.empty_ms) * ORGANIZATIONS / SAMPLE

    def _checked(self, name: str, milliseconds: float, *, tenants: int) -> float:
        if (found := self.site.stock.ask("having", name)) != tenants:
            raise SystemExit(f"{found} tenants of {tenants} have the column {name}")
        return milliseconds

    def _stock(self, tenants: int | None) -> float:
        return 1000 * float(self.site.stock.ask("migrate", tenants))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        _say("starting PostgreSQL and both designs")
        site = Site(Path(folder, "site"), stack, variants="fleet_variants")
        _say("making the platforms' tables and the organizations")
        site.stock.begin("prepare")
        site.ours.ask("prepare")
        size = site.stock.finish()
        site.grow(ORGANIZATIONS)
        fleet = Fleet(site)
        fleet.measure_empty()
        fleet.no_op()
        _say(f"stock, once over all {ORGANIZATIONS} tenants")
        full = fleet.over_all()
        variants = {
            "stock_no_op": fleet.stock_no_op,
            "no_op": fleet.no_op,
            "stock_column": fleet.stock_column,
            "column": fleet.column,
            "stock_no_op_again": fleet.stock_no_op,
        }
        results = rounds(variants, count=ROUNDS, progress=_say)
        counts = {"ours": site.ours.ask("count"), "stock": site.stock.ask("count")}
    medians = {name: statistics.median(values) for name, values in results.items()}
    # Both import the same apps: the faster start is the one that less came between.
    start = min(site.ours.start_ms, site.stock.start_ms)
    report(
        name="fleet",
        figures={
            **{f"{name}_ms": round(value, 1) for name, value in medians.items()},
            "stock_over_all_ms": {what: round(value, 1) for what, value in full.items()},
            "stock_without_a_tenant_ms": round(fleet.empty_ms, 1),
            "process_start_ms": round(start, 1),
            "times_faster_with_the_start": {
                what: round((medians[f"stock_{what}"] + start) / (medians[what] + start), 1) for what in full
            },
            "organizations": counts,
            "sample": SAMPLE,
            "rounds": ROUNDS,
            "stock": size,
            "stock_against_stock": spread(results["stock_no_op"], results["stock_no_op_again"]),
        },
        ratios=[
            _times("column", results, floor=70, target=100),
            _times("no_op", results, floor=50, target=70),
            # What stock took for all of its tenants is not much less than what was made of the sample.
            *(
                Ratio(f"stock_{what}_over_all_of_scaled", full[what] / medians[f"stock_{what}"], 0.85, 0.95)
                for what in full
            ),
        ],
    )


def _times(what: str, results: dict[str, list[float]], *, floor: float, target: float) -> Ratio:
    return Ratio(
        f"{what}_times_faster_than_stock", median_ratio(results[f"stock_{what}"], results[what]), floor, target
    )


if __name__ == "__main__":
    main()
