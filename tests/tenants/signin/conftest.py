from __future__ import annotations

import pytest

from engine.tenancy import directory


@pytest.fixture
def known_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up of the host is remembered for two seconds: too short for counting queries."""
    monkeypatch.setattr(directory, "_FRESH_S", 3600.0)
