"""Who is told what."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from devkit.configuration import (
    Configuration,
    Databases,
    Ports,
    SettingsContradict,
    embedded_databases,
    given_databases,
)
from engine import service_tokens

PORTS = Ports(api=18000, gateway=18001, matcher=18100, sandbox=18300)
DATABASES = Databases(app="postgresql://ks_app@h/d", owner="postgresql://ks_owner@h/d", admin=None)
PROCESSES = ("api", "gateway", "worker", "relay", "provisioner", "matcher", "sandbox")


def make(folder: Path, environ: dict[str, str] | None = None, settings: dict[str, str] | None = None) -> Configuration:
    return Configuration.make(
        folder,
        ports=PORTS,
        databases=DATABASES,
        redis_url="redis://h/0",
        environ=environ or {},
        settings=settings or {},
    )


def test_only_the_provisioner_holds_the_owners_login(tmp_path: Path) -> None:
    made = make(tmp_path)
    for name in PROCESSES:
        values = made.environment(name, owner=name == "provisioner").values()
        assert (DATABASES.owner in values) == (name == "provisioner")


def test_only_the_matcher_is_told_of_the_biometric_key(tmp_path: Path) -> None:
    made = make(tmp_path)
    biometric = made.environment("matcher")["KEYSTEAD_KMS_URL"]
    for name in PROCESSES:
        told = [value for value in made.environment(name).values() if str(tmp_path / "kms" / "biometric") in value]
        assert told == ([biometric] if name == "matcher" else [])
    matcher = made.environment("matcher")
    for secret in ("KEYSTEAD_SECRET_KEY", "KEYSTEAD_SERVICE_KEY_FILE", "KEYSTEAD_REDIS_URL"):
        assert secret not in matcher


def test_callers_environment_does_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYSTEAD_OWNER_DATABASE_URL", "postgresql://somebody@else/where")
    monkeypatch.setenv("OTHER", "kept")
    environment = make(tmp_path).environment("api")
    assert "KEYSTEAD_OWNER_DATABASE_URL" not in environment
    assert environment["OTHER"] == "kept"
    assert environment["KEYSTEAD_PROCESS"] == "api"


def test_given_settings_replace_ours(tmp_path: Path) -> None:
    environ = {
        "KEYSTEAD_BASE_URL": "https://keystead.example",
        "KEYSTEAD_LOG_LEVEL": "DEBUG",
        "KEYSTEAD_MATCHER_KMS_URL": "aws://eu-central-1?key_id=b",
        "KEYSTEAD_MATCHER_MEMORY_MB": "64",
        "UNRELATED": "x",
    }
    made = make(tmp_path, environ, {"KEYSTEAD_LOG_LEVEL": "ERROR"})
    assert made.base_url == "https://keystead.example"
    api, matcher = made.environment("api"), made.environment("matcher")
    assert api["KEYSTEAD_LOG_LEVEL"] == "ERROR"
    assert "UNRELATED" not in made.common
    assert matcher["KEYSTEAD_KMS_URL"] == "aws://eu-central-1?key_id=b"
    assert matcher["KEYSTEAD_MATCHER_MEMORY_MB"] == "64"


def test_secrets_are_kept_and_closed_to_others(tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path)
    assert first == second
    logins = embedded_databases(tmp_path, admin="postgresql://postgres:word@127.0.0.1:5/postgres")
    assert logins == embedded_databases(tmp_path, admin="postgresql://postgres:word@127.0.0.1:5/postgres")
    assert logins.app.endswith("@127.0.0.1:5/keystead")
    secret_files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "service.pub.pem"]
    assert len(secret_files) == 6
    for path in secret_files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, path
    assert len((tmp_path / "secrets" / "secret_key").read_text().strip()) >= 32


def test_service_keys_belong_together_also_after_an_interrupted_start(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(parents=True)
    (tmp_path / "secrets" / "service.pub.pem").write_text("half a key")
    made = make(tmp_path)
    private = service_tokens.load_private_key(Path(made.common["KEYSTEAD_SERVICE_KEY_FILE"]))
    public = service_tokens.load_public_keys(Path(made.matcher["KEYSTEAD_MATCHER_SERVICE_PUBLIC_KEY_FILE"]))
    assert [private.public_key()] == list(public)


def test_ports_are_chosen_once(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = Ports.remembered(file, preferred=None)
    assert len({first.api, first.gateway, first.matcher, first.sandbox}) == 4
    assert Ports.remembered(file, preferred=PORTS) == first
    file.write_text("{}")
    assert Ports.remembered(file, preferred=PORTS) == PORTS


@pytest.mark.parametrize("missing", ["KEYSTEAD_DATABASE_URL", "KEYSTEAD_OWNER_DATABASE_URL"])
def test_half_a_database_is_refused(missing: str) -> None:
    environ = {
        "KEYSTEAD_DATABASE_URL": "postgresql://ks_app@h/d",
        "KEYSTEAD_OWNER_DATABASE_URL": "postgresql://ks_owner@h/d",
        "KEYSTEAD_ADMIN_DATABASE_URL": "postgresql://postgres@h/d",
    }
    assert given_databases(environ) == Databases(*(environ[name] for name in environ))
    del environ[missing]
    with pytest.raises(SettingsContradict, match="needs both"):
        given_databases(environ)
    assert given_databases({"HOME": os.sep}) is None


def test_in_login_mode_every_process_can_derive_the_logins(tmp_path: Path) -> None:
    made = make(tmp_path, {"KEYSTEAD_ISOLATION": "login"})
    told = {name: made.environment(name)["KEYSTEAD_LOGIN_SECRET"] for name in PROCESSES}
    assert len(set(told.values())) == 1
    assert made.environment("matcher")["KEYSTEAD_ISOLATION"] == "login"
    assert "KEYSTEAD_LOGIN_SECRET" not in make(tmp_path).environment("api")
