"""Commands that write documents from the code."""

from __future__ import annotations

import json
from pathlib import Path

import click

from config.terminal import err, fail, set_up_django

DOCS = Path(__file__).resolve().parents[3] / "docs"


@click.command()
@click.option("--check", is_flag=True, help="Fail when a document is stale or breaks callers; write nothing.")
@click.option("--publish", is_flag=True, help="Make the present documents what later ones may not break.")
@click.option("--allow-breaking", is_flag=True, help="With --publish: even though callers break.")
def openapi(*, check: bool, publish: bool, allow_breaking: bool) -> None:
    """Write docs/openapi.json and docs/openapi-platform.json."""
    set_up_django()
    from engine.api import openapi as documents

    try:
        for name in documents.generate(folder=DOCS, check=check):
            err.print(f"docs/{name}: written")
        if publish:
            documents.publish(folder=DOCS, allow_breaking=allow_breaking)
            err.print(f"docs/{documents.PUBLISHED}/: published")
        else:
            documents.check_published(folder=DOCS)
    except (documents.Drift, documents.Breaking) as error:
        fail(str(error))


@click.command()
@click.option("--check", is_flag=True, help="Fail when docs/asyncapi.json is out of date; write nothing.")
def asyncapi(*, check: bool) -> None:
    """Write docs/asyncapi.json from the frames of the gateway."""
    set_up_django()
    from tenants.devices.gateway import asyncapi as gateway

    path = DOCS / "asyncapi.json"
    written = json.dumps(gateway.document(), indent=2, sort_keys=True) + "\n"
    if check:
        if not path.exists() or path.read_text() != written:
            fail("docs/asyncapi.json is out of date: run `keystead asyncapi`")
        err.print("docs/asyncapi.json: up to date")
        return
    path.write_text(written)
    err.print("docs/asyncapi.json: written")


@click.command()
@click.option("--check", is_flag=True, help="Fail when docs/permissions.md is stale or breaks callers; write nothing.")
@click.option("--publish", is_flag=True, help="Make the present catalogue what later ones may not break.")
def permissions(*, check: bool, publish: bool) -> None:
    """Write docs/permissions.md from what each app declares."""
    set_up_django()
    from engine.api import openapi as documents
    from engine.api.compatibility import operations
    from tenants.access import catalogue

    found = operations(documents.document(documents.ORGANIZATION))
    asked = [(method, path, body["x-permission"]) for (method, path), body in sorted(found.items())]
    path, kept = DOCS / "permissions.md", DOCS / documents.PUBLISHED / "permissions.json"
    written = catalogue.render(operations=asked)
    if check and (not path.exists() or path.read_text() != written):
        fail("docs/permissions.md is out of date: run `make permissions`")
    if publish:
        kept.write_text(json.dumps(catalogue.published(), indent=2) + "\n")
    elif kept.exists() and (broken := catalogue.breaking_changes(json.loads(kept.read_text()))):
        fail("permissions that were published changed: " + "; ".join(broken))
    if not check:
        path.write_text(written)
    err.print(f"docs/permissions.md: {'up to date' if check else 'written'}")


@click.command()
@click.option("--check", is_flag=True, help="Fail when docs/settings.md is out of date; write nothing.")
def settings_reference(*, check: bool) -> None:
    """Write docs/settings.md from the descriptions of the settings."""
    from config import reference

    path = DOCS / "settings.md"
    written = reference.render()
    if check:
        if not path.exists() or path.read_text() != written:
            fail("docs/settings.md is out of date: run `make settings`")
        err.print("docs/settings.md: up to date")
        return
    path.write_text(written)
    err.print("docs/settings.md: written")
