"""Commands about the migrations of all organizations (docs/migrations.md)."""

from __future__ import annotations

import re
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from config.terminal import err, fail, out, set_up_django

_PAUSED = 3
_PROGRESS_FROM = 20


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.0f}/s")


class _Failures(click.ParamType):
    name = "N|N%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[1-9]\d{0,5}|(?!0+(\.0+)?%)\d{1,2}(\.\d{1,2})?%", value):
            self.fail("give a number of organizations such as 3, or a share of them such as 2%", param, ctx)
        return str(value)


@click.command()
@click.option(
    "--phase",
    type=click.Choice(["pre", "post", "all"]),
    default="all",
    show_default=True,
    help="pre: before the new code runs. post: when the old code is gone. all: when nothing else runs.",
)
@click.option("--plan", is_flag=True, help="Say what would run where, and change nothing.")
@click.option("--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Organizations at a time.")
@click.option(
    "--lock-timeout-ms",
    type=click.IntRange(10, 1000),
    default=50,
    show_default=True,
    help="Longest wait for a lock, and so longest wait of a request behind it.",
)
@click.option("--canary", "canaries", multiple=True, metavar="SLUG", help="Goes first. May be given several times.")
@click.option(
    "--abort-after-failures",
    "abort_after",
    type=_Failures(),
    default="1",
    show_default=True,
    help="Stop when so many organizations failed.",
)
@click.option("--pause", is_flag=True, help="Let the run that is going on rest; organizations in work are finished.")
@click.option("--resume", is_flag=True, help="Go on with a paused run, with the choices that it was begun with.")
def migrate(phase: str, plan: bool, pause: bool, resume: bool, **choices: Any) -> None:
    """Bring the platform's tables and every organization's schema up to date, while they are in use.

    Interrupt or kill it at any moment: no organization is left half migrated, and the same command goes on.
    """
    set_up_django()
    from provisioning import schemas
    from provisioning.fleet import platform, runs
    from provisioning.fleet.planning import Phase

    schemas.require_owner_login()
    if pause:
        asked = runs.request_pause()
        err.print(
            "asked to rest; `keystead migrate --resume` goes on" if asked else "no run is going on: nothing to pause"
        )
        return
    due = Phase(phase)
    if plan:
        _show_plan(due)
        return
    for app, name in platform.migrate(phase=due, lock_timeout_ms=choices["lock_timeout_ms"]):
        err.print(f"platform: {app}.{name}")
    err.print("platform: up to date")
    _refuse_unknown(choices["canaries"])
    run = runs.resume(phase=due) if resume else runs.begin(phase=due, **choices)
    _carry_out(run)


@click.command()
@click.argument("slug", required=False)
def drift(slug: str | None) -> None:
    """Compare every organization's tables and privileges, or those of one, with what this release makes.

    Changes nothing. A line for each thing that differs, and then status 1.
    """
    set_up_django()
    from provisioning import schemas
    from provisioning.fleet import drift as comparing

    schemas.require_owner_login()
    asked = comparing.fleet(slug=slug)
    found = []
    columns = (TextColumn("organizations"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=len(asked.targets) < _PROGRESS_FROM) as progress:
        bar = progress.add_task("organizations", total=len(asked.targets))
        for finding in comparing.findings(asked.targets):
            progress.advance(bar)
            found.append(finding)
    # Not before the bar is gone: it would take them to standard error with it.
    for finding in found:
        for text in finding.differences:
            out.print(f"{finding.slug}: {text}", markup=False, soft_wrap=True)
    moved = sum(finding.has_moved for finding in found)
    told = f"organizations compared: {len(found) - moved}"
    if asked.behind + moved:
        told += f", of another release and left out: {asked.behind + moved} (`keystead migrate`)"
    if differing := sum(bool(finding.differences) for finding in found):
        fail(f"{told}, that differ: {differing}")
    err.print(f"{told}; no drift")


@click.group()
def fleet() -> None:
    """All organizations' schemas: how far the migrations are."""


@fleet.command()
def status() -> None:
    """How far the migrations are: runs, organizations by release, failures."""
    set_up_django()
    from provisioning.fleet import status as fleet_status

    found = fleet_status.progress()
    table = Table("migrations", "organizations", "", box=None)
    for one in found.generations:
        table.add_row(one.fingerprint[:12] or "no schema yet", str(one.organizations), "this release" * one.is_current)
    out.print(table)
    if found.run:
        run, word = found.run, found.run.status
        if word == "running" and not found.is_alive:
            word = "interrupted; `keystead migrate` goes on"
        out.print(
            f"last run: {run.public_id} {word}, phase {run.phase}, wave {run.wave or '-'}: "
            f"{run.done} of {run.organizations} done, {run.failed} failed",
            soft_wrap=True,
        )
    for step in found.unfinished:
        out.print(
            f"{step.organization.slug}: {step.app}.{step.migration} {step.state} "
            f"after {step.attempts} attempts {step.error}",
            soft_wrap=True,
        )


def _carry_out(run: Any) -> None:
    from provisioning.fleet.running import Event, Runner

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err) as progress:
        bar = progress.add_task("organizations", total=None, visible=False)

        def tell(event: Event) -> None:
            if event.kind == "wave":
                progress.reset(bar, total=event.total, description=f"wave {event.text}", visible=True)
            elif event.kind == "done":
                progress.advance(bar)
            elif event.kind == "failed":
                progress.advance(bar)
                progress.console.print(f"[red]{event.slug}:[/] {event.text}", soft_wrap=True)

        done = Runner(run=run, tell=tell).go()
    told = f"{done.done} organizations migrated, {done.failed} failed"
    if done.status == "succeeded":
        err.print(f"organizations: up to date ({told})" if done.done else "organizations: up to date")
    elif done.status == "paused":
        fail(f"paused: {told}. `keystead migrate --resume` goes on.", status=_PAUSED)
    else:
        fail(
            f"{done.status}: {told}. Each organization is as it was before or after its migrations. "
            "`keystead fleet status` names those that failed; mend the cause, then `keystead migrate` goes on."
        )


def _show_plan(phase: Any) -> None:
    from provisioning.fleet import platform, status

    for app, name in platform.pending(phase=phase):
        out.print(f"platform: {app}.{name}")
    groups = status.plan(phase=phase)
    for group in groups:
        out.print(f"{group.organizations} organizations at {group.fingerprint[:12]}:")
        for (app, name), path in group.pending:
            how = "SQL, made once" if path == "sql" else "Django, organization by organization"
            out.print(f"  {app}.{name}  {how}")
        if not group.pending:
            out.print("  privileges only")
    if not groups:
        out.print("organizations: nothing to do")


def _refuse_unknown(canaries: tuple[str, ...]) -> None:
    from engine.tenancy.context import public_schema
    from shared.organizations.models import Organization

    with public_schema():
        known = set(Organization.objects.filter(slug__in=canaries).values_list("slug", flat=True))
    for slug in canaries:
        if slug not in known:
            fail(f"there is no organization {slug!r}; see `keystead org list`")
