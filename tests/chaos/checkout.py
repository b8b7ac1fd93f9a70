"""kill -9 of every process, and of Valkey, in the middle of checkouts: `make chaos NAME=checkout`.

Terminals do what terminals do: they send the same signed frame until they have a final answer, over
as many connections as that takes. The provider refuses some charges, and cuts some connections after
it has taken the money. Afterwards the platform's books, the provider's and the back office's are
compared. SEED=n repeats the choices of a run; CHECKOUTS=n changes its size.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2

from devkit.demo.receiver import Receiver
from devkit.stack import Stack
from keystead import CheckoutResult, ConnectionFailed, Device, GatewayError, KeysteadError
from keystead.types import Checkout
from tests.chaos.report import Report, seed
from tests.chaos.shop import Person, Shop, open_shop, set_faults, sign_checkout

VICTIMS = ("worker", "relay", "gateway", "api", "matcher", "valkey")
FINAL = {"approved", "declined", "not_recognised", "confirmation_required", "expired"}
SETTLE_S = 240.0
# Longer than a probe stays fresh would be a real refusal, not a crash's doing.
PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    checkouts: int
    devices: int
    people: int
    kills_per_victim: int
    pause_s: float
    pace_s: float
    """Between two people at one terminal, so that there is a middle to kill things in."""


def run(*, size: Size, number: int, state_dir: Path, say: bool = True) -> Report:
    """One run, from an empty platform to the comparison of the books."""
    report = Report(name="checkout", seed=number)
    chance = random.Random(number)
    tell = _say if say else _silent
    tell(f"seed {number}")
    with Stack(state_dir, volatile=True, tell=tell).up() as stack, Receiver().listening() as back_office:
        slug = f"shop-{number:08x}"
        shop = open_shop(stack, slug=slug, people=size.people, devices=size.devices, back_office=back_office)
        set_faults(stack, slug=slug, account=0, faults=[{"kind": "decline", "rate": 0.15}])
        set_faults(stack, slug=slug, account=1, faults=[{"kind": "drop_after", "rate": 0.10}])
        tell("checkouts begin")
        results, killed = _under_fire(stack, shop, size, chance, tell)
        tell("settling")
        _compare(report, stack, shop, back_office, results, size)
        report.promise("every process and Valkey was killed", set(killed) == set(VICTIMS), figure=dict(killed))
        report.counts |= {"checkouts": size.checkouts, "kills": sum(killed.values()), "results": _outcomes(results)}
        shop.close()
    return report


def _under_fire(
    stack: Stack, shop: Shop, size: Size, chance: random.Random, tell: Callable[[str], None]
) -> tuple[dict[tuple[str, int], CheckoutResult | None], Counter[str]]:
    orders: dict[Device, list[tuple[int, Person, int]]] = {device: [] for device in shop.devices}
    for turn in range(size.checkouts):
        device = shop.devices[turn % len(shop.devices)]
        orders[device].append((turn // len(shop.devices) + 1, chance.choice(shop.people), 100 + turn))
    over = threading.Event()
    killed: Counter[str] = Counter()
    killer = threading.Thread(target=_kill, args=(stack, size, random.Random(chance.random()), over, killed))
    with ThreadPoolExecutor(len(orders)) as tills:
        killer.start()
        futures = {device: tills.submit(_stand, device, queue, size.pace_s) for device, queue in orders.items()}
        results = {
            (device.id, sequence): result
            for device, future in futures.items()
            for sequence, result in future.result().items()
        }
    over.set()
    killer.join()
    return results, killed


def _kill(stack: Stack, size: Size, chance: random.Random, over: threading.Event, killed: Counter[str]) -> None:
    """Kill everything in turn and bring it back, for as long as there is anything to disturb."""
    rounds = [name for _ in range(size.kills_per_victim) for name in chance.sample(VICTIMS, len(VICTIMS))]
    for name in rounds:
        # The first round is gone through in any case: whatever is left then is killed while things settle.
        if over.wait(size.pause_s * (0.5 + chance.random())) and len(killed) == len(VICTIMS):
            return
        stack.kill(name, signal.SIGKILL)
        killed[name] += 1
        stack.restart(name)


def _stand(device: Device, queue: list[tuple[int, Person, int]], pace_s: float) -> dict[int, CheckoutResult | None]:
    """One terminal works off its queue."""
    results = {}
    for sequence, person, amount_minor in queue:
        frame = sign_checkout(device, person, sequence=sequence, amount_minor=amount_minor)
        results[sequence] = _insist(device, frame)
        time.sleep(pace_s)
    return results


def _insist(device: Device, frame: dict[str, object]) -> CheckoutResult | None:
    """Send the same frame until a final answer comes; every other one over a new connection."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with device.connect(timeout_s=15) as session:
                session.submit(frame)
            with device.connect(timeout_s=15) as session:
                again = session.submit(frame)
            if again.is_final:
                return again
        except (ConnectionFailed, GatewayError):
            time.sleep(0.2)
    return None


