"""Mixed requests through PgBouncer in transaction mode, whose servers belong to nobody for long.

    python -m tests.benchmarks.routing_variants.pooled THREADS REQUESTS SEED

Reads, lists, writes, transactions, savepoints that are rolled back, and cancels at random moments, of
twenty organizations in turn. Around ours, somebody else leaves paths of their own on the shared sessions;
stock sets the session's path itself, and needs nobody for that. Says in one JSON line how many requests
met another organization's rows, and what else happened. BENCH_VARIANT names the design, `ours` or `stock`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from tests.benchmarks.routing_variants import child

CANCEL_EVERY_S = 0.005
LEAVE_PATH_EVERY_S = 0.02
FIRST_OWN_ID = 1_000_000


class Wrong(Exception):
    """A request met rows that are not its organization's."""


def _expect(names: list[str], owner: str) -> None:
    """Every name in these tables begins with its owner's, or is an item of before."""
    strangers = [name for name in names if not name.startswith((f"{owner}:", "item ")) and name != owner]
    if strangers:
        raise Wrong(f"{owner} met {strangers[0]}")


def _read(owner: str, _new_id: int) -> None:
    from tests.benchmarks.routing_variants.models import Item

    _expect([Item.objects.get(pk=1).name], owner)


def _list(owner: str, _new_id: int) -> None:
    from tests.benchmarks.routing_variants.models import Item

    _expect([row.name for row in Item.objects.order_by("id")[:20]], owner)
    _expect([row.name for row in Item.objects.order_by("-id")[:5]], owner)


