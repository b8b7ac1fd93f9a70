"""`keystead operator ...` in the order of docs/operators.md."""

from __future__ import annotations

import pytest

from config import terminal
from config.cli import keystead
from shared.operators.services import LastAdmin
from tests.factories import operators
from tests.factories.access import PASSWORD

EMAIL = "ada@platform.example"


def _run(*words: str) -> None:
    keystead(["operator", *words], standalone_mode=False)


@pytest.mark.usefixtures("db")
def test_an_operators_life(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever the terminal that runs the tests: nothing is folded.
    monkeypatch.setattr(terminal.out, "width", 250)
    monkeypatch.setenv("KEYSTEAD_OPERATOR_PASSWORD", PASSWORD)
    operators.operator("admin")

    def said(*words: str) -> str:
        _run(*words)
        return capsys.readouterr().out

    shown = said("create", "--email", EMAIL, "--role", "admin").splitlines()
    assert shown[0].startswith("otpauth://totp/Keystead:")
    assert len(shown) == 11
    assert EMAIL in said("list")
    assert "is support" in said("set-role", EMAIL, "support", "--reason", "moved to support")
    again = said("reset-totp", EMAIL, "--reason", "lost phone").splitlines()
    assert set(again).isdisjoint(shown)
    assert "is disabled" in said("disable", EMAIL, "--reason", "left")
    log = said("log")
    for act in ("operator.created", "operator.role_changed", "operator.totp_reset", "operator.disabled"):
        assert act in log
    assert "moved to support" in log
    assert "operator.disabled" not in said("log", "--organization", "org-a")


@pytest.mark.usefixtures("db")
def test_what_cannot_be_done_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    only = operators.operator("admin")
    with pytest.raises(LastAdmin):
        _run("disable", only.email)
    for words in (("disable", "nobody@platform.example"), ("log", "--organization", "nowhere")):
        with pytest.raises(SystemExit):
            _run(*words)
        assert "there is no" in capsys.readouterr().err
