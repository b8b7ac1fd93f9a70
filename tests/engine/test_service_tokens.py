"""A service token is taken from a known key, for its audience and its minute, and never else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from engine import service_tokens
from engine.service_tokens import InvalidServiceToken, OrganizationClaims, ServiceKeyUnusable

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()
ACME = OrganizationClaims(id=UUID(int=1), schema_name="org_1", role_name="ks_org_1")


def at(seconds: float) -> Any:
    return lambda: NOW + timedelta(seconds=seconds)


def mint(**changes: Any) -> str:
    return service_tokens.mint(
        **{
            "private_key": KEY,
            "audience": "matcher",
            "organization": ACME,
            "clock": at(0),
            **changes,
        }
    )


def verify(token: str, **changes: Any) -> OrganizationClaims:
    return service_tokens.verify(
        token,
        **{"public_keys": [KEY.public_key()], "audience": "matcher", "clock": at(0), **changes},
    )


def signed(*, claims: dict[str, Any], header: dict[str, Any] | None = None, key: Any = None) -> str:
    return jwt.encode(
        {"alg": "Ed25519", "typ": service_tokens.TYPE, **(header or {})},
        claims,
        key or OKPKey.import_key(KEY),
        algorithms=["Ed25519", "HS256"],
    )


def claims(**changes: Any) -> dict[str, Any]:
    now = int(NOW.timestamp())
    whole = {
        "aud": "matcher",
        "iat": now,
        "exp": now + 30,
        "org": str(ACME.id),
        "schema": "org_1",
        "role": "ks_org_1",
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def test_a_token_names_its_organization() -> None:
    assert verify(mint()) == ACME
    assert verify(signed(claims=claims())) == ACME


@pytest.mark.parametrize("seconds", [-6, 36, 3600])
def test_a_token_holds_in_its_time_only(seconds: int) -> None:
    with pytest.raises(InvalidServiceToken, match="not valid now"):
        verify(mint(), clock=at(seconds))


@pytest.mark.parametrize("seconds", [-4, 0, 34])
def test_clocks_may_differ_by_a_few_seconds(seconds: int) -> None:
    assert verify(mint(), clock=at(seconds)) == ACME


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(seconds=-1), timedelta(seconds=61)])
def test_no_token_is_minted_for_more_than_a_minute(lifetime: timedelta) -> None:
    with pytest.raises(ValueError):
        mint(lifetime=lifetime)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": ["matcher"]},
        {"aud": None},
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**12},
        {"iat": 0},
        {"org": None},
        {"org": "acme"},
        {"org": 5},
        {"schema": None},
        {"role": 7},
    ],
)
def test_a_token_that_lacks_something_is_refused(changes: dict[str, Any]) -> None:
    raw = claims(**changes)
    with pytest.raises(InvalidServiceToken):
        verify(signed(claims=raw))


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "keystead-gateway+jwt", "Keystead-Service+JWT", ""])
def test_a_token_of_another_type_is_refused(kind: str) -> None:
    with pytest.raises(InvalidServiceToken, match="type"):
        verify(signed(claims=claims(), header={"typ": kind}))


def test_another_key_is_refused_and_each_of_several_is_taken() -> None:
    other = Ed25519PrivateKey.generate()
    with pytest.raises(InvalidServiceToken, match="known key"):
        verify(mint(private_key=other))
    both = [other.public_key(), KEY.public_key()]
    assert verify(mint(), public_keys=both) == verify(mint(private_key=other), public_keys=both)


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    raw = KEY.public_key().public_bytes_raw()
    forged = signed(claims=claims(), header={"alg": "HS256"}, key=OctKey.import_key(raw))
    with pytest.raises(InvalidServiceToken):
        verify(forged)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", mint()[:-4], "é" * 10, "\ud800.a.b"])
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(InvalidServiceToken):
        verify(token)


def test_key_files_are_made_and_read(tmp_path: Path) -> None:
    private, public = tmp_path / "service.pem", tmp_path / "service.pub.pem"
    service_tokens.create_key_pair(private_path=private, public_path=public)
    assert private.stat().st_mode & 0o777 == 0o600
    token = mint(private_key=service_tokens.load_private_key(private))
    assert verify(token, public_keys=service_tokens.load_public_keys(public)) == ACME
    with pytest.raises(FileExistsError):
        service_tokens.create_key_pair(private_path=private, public_path=public)
    more = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(public.read_bytes() + more)
    assert len(service_tokens.load_public_keys(public)) == 2


def test_key_files_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    private, public = tmp_path / "service.pem", tmp_path / "service.pub.pem"
    service_tokens.create_key_pair(private_path=private, public_path=public)
    private.chmod(0o644)
    with pytest.raises(ServiceKeyUnusable, match="chmod 600"):
        service_tokens.load_private_key(private)
    private.chmod(0o600)
    with pytest.raises(ServiceKeyUnusable, match="no PEM"):
        service_tokens.load_public_keys(private)
    with pytest.raises(ServiceKeyUnusable, match="cannot be read"):
        service_tokens.load_private_key(tmp_path / "none.pem")
    ec = generate_private_key(SECP256R1())
    private.write_bytes(
        ec.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        ec.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    for load in (service_tokens.load_private_key, service_tokens.load_public_keys):
        with pytest.raises(ServiceKeyUnusable, match=r"not.*Ed25519"):
            load(private if load is service_tokens.load_private_key else public)
    private.write_text("nonsense")
    with pytest.raises(ServiceKeyUnusable, match="PEM private key"):
        service_tokens.load_private_key(private)
    public.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(ServiceKeyUnusable, match="broken"):
        service_tokens.load_public_keys(public)
