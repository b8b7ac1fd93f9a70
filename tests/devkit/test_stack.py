"""The real processes of the platform, started, killed and started again."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from devkit.configuration import SettingsContradict
from devkit.stack import Stack
from devkit.supervisor import ProcessFailed
from tests.devkit.processes import Who, await_nothing, line_of, mentioning, program

pytestmark = [pytest.mark.processes, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder that the first test prepares and the next ones use again."""
    return tmp_path_factory.mktemp("stack")


def ask(stack: Stack, host: str, path: str = "/") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", stack.ports.api, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def test_stack_comes_up_survives_kills_and_starts_again_from_its_folder(folder: Path) -> None:
    said: list[str] = []
    names = ("api", "worker", "relay")
    with Stack(folder, processes=names, volatile=True, tell=said.append).up() as stack:
        assert any("PostgreSQL cluster" in line for line in said)
        assert "bringing tables up to date" in said
        assert stack.cli("plan", "create", "standard").startswith("plan_")
        assert ask(stack, "nobody.localhost") == 404
        for name in (*names, "valkey", "postgres"):
            before = stack.pid(name)
            stack.kill(name)
            assert not stack.alive(name)
            stack.restart(name)
            assert stack.alive(name)
            assert stack.pid(name) != before
        assert stack.fallen() == []
        assert redis.Redis.from_url(stack.redis_url).ping()
        assert ask(stack, "nobody.localhost") == 404
        with pytest.raises(ProcessFailed, match="No such command"):
            stack.cli("plan", "invent")
        base_url = stack.base_url
        assert stack.url("acme") == base_url.replace("//", "//acme.")
        assert stack.gateway_url("acme").startswith("ws://acme.localhost:")
    assert mentioning(str(folder)) == []
    said.clear()
    with Stack(folder, processes=("relay",), volatile=True, tell=said.append).up() as stack:
        assert stack.base_url == base_url
        assert "bringing tables up to date" not in said
        assert _plans(stack.databases.admin) == [("standard",)]
    assert mentioning(str(folder)) == []


def _plans(url: str | None) -> list[tuple[Any, ...]]:
    assert url is not None
    with psycopg.connect(url, dbname="keystead") as connection:
        return connection.execute("SELECT code FROM public.plans_plan").fetchall()


UP = """
import sys, time
from pathlib import Path
from devkit.stack import Stack
with Stack(Path(sys.argv[1]), processes=("worker", "relay"), volatile=True).up() as stack:
    print("READY", flush=True)
    while True:
        time.sleep(1)
"""


def test_nothing_survives_the_stack(folder: Path, who_ever: Who) -> None:
    with program(UP, folder, who=who_ever) as process:
        line_of(process, "READY")
        assert len(mentioning(str(folder))) > 5
        process.kill()
        process.wait(60)
        assert await_nothing(str(folder)) == []


def test_failed_start_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    broken = Stack(tmp_path, processes=("relay",), volatile=True, settings={"KEYSTEAD_BASE_URL": "nonsense"})
    with pytest.raises(ProcessFailed, match="KEYSTEAD_BASE_URL"):
        broken.up()
    assert mentioning(str(tmp_path)) == []
    with pytest.raises(ProcessFailed, match="not up"):
        broken.kill("relay")


def test_contradictory_settings_stop_the_start_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsContradict):
        Stack(tmp_path, environ={"KEYSTEAD_DATABASE_URL": "postgresql://ks_app@127.0.0.1:1/d"}).up()
    assert list(tmp_path.iterdir()) == []


def test_servers_of_the_callers_own_are_used(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with Stack(theirs, processes=(), volatile=True).up() as real:
        environ = {
            "KEYSTEAD_DATABASE_URL": real.databases.app,
            "KEYSTEAD_OWNER_DATABASE_URL": real.databases.owner,
            "KEYSTEAD_ADMIN_DATABASE_URL": real.databases.admin or "",
            "KEYSTEAD_REDIS_URL": real.redis_url,
        }
        with Stack(ours, processes=("relay",), environ=environ).up() as stack:
            assert stack.alive("relay")
            assert stack.databases == real.databases
            assert not (ours / "postgres").exists()
            assert not (ours / "valkey").exists()
        assert real.alive("postgres")
    assert mentioning(str(tmp_path)) == []
