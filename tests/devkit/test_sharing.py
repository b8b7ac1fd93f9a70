"""Several test processes, one pair of servers."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import redis

from devkit.servers import EmbeddedFailed
from devkit.sharing import shared_embedded
from tests.devkit.processes import Who, await_nothing, line_of, mentioning, program

pytestmark = pytest.mark.processes

JOIN = """
import sys, time
from pathlib import Path
from devkit.sharing import shared_embedded
with shared_embedded(Path(sys.argv[1])) as servers:
    print("READY", servers.postgres_url, servers.redis_url, flush=True)
    sys.argv[2] == "hold" and time.sleep(600)
"""


def test_users_share_and_the_last_one_ends_it(tmp_path: Path, who_ever: Who) -> None:
    with ExitStack() as stack:
        users = [stack.enter_context(program(JOIN, tmp_path, "hold", who=who_ever)) for _ in range(3)]
        urls = {line_of(user, "READY") for user in users}
        assert len(urls) == 1
        postgres_url, redis_url = urls.pop().split()
        for user, end in zip(users, (signal.SIGKILL, signal.SIGINT, signal.SIGTERM), strict=True):
            with psycopg.connect(postgres_url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            assert redis.Redis.from_url(redis_url).ping()
            user.send_signal(end)
            user.wait(30)
    assert await_nothing(str(tmp_path)) == []


def test_leaving_ends_it_before_it_returns(tmp_path: Path, who_ever: Who) -> None:
    with shared_embedded(tmp_path) as first, program(JOIN, tmp_path, "return", who=who_ever) as user:
        assert line_of(user, "READY").split()[0] == first.postgres_url
        user.wait(30)
        with psycopg.connect(first.postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert mentioning(str(tmp_path)) == []
    with shared_embedded(tmp_path) as second:
        assert second == first
    assert mentioning(str(tmp_path)) == []


def test_killed_keeper_takes_its_servers_along_and_the_next_user_starts_anew(tmp_path: Path) -> None:
    with shared_embedded(tmp_path) as first:
        keeper = int((tmp_path / "keeper.lock").read_text())
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        with shared_embedded(tmp_path) as second, psycopg.connect(second.postgres_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert second == first
    assert await_nothing(str(tmp_path)) == []


def test_failure_to_start_is_told_to_the_user(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedFailed, match="holds PostgreSQL 17"), shared_embedded(tmp_path):
        pytest.fail("joined servers that cannot exist")
    assert mentioning(str(tmp_path)) == []
