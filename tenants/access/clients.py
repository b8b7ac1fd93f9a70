"""Apps: programs that call the organization's API by themselves or for its members, as OAuth clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from oauth2_provider.models import AccessToken

from engine import ids
from engine.clock import Clock, utc_now
from engine.errors import Conflict, InvalidInput, NotFound
from engine.principals import Principal
from shared.accounts.rules import hash_token, new_token
from tenants.access import assertions, deciding, policy, selectors
from tenants.access.models import App
from tenants.access.permissions import PERMISSIONS
from tenants.access.rules import REGISTRABLE_GRANT_TYPES, AuthMethod, GrantType
from tenants.audit import services as audit

SECRET_PREFIX = "kcs"  # noqa: S105 - what a secret starts with
NAME_CHARACTERS_MAX = 120
REDIRECT_URIS_MAX = 10
REDIRECT_URI_CHARACTERS_MAX = 500
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class AppInactive(Conflict):
    """The app was deactivated; that cannot be undone."""

    code = "app_inactive"
    title = "The app is deactivated"


class AppHasNoSecret(Conflict):
    """The app shows who it is by a signature, or not at all."""

    code = "app_has_no_secret"
    title = "The app has no secret"


@dataclass(frozen=True, slots=True)
class AppWithSecret:
    """An app and its new secret, which is shown this once; None when it has none."""

    app: App
    secret: str | None


@dataclass(frozen=True, slots=True)
class Registration:
    """How an app comes to its tokens."""

    grant_types: Sequence[str] = (GrantType.CLIENT_CREDENTIALS.value,)
    auth_method: str = AuthMethod.SECRET.value
    redirect_uris: Sequence[str] = ()
    jwks: Sequence[Mapping[str, Any]] = ()
    delegated_scopes: Sequence[str] = field(default=())


def create_app(
    *,
    name: str,
    by: Principal,
    roles: Sequence[str] = (),
    registration: Registration | None = None,
    clock: Clock = utc_now,
) -> AppWithSecret:
    """Make an app with roles over the whole organization, at most what `by` holds.

    Raises InvalidInput (the field at fault), UnknownRole, CannotGrantMore.
    """
    name, registered = _name(name), registration or Registration()
    fields = _checked(registered, by=by)
    secret = new_token(SECRET_PREFIX) if registered.auth_method == AuthMethod.SECRET else None
    app_id = ids.uuid7()
    with transaction.atomic():
        app = App.objects.create(
            id=app_id,
            client_id=ids.encode(App.id_prefix, app_id),
            client_secret=hash_token(secret) if secret else "",
            authorization_grant_type=App.GRANT_CLIENT_CREDENTIALS,
            name=name,
            created_at=clock(),
            **fields,
        )
        for role in roles:
            policy.grant_role(principal=app.principal, role=role, by=by)
        audit.write(action="app.created", actor=by, resource=app.public_id, detail={"name": name, **_told(app)})
    return AppWithSecret(app=app, secret=secret)


def update_app(
    *,
    app_id: UUID,
    by: Principal,
    guard: Callable[[App], None] = lambda _: None,
    name: str | None = None,
    redirect_uris: Sequence[str] | None = None,
    grant_types: Sequence[str] | None = None,
    jwks: Sequence[Mapping[str, Any]] | None = None,
    delegated_scopes: Sequence[str] | None = None,
) -> App:
    """Change an app; what is None stays. How it shows who it is stays for good.

    `guard` sees the locked row and may raise. Whoever changes where its codes go or which keys speak for it can
    act as the app, and so has to hold what it holds.
    Raises NotFound, AppInactive, InvalidInput (the field at fault), CannotGrantMore.
    """
    with transaction.atomic():
        app = _locked(app_id)
        guard(app)
        if not app.is_active:
            raise AppInactive
        policy.require_mastery_of(giver=by, subject=app.principal)
        before = _registration(app)
        wanted = Registration(
            grant_types=before.grant_types if grant_types is None else grant_types,
            auth_method=app.auth_method,
            redirect_uris=before.redirect_uris if redirect_uris is None else redirect_uris,
            jwks=before.jwks if jwks is None else jwks,
            delegated_scopes=before.delegated_scopes if delegated_scopes is None else delegated_scopes,
        )
        fields = _checked(wanted, by=by, had=frozenset(before.delegated_scopes))
        if name is not None:
            fields["name"] = _name(name)
        for attribute, value in fields.items():
            setattr(app, attribute, value)
        app.save(update_fields=[*fields, "updated"])
        audit.write(action="app.changed", actor=by, resource=app.public_id, detail={"name": app.name, **_told(app)})
    return app


def rotate_secret(*, app_id: UUID, by: Principal, clock: Clock = utc_now) -> AppWithSecret:
    """Give the app a new secret. The old one and every access token made with it are dead at once.

    Raises NotFound, AppInactive, AppHasNoSecret, CannotGrantMore (the app holds more than `by`).
    """
    with transaction.atomic():
        app = _locked(app_id)
        if not app.is_active:
            raise AppInactive
        if app.auth_method != AuthMethod.SECRET:
            raise AppHasNoSecret
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


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_CHARACTERS_MAX:
        raise InvalidInput(f"A name has 1 to {NAME_CHARACTERS_MAX} characters.", field="name")
    return name


def _registration(app: App) -> Registration:
    return Registration(
        grant_types=app.grant_types,
        auth_method=app.auth_method,
        redirect_uris=app.redirect_uris.split(),
        jwks=app.jwks,
        delegated_scopes=app.delegated_scopes,
    )


def _checked(wanted: Registration, *, by: Principal, had: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The columns of a registration that holds together. Raises InvalidInput (the field at fault)."""
    grants, method = list(dict.fromkeys(wanted.grant_types)), wanted.auth_method
    if not grants or not set(grants) <= REGISTRABLE_GRANT_TYPES:
        raise InvalidInput(f"Choose from: {', '.join(sorted(REGISTRABLE_GRANT_TYPES))}.", field="grant_types")
    if method not in tuple(AuthMethod):
        raise InvalidInput(f"Choose one of: {', '.join(AuthMethod)}.", field="auth_method")
    if method == AuthMethod.NONE and GrantType.CLIENT_CREDENTIALS in grants:
        raise InvalidInput("An app that shows nothing cannot act by itself.", field="grant_types")
    if (method == AuthMethod.KEY) != bool(wanted.jwks):
        raise InvalidInput(f"Keys belong to the auth_method {AuthMethod.KEY}, and only to it.", field="jwks")
    if (GrantType.AUTHORIZATION_CODE in grants) != bool(wanted.redirect_uris):
        raise InvalidInput(
            f"They belong to the grant type {GrantType.AUTHORIZATION_CODE}, and only to it.", field="redirect_uris"
        )
    return {
        "grant_types": grants,
        "auth_method": method,
        "client_type": App.CLIENT_PUBLIC if method == AuthMethod.NONE else App.CLIENT_CONFIDENTIAL,
        "redirect_uris": " ".join(_checked_redirects(wanted.redirect_uris, is_public=method == AuthMethod.NONE)),
        "jwks": assertions.checked_keys(wanted.jwks) if wanted.jwks else [],
        "delegated_scopes": _checked_scopes(wanted.delegated_scopes, by=by, had=had),
    }


