"""What only the file adapter has: files, modes, and the command that makes and changes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.keys.__main__ import main
from engine.keys.adapters.file import (
    FileKms,
    KeyExists,
    KeyFileUnsafe,
    create_key,
    destroy_key,
    set_state,
)
from engine.keys.kms import KmsKeyNotFound, KmsKeyUnusable, KmsUrlInvalid, open_kms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_file_is_closed_to_others_and_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "kms"
    create_key(folder)
    file = folder / "platform.json"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    with pytest.raises(KeyExists):
        create_key(folder)
    assert file.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["platform.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_file_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    create_key(tmp_path)
    (tmp_path / "platform.json").chmod(mode)
    with pytest.raises(KeyFileUnsafe, match="chmod 600"):
        FileKms(tmp_path).generate_wrapped_key(key_id="platform", context={})


@pytest.mark.parametrize(
    "change",
    [
        {"material": "c2hvcnQ="},
        {"material": "%%%"},
        {"state": "retired"},
        {"id": "other"},
        {"created_at": "yesterday"},
    ],
)
def test_a_damaged_key_file_is_not_used(tmp_path: Path, change: dict[str, str]) -> None:
    create_key(tmp_path)
    file = tmp_path / "platform.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(KeyFileUnsafe):
        FileKms(tmp_path).state(key_id="platform")


@pytest.mark.parametrize("content", ["", "[]", "{}", "nonsense"])
def test_a_file_that_is_no_key_is_not_used(tmp_path: Path, content: str) -> None:
    create_key(tmp_path)
    (tmp_path / "platform.json").write_text(content)
    with pytest.raises(KeyFileUnsafe):
        FileKms(tmp_path).state(key_id="platform")


@pytest.mark.parametrize("key_id", ["../platform", "a/b", "", "Platform", "x" * 64, ".hidden"])
def test_the_name_of_a_key_cannot_leave_the_folder(tmp_path: Path, key_id: str) -> None:
    create_key(tmp_path)
    with pytest.raises(KmsKeyNotFound):
        FileKms(tmp_path / "sub").state(key_id=key_id)
    with pytest.raises(ValueError):
        create_key(tmp_path, key_id)


def test_a_key_is_destroyed_only_after_its_waiting_time(tmp_path: Path) -> None:
    create_key(tmp_path)
    with pytest.raises(KmsKeyUnusable):
        destroy_key(tmp_path, "platform", now=NOW)
    set_state(tmp_path, "platform", "pending_deletion", deletion_at=NOW + timedelta(days=7))
    with pytest.raises(KmsKeyUnusable):
        destroy_key(tmp_path, "platform", now=NOW + timedelta(days=6))
    destroy_key(tmp_path, "platform", now=NOW + timedelta(days=7))
    with pytest.raises(KmsKeyNotFound):
        FileKms(tmp_path).state(key_id="platform")


def test_a_deletion_needs_its_time_and_nothing_else_has_one(tmp_path: Path) -> None:
    create_key(tmp_path)
    with pytest.raises(ValueError):
        set_state(tmp_path, "platform", "pending_deletion")
    with pytest.raises(ValueError):
        set_state(tmp_path, "platform", "enabled", deletion_at=NOW)
    with pytest.raises(ValueError):
        set_state(tmp_path, "platform", "unavailable")


@pytest.mark.parametrize(
    "url",
    [
        "vault://x",
        "",
        "file://relative/x",
        "file:///no/such/folder",
        "aws://eu-central-1",
        "aws://?key_id=x",
    ],
)
def test_a_url_that_names_no_kms_says_so(url: str) -> None:
    with pytest.raises(KmsUrlInvalid):
        open_kms(url)


def test_a_url_names_the_default_key(tmp_path: Path) -> None:
    assert open_kms(f"file://{tmp_path}").default_key_id == "platform"
    assert open_kms(f"file://{tmp_path}?key_id=biometric").default_key_id == "biometric"
    with pytest.raises(KmsUrlInvalid):
        open_kms(f"file://{tmp_path}?key_id=../x")


def test_the_command_leads_a_key_through_its_life(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "kms")
    assert main(["create", folder, "biometric"]) == 0
    assert f"KEYSTEAD_KMS_URL=file://{folder}?key_id=biometric" in capsys.readouterr().out
    for verb, said in (
        ("disable", "disabled"),
        ("enable", "enabled"),
        ("schedule-deletion", "pending_deletion"),
        ("show", "pending_deletion"),
    ):
        assert main([verb, folder, "biometric"]) == 0
        assert f"biometric is {said}" in capsys.readouterr().out
    assert main(["destroy", folder, "biometric"]) == 1
    assert "pending_deletion" in capsys.readouterr().err
    assert main(["create", folder, "biometric"]) == 1
    assert main(["show", folder, "nothing"]) == 1
    assert capsys.readouterr().out == ""
