"""Every import contract holds, and every one of them catches a planted violation."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON_ROOTS = ("src", "tenants", "shared", "provisioning", "sdk/python")

# For each contract: files to plant (path -> text appended) and the import that must be named.
PLANTS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "Imports run one way: config > provisioning > tenants > shared > engine": (
        {"shared/organizations/planted.py": "import tenants\n"},
        "shared.organizations.planted -> tenants",
    ),
    "The apps of tenants/ stand in one order, and every app is placed": (
        {
            "tenants/keyring/planted.py": "import tenants.payments.planted\n",
            "tenants/payments/planted.py": "",
        },
        "tenants.keyring.planted -> tenants.payments.planted",
    ),
    "The apps of shared/ stand in one order, and every app is placed": (
        {"shared/unplaced/__init__.py": ""},
        "shared.unplaced",
    ),
    ("Inside an app: api|tasks|gateway|admin > services > selectors|adapters > models > rules|events > permissions"): (
        {
            "tenants/sites/selectors.py": "import tenants.sites.services\n",
            "tenants/sites/services.py": "",
        },
        "tenants.sites.selectors -> tenants.sites.services",
    ),
    "No app imports the models of an app in shared/": (
        {"tenants/payments/planted.py": "import shared.plans.models\n"},
        "tenants.payments.planted -> shared.plans.models",
    ),
    "No app imports the models of an app in tenants/": (
        {
            "tenants/payments/planted.py": "import tenants.identity.models\n",
            "tenants/identity/models.py": "",
        },
        "tenants.payments.planted -> tenants.identity.models",
    ),
    "rules, events and permissions import no Django": (
        {"tenants/usage/rules.py": "import django.db\n"},
        "tenants.usage.rules -> django",
    ),
    "The matcher, keys, blobs, service tokens and the SQL of the wall import no Django": (
        {"src/engine/tenancy/wall.py": "import django.conf\n"},
        "engine.tenancy.wall -> django",
    ),
    "The matcher knows only keys, blobs, service tokens and the SQL of the wall": (
        {"src/matcher/planted.py": "import engine.tenancy.context\n"},
        "matcher.planted -> engine.tenancy.context",
    ),
    "Nothing but the CLI imports the matcher": (
        {"tenants/identity/planted.py": "import matcher\n"},
        "tenants.identity.planted -> matcher",
    ),
    "Nothing but the CLI imports the devkit": (
        {"src/config/planted.py": "import devkit\n"},
        "config.planted -> devkit",
    ),
    "The devkit is an outsider: no app, no provisioning": (
        {"src/devkit/planted.py": "import provisioning.models\n"},
        "devkit.planted -> provisioning.models",
    ),
    "The SDK knows only the public API": (
        {"sdk/python/keystead/planted.py": "import engine.ids\n"},
        "keystead.planted -> engine.ids",
    ),
    "Only the devkit uses the SDK": (
        {"tenants/devices/planted.py": "import keystead\n"},
        "tenants.devices.planted -> keystead",
    ),
    "Vendor SDKs stay in adapter modules": (
        {"tenants/payments/planted.py": "import stripe\n"},
        "tenants.payments.planted -> stripe",
    ),
}


def lint(tree: Path) -> tuple[int, str]:
    search_path = os.pathsep.join(str(tree / part) for part in (".", "src", "sdk/python"))
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": search_path, "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The import-relevant part of the repository, to plant in."""
    for part in (*PYTHON_ROOTS, "tests/architecture"):
        shutil.copytree(
            ROOT / part,
            tmp_path / part,
            ignore=lambda folder, names: [
                name for name in names if not name.endswith(".py") and not (Path(folder) / name).is_dir()
            ],
        )
    shutil.copy(ROOT / "tests/__init__.py", tmp_path / "tests/__init__.py")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def plant(tree: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = tree / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if not (package := file.parent / "__init__.py").exists():
            package.touch()
        with file.open("a", encoding="utf-8") as handle:
            handle.write(f"\n{text}")


def test_every_contract_has_a_planted_violation() -> None:
    with (ROOT / "pyproject.toml").open("rb") as handle:
        contracts = tomllib.load(handle)["tool"]["importlinter"]["contracts"]
    assert {contract["name"] for contract in contracts} == set(PLANTS)


def test_the_repository_keeps_every_contract() -> None:
    code, report = lint(ROOT)
    assert code == 0, report
    assert report.count(" KEPT") == len(PLANTS), report


@pytest.mark.parametrize("contract", PLANTS)
def test_a_planted_violation_is_named(contract: str, tree: Path) -> None:
    files, named = PLANTS[contract]
    plant(tree, files)
    code, report = lint(tree)
    assert code == 1, report
    assert f"{contract} BROKEN" in report, report
    assert named in report, report


def test_an_app_that_nobody_placed_is_refused(tree: Path) -> None:
    plant(tree, {"tenants/unplaced/__init__.py": ""})
    code, report = lint(tree)
    assert code == 1
    assert "tenants.unplaced" in report


def test_a_chain_through_another_module_is_followed(tree: Path) -> None:
    plant(
        tree,
        {
            "tenants/usage/rules.py": "import engine.planted\n",
            "src/engine/planted.py": "import django.db\n",
        },
    )
    code, report = lint(tree)
    assert code == 1
    assert "rules, events and permissions import no Django BROKEN" in report
    assert "engine.planted -> django" in report
