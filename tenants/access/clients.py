"""Apps: programs that call the organization's API by themselves, as OAuth clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from oauth2_provider.models import AccessToken

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from shared.accounts.rules import hash_token, new_token
from tenants.access import policy, selectors
from tenants.access.models import App
from tenants.audit import services as audit

SECRET_PREFIX = "kcs"  # noqa: S105 - what a secret starts with
NAME_CHARACTERS_MAX = 120


class AppInactive(Conflict):
    """The app was deactivated; that cannot be undone."""

    code = "app_inactive"
    title = "The app is deactivated"


@dataclass(frozen=True, slots=True)
class AppWithSecret:
    """An app and its new secret, which is shown this once."""

    app: App
    secret: str


def create_app(*, name: str, by: Principal, roles: Sequence[str] = (), clock: Clock = utc_now) -> AppWithSecret:
    """Make an app with roles over the whole organization, at most what `by` holds.

    Raises InvalidInput (field name), UnknownRole, CannotGrantMore.
    """
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS_MAX:
        raise InvalidInput(f"A name has 1 to {NAME_CHARACTERS_MAX} characters.", field="name")
    secret, now, app_id = new_token(SECRET_PREFIX), clock(), ids.uuid7()
    with transaction.atomic():
        app = App.objects.create(
            id=app_id,
            client_id=ids.encode(App.id_prefix, app_id),
            client_secret=hash_token(secret),
            client_type=App.CLIENT_CONFIDENTIAL,
            authorization_grant_type=App.GRANT_CLIENT_CREDENTIALS,
            name=name,
            created_at=now,
        )
        for role in roles:
            policy.grant_role(principal=app.principal, role=role, by=by)
        audit.write(action="app.created", actor=by, resource=app.public_id, detail={"name": name})
    return AppWithSecret(app=app, secret=secret)


def rotate_secret(*, app_id: UUID, by: Principal, clock: Clock = utc_now) -> AppWithSecret:
    """Give the app a new secret. The old one and every token made with it are dead at once.

    Raises NotFound, AppInactive, CannotGrantMore (the app holds more than `by`).
    """
    with transaction.atomic():
        app = _locked(app_id)
        if not app.is_active:
            raise AppInactive
        policy.require_mastery_of(giver=by, subject=app.principal)
        secret = new_token(SECRET_PREFIX)
        app.client_secret = hash_token(secret)
        app.secret_rotated_at = clock()
        app.save(update_fields=["client_secret", "secret_rotated_at", "updated"])
        AccessToken.objects.filter(application=app).delete()
        audit.write(action="app.secret_rotated", actor=by, resource=app.public_id)
    return AppWithSecret(app=app, secret=secret)


def deactivate_app(*, app_id: UUID, by: Principal) -> App:
    """Shut the app out for good: no token is issued, and those that were issued are dead.

    Doing it again changes nothing. Raises NotFound, CannotGrantMore.
    """
    with transaction.atomic():
        policy.bump_policy_revision()
        app = _locked(app_id)
        policy.require_mastery_of(giver=by, subject=app.principal)
        if app.is_active:
            for grant in selectors.grants().filter(principal_kind="app", principal_id=app.id):
                policy.delete_grant(grant, by=by)
            app.is_active = False
            app.save(update_fields=["is_active", "updated"])
            AccessToken.objects.filter(application=app).delete()
            audit.write(action="app.deactivated", actor=by, resource=app.public_id)
    return app


def _locked(app_id: UUID) -> App:
    app = App.objects.select_for_update().filter(id=app_id).first()
    if app is None:
        raise NotFound
    return app
