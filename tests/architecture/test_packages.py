"""Our top-level packages are ours: no dependency ships one that would win over them."""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOMES = {
    "config": "src",
    "devkit": "src",
    "engine": "src",
    "matcher": "src",
    "provisioning": ".",
    "shared": ".",
    "tenants": ".",
    "tests": ".",
    "keystead": "sdk/python",
}


@pytest.mark.parametrize("name", HOMES)
def test_a_package_is_read_from_this_repository(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).parent == (ROOT / HOMES[name] / name).resolve()


@pytest.mark.parametrize("module", ["matcher.assembly", "engine.keys", "engine.service_tokens", "keystead"])
def test_what_needs_no_django_loads_none(module: str) -> None:
    script = f"import sys, {module}; sys.exit(any(name.partition('.')[0] == 'django' for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_dependency_claims_one_of_our_names() -> None:
    distributions = importlib.metadata.packages_distributions()
    claimed = {name: distributions.get(name, []) for name in HOMES}
    assert {name: set(owners) - {"keystead-platform", "keystead"} for name, owners in claimed.items()} == {
        name: set() for name in HOMES
    }
