from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.devkit.sandbox.server import SandboxProcess, running_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def key(sandbox: SandboxProcess) -> str:
    return sandbox.new_key()
