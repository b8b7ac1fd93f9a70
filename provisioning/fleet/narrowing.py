"""As much of the project's models as a migration looks at.

Django makes a class of every model before it writes a migration's SQL: a tenth of a second for eighty. What adds
to a table, or takes from it, looks at that table and at those that it refers to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterModelManagers,
    AlterModelOptions,
    CreateModel,
    Migration,
    RemoveConstraint,
    RemoveField,
    RemoveIndex,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation

ModelKey = tuple[str, str]

# None of them asks who refers to the table. Exactly these classes: a subclass may look at anything.
_NARROW = frozenset(
    {
        AddConstraint,
        AddField,
        AddIndex,
        AlterModelManagers,
        AlterModelOptions,
        CreateModel,
        RemoveConstraint,
        RemoveField,
        RemoveIndex,
        RunSQL,
    }
)


def narrowed(migration: Migration, state: ProjectState) -> ProjectState:
    """A state to write `migration`'s SQL on, apart from `state` itself."""
    operations = list(_flat(migration.operations))
    if all(type(operation) in _NARROW for operation in operations):
        roots = {key for operation in operations for key in _looked_at(migration.app_label, operation)}
        kept = _with_referred(roots, state)
        return ProjectState({key: state.models[key].clone() for key in kept}, real_apps=state.real_apps)
    whole = state.clone()
    # As Django's executor does: made once here, they are made a second time only where an operation changes them.
    whole.apps  # noqa: B018
    return whole


def _flat(operations: Iterable[Any]) -> Iterator[Any]:
    for operation in operations:
        if type(operation) is SeparateDatabaseAndState:
            yield from _flat([*operation.database_operations, *operation.state_operations])
            continue
        yield operation
        if type(operation) is RunSQL:
            yield from _flat(operation.state_operations)


def _looked_at(app_label: str, operation: Any) -> Iterator[ModelKey]:
    """The table that it is about, and what it makes it refer to."""
    if type(operation) is RunSQL:
        return
    name = operation.model_name_lower if hasattr(operation, "model_name_lower") else operation.name_lower
    yield app_label, name
    if isinstance(operation, CreateModel):
        yield from _referred(app_label, name, (field for _, field in operation.fields), operation.bases or ())
    elif isinstance(operation, AddField):
        yield from _referred(app_label, name, [operation.field], ())


def _with_referred(roots: set[ModelKey], state: ProjectState) -> set[ModelKey]:
    kept: set[ModelKey] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        # What the migration itself makes is not there yet.
        if key not in kept and key in state.models:
            kept.add(key)
            model = state.models[key]
            waiting += _referred(*key, model.fields.values(), model.bases)
    return kept


def _referred(app_label: str, name: str, fields: Iterable[Any], bases: Iterable[Any]) -> Iterator[ModelKey]:
    for field in fields:
        for other in (getattr(field.remote_field, "model", None), getattr(field.remote_field, "through", None)):
            if other:
                yield resolve_relation(other, app_label, name)
    for base in bases:
        if isinstance(base, str) or hasattr(base, "_meta"):
            yield resolve_relation(base, app_label, name)