def _checked_redirects(uris: Sequence[str], *, is_public: bool) -> list[str]:
    if len(uris) > REDIRECT_URIS_MAX:
        raise InvalidInput(f"An app has at most {REDIRECT_URIS_MAX}.", field="redirect_uris")
    for number, uri in enumerate(uris):
        fault = _fault_of_redirect(uri, is_public=is_public)
        if fault:
            raise InvalidInput(fault, field=f"redirect_uris.{number}")
    return list(dict.fromkeys(uris))


def _fault_of_redirect(uri: str, *, is_public: bool) -> str:
    if len(uri) > REDIRECT_URI_CHARACTERS_MAX:
        return f"At most {REDIRECT_URI_CHARACTERS_MAX} characters."
    if not all("!" <= character <= "~" for character in uri) or set(uri) & set('"<>\\^`{|}*'):
        return "Printable ASCII without spaces, quotes, brackets, backslashes or wildcards; encode the rest."
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "This is not a URI."
    if "#" in uri or "@" in parts.netloc:
        return "No fragment, and no credentials in the address."
    if set(parts.netloc) & set(";,"):
        # The address goes into the consent page's policy, where these separate.
        return "No semicolon and no comma in the address."
    if parts.scheme == "https" and host:
        return ""
    if parts.scheme == "http" and host in _LOOPBACK:
        return ""
    # A private-use scheme (RFC 8252, section 7.1): a domain name backwards, so never javascript or data.
    if is_public and "." in parts.scheme and not host:
        return ""
    return "https; http on this machine; or, for an app without a secret, a scheme like com.example.app."


def _checked_scopes(scopes: Sequence[str], *, by: Principal, had: frozenset[str]) -> list[str]:
    found = list(dict.fromkeys(scopes))
    for number, scope in enumerate(found):
        if scope not in PERMISSIONS or "member" not in PERMISSIONS[scope].kinds:
            raise InvalidInput("No member can lend this.", field=f"delegated_scopes.{number}")
    lacking = [
        scope
        for scope in found
        if scope not in had and by.kind != "system" and not deciding.check(principal=by, permission=scope).allowed
    ]
    if lacking:
        raise policy.CannotGrantMore("An app cannot ask for more than you hold.", missing=sorted(lacking))
    return found


def _told(app: App) -> dict[str, Any]:
    """What an auditor has to know of a registration."""
    return {
        "grant_types": app.grant_types,
        "auth_method": app.auth_method,
        "redirect_uris": app.redirect_uris.split(),
        "kids": [jwk["kid"] for jwk in app.jwks],
        "delegated_scopes": app.delegated_scopes,
    }