def _compare(
    report: Report,
    stack: Stack,
    shop: Shop,
    back_office: Receiver,
    results: dict[tuple[str, int], CheckoutResult | None],
    size: Size,
) -> None:
    rows = _settled(shop)
    by_key = {(row.device, row.sequence): row for row in rows}
    report.promise(
        "every checkout is terminal",
        len(rows) == size.checkouts and all(row.state in FINAL for row in rows),
        figure=dict(Counter(row.state for row in rows)),
    )
    told = {key: result for key, result in results.items() if result is not None}
    report.promise(
        "every terminal was told what the books say",
        len(told) == size.checkouts
        and all(key in by_key and by_key[key].state == result.status for key, result in told.items()),
        figure=len(told),
    )
    charges = httpx2.get(f"{stack.sandbox_url}/_control/charges", timeout=30).json()["data"]
    ours = Counter(row["metadata"].get("payment") for row in charges)
    paid = {row.payment: row.amount_minor for row in rows if row.state == "approved"}
    amounts = {row["metadata"].get("payment"): row["amount"] for row in charges}
    report.promise(
        "who was approved was charged exactly once, and nobody else",
        set(ours) == set(paid) and set(ours.values()) <= {1} and all(amounts[key] == paid[key] for key in paid),
        figure={"charges": len(charges), "approved": len(paid), "twice": sum(n > 1 for n in ours.values())},
    )
    report.promise("most checkouts were approved", len(paid) > size.checkouts // 2, figure=len(paid))
    balances = [account.balance for account in shop.app.ledger.accounts()]
    debits, credits = (sum(one[f"{side}_posted_minor"] for one in balances) for side in ("debits", "credits"))
    report.promise("the ledger balances", debits == credits, figure={"debits": debits, "credits": credits})
    missing, events = _undelivered(shop, back_office)
    report.promise(
        "every webhook arrived at least once",
        not missing and events > 0,
        figure={"events": events, "missing": len(missing)},
    )
    numbers = [event.sequence for event in shop.app.events.since(0)]
    report.promise("events are numbered without gaps", numbers == list(range(1, len(numbers) + 1)), figure=len(numbers))


def _settled(shop: Shop) -> list[Checkout]:
    deadline = time.monotonic() + SETTLE_S
    while True:
        rows = list(shop.app.checkouts.list())
        if all(row.state in FINAL for row in rows) or time.monotonic() > deadline:
            return rows
        time.sleep(1)


def _undelivered(shop: Shop, back_office: Receiver) -> tuple[set[str], int]:
    """Events that the endpoint subscribed to and never got; and how many there were."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        wanted = {event.id for event in shop.app.events.since(0) if event.type.split(".")[0] in ("payment", "checkout")}
        got = {str(one.verified(shop.secret)["id"]) for one in back_office.arrived}
        if wanted <= got or time.monotonic() > deadline:
            return wanted - got, len(wanted)
        time.sleep(1)


def _outcomes(results: dict[tuple[str, int], CheckoutResult | None]) -> dict[str, int]:
    return dict(Counter(result.status if result else "no final answer" for result in results.values()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """For the run inside the test suite."""


def main() -> None:
    size = Size(
        checkouts=int(os.environ.get("CHECKOUTS", "200")),
        devices=8,
        people=40,
        kills_per_victim=6,
        pause_s=2.0,
        pace_s=3.0,
    )
    with tempfile.TemporaryDirectory(prefix="keystead-chaos-") as folder:
        try:
            report = run(size=size, number=seed(), state_dir=Path(folder))
        except KeysteadError as error:
            _say(f"the run broke off: {error}")
            raise
    report.end()


if __name__ == "__main__":
    main()
