"""The connections of one process in login mode: a small pool for each login, bounded together.

Who is asked for often keeps connections; who is not loses them to the others, the least recently
used login first. A thread holds one connection at a time, so the bound is reached only by threads.
"""

from __future__ import annotations

import select
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Condition, Thread, current_thread
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq

Connection = psycopg.Connection[Any]
Key = tuple[str, ...]


class PoolExhausted(psycopg.OperationalError):
    """Every connection that this process may have is in use."""


class Pools:
    """At most `connections_max` connections, kept by the login that they belong to."""

    def __init__(self, *, connections_max: int, idle_seconds: float, wait_seconds: float = 5.0) -> None:
        self._connections_max = connections_max
        self._idle_seconds = idle_seconds
        self._wait_seconds = wait_seconds
        self._changed = Condition()
        # The least recently used login first; in each, the connection that was given back last is last.
        self._idle: OrderedDict[Key, deque[tuple[Connection, float]]] = OrderedDict()
        self._idle_count = 0
        # By whom: a thread that ended without giving back must not take its share along. Weak, as Python
        # does not notice the end of a thread that it has not started.
        self._held: WeakKeyDictionary[Connection, Thread] = WeakKeyDictionary()
        self._opening = 0
        self._reaper: Thread | None = None

    def take(self, key: Key, connect: Callable[[], Connection]) -> Connection:
        """An idle connection of this login, or a new one by `connect`. Raises PoolExhausted after a while."""
        while (found := self._idle_or_leave(key)) is not None:
            if not _lost(found):
                return found
            self.forget(found)
            found.close()
        try:
            opened = connect()
            with self._changed:
                self._held[opened] = current_thread()
            return opened
        finally:
            with self._changed:
                self._opening -= 1
                self._changed.notify()

    def give_back(self, key: Key, connection: Connection) -> None:
        """Keep `connection` for the next who asks for this login, unless it is of no more use."""
        usable = not connection.closed and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        with self._changed:
            self._held.pop(connection, None)
            if usable:
                self._idle.setdefault(key, deque()).append((connection, time.monotonic()))
                self._idle.move_to_end(key)
                self._idle_count += 1
                self._watch()
            self._changed.notify()
        if not usable:
            connection.close()

    def forget(self, connection: Connection) -> None:
        """Count no longer on a connection that its holder closes."""
        with self._changed:
            self._held.pop(connection, None)
            self._changed.notify()

    def close(self) -> None:
        """Close every idle connection."""
        self._close_idle_since(float("inf"))

    def sizes(self) -> dict[Key, int]:
        """How many idle connections each login has, the least recently used first."""
        with self._changed:
            return {key: len(connections) for key, connections in self._idle.items()}

    def _idle_or_leave(self, key: Key) -> Connection | None:
        """An idle connection, which is then held; None with the leave to open one."""
        deadline = time.monotonic() + self._wait_seconds
        victim: Connection | None = None
        with self._changed:
            while True:
                if key in self._idle:
                    connection = self._pop(key, newest=True)
                    self._held[connection] = current_thread()
                    return connection
                if len(self._held) + self._opening + self._idle_count < self._connections_max:
                    break
                if victim := self._left_behind():
                    del self._held[victim]
                    break
                if self._idle:
                    victim = self._pop(next(iter(self._idle)), newest=False)
                    break
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise PoolExhausted(
                        f"all {self._connections_max} connections of this process are in use:"
                        " KEYSTEAD_LOGIN_CONNECTIONS is less than its threads"
                    )
            self._opening += 1
        if victim is not None:
            victim.close()
        return None

    def _left_behind(self) -> Connection | None:
        """A connection whose thread has ended."""
        return next((connection for connection, thread in self._held.items() if not thread.is_alive()), None)

    def _pop(self, key: Key, *, newest: bool) -> Connection:
        connections = self._idle[key]
        connection, _ = connections.pop() if newest else connections.popleft()
        if not connections:
            del self._idle[key]
        self._idle_count -= 1
        return connection

    def _watch(self) -> None:
        """Have a thread close what stays idle. It ends when nothing is left, and does not survive a fork."""
        if self._reaper is None or not self._reaper.is_alive():
            self._reaper = Thread(target=self._reap, name="keystead-pools", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        while True:
            time.sleep(self._idle_seconds / 4)
            self._close_idle_since(time.monotonic() - self._idle_seconds)
            with self._changed:
                if not self._idle:
                    self._reaper = None
                    return

    def _close_idle_since(self, latest: float) -> None:
        unused: list[Connection] = []
        with self._changed:
            for key in list(self._idle):
                while key in self._idle and self._idle[key][0][1] <= latest:
                    unused.append(self._pop(key, newest=False))
            self._changed.notify_all()
        for connection in unused:
            connection.close()


def _lost(connection: Connection) -> bool:
    """Whether the server has closed an idle connection: nothing else is to be read on one."""
    if connection.closed:
        return True
    watch = select.poll()
    watch.register(connection.pgconn.socket, select.POLLIN)
    return bool(watch.poll(0))