def _slow_read(owner: str, _new_id: int) -> None:
    """Slow enough for a cancel to meet it."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM bench_item, pg_sleep(0.004) WHERE id = 1")
        _expect([name for (name,) in cursor.fetchall()], owner)


def _write(owner: str, new_id: int) -> None:
    from tests.benchmarks.routing_variants.models import Item

    Item.objects.create(id=new_id, name=f"{owner}:{new_id}", amount_minor=1)
    _expect([row.name for row in Item.objects.filter(id=new_id)], owner)


def _transaction(owner: str, new_id: int) -> None:
    from django.db import transaction

    from tests.benchmarks.routing_variants.models import Item

    with transaction.atomic():
        _expect([Item.objects.select_for_update().get(pk=1).name], owner)
        Item.objects.create(id=new_id, name=f"{owner}:{new_id}", amount_minor=1)
        _expect([row.name for row in Item.objects.order_by("-id")[:5]], owner)


def _savepoint(owner: str, new_id: int) -> None:
    from django.db import transaction

    from tests.benchmarks.routing_variants.models import Item

    with transaction.atomic():
        try:
            with transaction.atomic():
                # The first statement stands behind the savepoint, so its rollback takes the settings too.
                Item.objects.create(id=new_id, name=f"{owner}:{new_id}", amount_minor=1)
                raise KeyError
        except KeyError:
            _expect([Item.objects.get(pk=1).name], owner)
            Item.objects.create(id=new_id, name=f"{owner}:{new_id}", amount_minor=1)


REQUESTS: tuple[Callable[[str, int], None], ...] = (_read, _slow_read, _list, _write, _transaction, _savepoint)


class Clients:
    """Threads that make requests, each as one organization after the other."""

    def __init__(self, variant: str, *, threads: int, requests: int, seed: int) -> None:
        self.entering = _entering(variant)
        self._others = [self._cancel, *([self._leave_paths] if variant == "ours" else [])]
        self.threads, self.requests, self.seed = threads, requests, seed
        self.counts: Counter[str] = Counter()
        self.example = ""
        self._lock = threading.Lock()
        self._failures: list[Exception] = []
        self._held: dict[int, Any] = {}
        self._over = threading.Event()

    def run(self) -> dict[str, object]:
        """Make them all; the counts. Raises what none of them may raise."""
        workers = [threading.Thread(target=self._work, args=[number]) for number in range(self.threads)]
        others = [threading.Thread(target=each) for each in self._others]
        for each in (*others, *workers):
            each.start()
        for each in workers:
            each.join()
        self._over.set()
        for each in others:
            each.join()
        if self._failures:
            raise ExceptionGroup("requests that should not fail like this", self._failures)
        return {**self.counts, "example": self.example}

    def _work(self, number: int) -> None:
        try:
            self._make_requests(number)
        except Exception as failure:
            # Else it would end with the thread, and the process would still report success.
            self._failures.append(failure)

    def _make_requests(self, number: int) -> None:
        from django.db import connection

        chance = random.Random(f"{self.seed}/{number}")
        share = self.requests // self.threads + (number < self.requests % self.threads)
        for turn in range(share):
            organization = chance.randrange(child.ORGANIZATIONS)
            request = chance.choice(REQUESTS)
            new_id = FIRST_OWN_ID * (1 + self.seed * self.threads + number) + turn
            outcome = self._one(request, number, organization, new_id)
            with self._lock:
                self.counts[outcome] += 1
        connection.close()

    def _one(self, request: Callable[[str, int], None], thread: int, organization: int, new_id: int) -> str:
        from django.db import DatabaseError, InterfaceError, close_old_connections, connection

        close_old_connections()
        try:
            with self.entering(organization):
                self._held[thread] = connection.connection
                request(f"o{organization}", new_id)
                return "right"
        except Wrong as wrong:
            self.example = self.example or str(wrong)
            return "wrong"
        except (DatabaseError, InterfaceError) as error:
            return _name_of(error)
        except Exception as error:
            # Rows that are missing, as in a table that is not the organization's or in none at all.
            if type(error).__name__ == "DoesNotExist":
                return "wrong"
            raise
        finally:
            close_old_connections()

    def _cancel(self) -> None:
        chance = random.Random(self.seed)
        while not self._over.wait(CANCEL_EVERY_S):
            connection = self._held.get(chance.randrange(self.threads))
            if connection is None or connection.closed:
                continue
            try:
                connection.cancel()
            except Exception:  # it ended meanwhile
                continue
            with self._lock:
                self.counts["cancels_sent"] += 1

    def _leave_paths(self) -> None:
        """What an administrator's client through the same pooler does, or SQL that somebody injected."""
        import psycopg
        from django.db import connection

        chance = random.Random(self.seed)
        parameters = {**connection.get_connection_params(), "cursor_factory": psycopg.ClientCursor}
        with psycopg.connect(**parameters, autocommit=True) as other:
            while not self._over.wait(LEAVE_PATH_EVERY_S):
                organization = f"ks_o_bench_{chance.randrange(child.ORGANIZATIONS)}"
                other.execute(f"SET search_path TO {chance.choice(['public', 'pg_temp', organization])}")
                with self._lock:
                    self.counts["paths_left"] += 1


def _name_of(error: BaseException) -> str:
    """What went wrong in a word. A table that is not found is no leak, but no right answer either."""
    return type(error.__cause__ or error).__name__


def _entering(variant: str) -> Callable[[int], AbstractContextManager[object]]:
    if variant == "ours":
        from engine.tenancy import directory
        from engine.tenancy.context import organization

        def enter(number: int) -> AbstractContextManager[object]:
            found = directory.by_host(f"o{number}.{child.BASE}")
            if found is None:
                raise RuntimeError("the benchmark's organizations are there")
            return organization(found)

        return enter
    from django_tenants.utils import schema_context

    @contextmanager
    def enter_stock(number: int) -> Iterator[None]:
        with schema_context(f"o{number}"):
            yield

    return enter_stock


def main() -> None:
    threads, requests, seed = (int(argument) for argument in sys.argv[1:])
    variant = os.environ["BENCH_VARIANT"]
    child.load(variant)
    clients = Clients(variant, threads=threads, requests=requests, seed=seed)
    began = time.perf_counter()
    counts = clients.run()
    print(json.dumps({**counts, "seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    main()
