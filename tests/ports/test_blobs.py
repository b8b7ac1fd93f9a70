"""The contract of a blob store, and of the erasure journal, over every adapter."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from engine.blobs.erasures import Erasure, ErasureJournal, JournalBroken
from engine.blobs.store import (
    BlobExists,
    BlobNotFound,
    BlobStore,
    BlobStoreFailed,
    BlobUrlInvalid,
    open_store,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["file"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    folder = tmp_path / "blobs with space"
    folder.mkdir()
    return f"{request.param}://{str(folder).replace(' ', '%20')}"


@pytest.fixture
def store(store_url: str) -> BlobStore:
    return open_store(store_url)


def test_what_is_written_is_read(store: BlobStore) -> None:
    store.write("a/b/c.json", b"\x00content")
    assert store.read("a/b/c.json") == b"\x00content"
    store.write("a/empty", b"")
    assert store.read("a/empty") == b""


def test_nothing_is_overwritten(store: BlobStore) -> None:
    store.write("a/b", b"first")
    with pytest.raises(BlobExists):
        store.write("a/b", b"second")
    assert store.read("a/b") == b"first"
    assert list(store.names("")) == ["a/b"]


def test_names_are_listed_by_prefix_in_order(store: BlobStore) -> None:
    for name in ("b/2", "a/10", "a/2", "ab/1", "a/c/1"):
        store.write(name, b"")
    assert list(store.names("a/")) == ["a/10", "a/2", "a/c/1"]
    assert list(store.names("")) == ["a/10", "a/2", "a/c/1", "ab/1", "b/2"]
    assert list(store.names("nothing/")) == []


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a/.b", "A", "a b", "a\n", "x" * 200])
def test_a_name_that_not_every_store_can_hold_is_refused(store: BlobStore, name: str) -> None:
    with pytest.raises(ValueError):
        store.write(name, b"")
    with pytest.raises(ValueError):
        store.read(name)


@pytest.mark.parametrize("prefix", ["a", "/", "../", "a//", "A/"])
def test_a_prefix_ends_a_folder(store: BlobStore, prefix: str) -> None:
    with pytest.raises(ValueError):
        list(store.names(prefix))


def test_a_missing_blob_says_so(store: BlobStore) -> None:
    store.write("a/b", b"")
    for name in ("a/c", "a", "a/b/c"):
        with pytest.raises(BlobNotFound):
            store.read(name)


def race(url: str, number: int, barrier: object) -> None:
    """One of several processes that write the same name at once; exit status 0 for the winner."""
    store = open_store(url)
    barrier.wait()
    try:
        store.write("race/one", str(number).encode() * 1000)
    except BlobExists:
        raise SystemExit(3) from None


def test_of_several_processes_that_write_one_name_one_wins(store_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    racers = [context.Process(target=race, args=(store_url, n, barrier)) for n in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(racer.exitcode or 0 for racer in racers) == [0, 3, 3, 3]
    winner = next(n for n, racer in enumerate(racers) if racer.exitcode == 0)
    assert open_store(store_url).read("race/one") == str(winner).encode() * 1000


@pytest.mark.parametrize("url", ["", "s3://bucket", "file://host/x", "file:///no/such/folder", "file:///tmp?x=1"])
def test_a_url_that_names_no_store_says_so(url: str) -> None:
    with pytest.raises(BlobUrlInvalid):
        open_store(url)


def test_a_store_that_cannot_write_fails_loudly(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where a folder belongs")
    with pytest.raises(BlobStoreFailed):
        open_store(f"file://{tmp_path}").write("a/b", b"")


def test_the_journal_keeps_the_first_entry_of_a_person(store: BlobStore) -> None:
    journal = ErasureJournal(store)
    erasure = Erasure(organization_id=uuid4(), person_id=uuid4(), erased_at=NOW)
    journal.record(erasure)
    journal.record(Erasure(erasure.organization_id, erasure.person_id, NOW.replace(year=2027)))
    other = Erasure(organization_id=uuid4(), person_id=erasure.person_id, erased_at=NOW)
    journal.record(other)
    assert list(journal.of_organization(erasure.organization_id)) == [erasure]
    assert list(journal.of_organization(other.organization_id)) == [other]
    assert list(journal.of_organization(UUID(int=0))) == []


def test_a_journal_that_cannot_be_read_is_not_passed_over(store: BlobStore) -> None:
    organization_id = uuid4()
    store.write(f"erasures/{organization_id}/{uuid4()}.json", b"{}")
    with pytest.raises(JournalBroken):
        list(ErasureJournal(store).of_organization(organization_id))


def test_a_journal_entry_that_speaks_of_another_person_is_broken(store: BlobStore) -> None:
    journal = ErasureJournal(store)
    erasure = Erasure(organization_id=uuid4(), person_id=uuid4(), erased_at=NOW)
    journal.record(erasure)
    content = store.read(f"erasures/{erasure.organization_id}/{erasure.person_id}.json")
    store.write(f"erasures/{erasure.organization_id}/{uuid4()}.json", content)
    with pytest.raises(JournalBroken, match="another person"):
        list(journal.of_organization(erasure.organization_id))
