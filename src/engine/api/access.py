"""Which view may be called by whom: each view declares it, and a view that does not is closed.

The decision itself is made by a checker that the layer of tenants hands in with ``set_checker``;
the engine knows no roles.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated
from rest_framework.permissions import BasePermission

from engine.errors import DomainError, NotFound
from engine.principals import Principal

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class Marker(Enum):
    """Declarations that need no role."""

    PUBLIC = "public"
    AUTHENTICATED = "authenticated"
    OPERATOR_READ = "operator_read"
    OPERATOR_WRITE = "operator_write"
    SIGNED_IN = "signed_in"


PUBLIC = Marker.PUBLIC
"""Anyone may call it, signed in or not."""
AUTHENTICATED = Marker.AUTHENTICATED
"""Every principal of the organization may call it: it is about the caller itself."""
OPERATOR_READ = Marker.OPERATOR_READ
"""Platform staff whose role lets them look."""
OPERATOR_WRITE = Marker.OPERATOR_WRITE
"""Platform staff whose role lets them change things."""
SIGNED_IN = Marker.SIGNED_IN
"""Every principal may call it, on an organization's host or on the platform's."""

Permission: TypeAlias = str | Marker


class Somewhere(Enum):
    """In place of a resource."""

    SOMEWHERE = "somewhere"


SOMEWHERE = Somewhere.SOMEWHERE
"""Asks a checker whether the permission is held at all, over however little of the organization."""


class Decision(Protocol):
    """What a checker answers; ``reason`` is machine-readable snake_case."""

    @property
    def allowed(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def step_up(self) -> bool: ...


class Checker(Protocol):
    """Decides whether ``principal`` holds ``permission``, on ``resource`` when there is one."""

    def __call__(self, *, principal: Principal, permission: str, resource: Any = None) -> Decision: ...


class OperatorChecker(Protocol):
    """Whether an operator's role lets them look, or (``write``) change things."""

    def __call__(self, *, principal: Principal, write: bool) -> bool: ...


class PermissionRefused(DomainError):
    """The caller is known and lacks the permission; ``reason`` says why."""

    code = "permission_denied"
    status = 403
    title = "You may not do this"


class NoChecker(RuntimeError):
    """No checker was handed in: nothing can be allowed."""


_checker: Checker | None = None
_operator_checker: OperatorChecker | None = None


def set_checker(checker: Checker | None) -> Checker | None:
    """Install the function that decides, once, at start. Returns the one that was there before."""
    global _checker
    previous, _checker = _checker, checker
    return previous


def set_operator_checker(checker: OperatorChecker | None) -> OperatorChecker | None:
    """As `set_checker`, for what operators may do on the platform's host."""
    global _operator_checker
    previous, _operator_checker = _operator_checker, checker
    return previous


def decide(*, principal: Principal, permission: str, resource: Any = None) -> Decision:
    """Ask the installed checker. Raises NoChecker when none is installed."""
    if _checker is None:
        raise NoChecker("engine.api.access.set_checker was not called at start")
    return _checker(principal=principal, permission=permission, resource=resource)


def declared(view: Any, method: str) -> Permission | None:
    """The permission that ``view`` (class or instance) declares for an HTTP method, or None."""
    wanted = "GET" if method == "HEAD" else method
    permissions = getattr(view, "permissions", None)
    if permissions is not None:
        found: Permission | None = permissions.get(wanted)
        return found
    single: Permission | None = getattr(view, "permission", None)
    return single


def principal_of(request: Any) -> Principal | None:
    """The principal that the request's authentication found, or None for an anonymous caller."""
    principal = getattr(request.user, "principal", None)
    return principal if isinstance(principal, Principal) else None


class DeclaredPermission(BasePermission):
    """Holds a view to its declaration. No declaration: nobody gets in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Allow, or raise NotAuthenticated / PermissionRefused."""
        method = request.method or ""
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            raise MethodNotAllowed(method)
        if method == "OPTIONS" and view.metadata_class is None:
            raise MethodNotAllowed(method)
        permission = declared(view, method)
        if permission is PUBLIC:
            return True
        principal = principal_of(request)
        if principal is None:
            raise NotAuthenticated
        if permission is None:
            raise PermissionRefused("Nobody may call this.", reason="undeclared")
        if isinstance(permission, Marker):
            _require_kind(principal, permission, delegable=getattr(view, "delegable", False))
        else:
            _require(principal, permission, anywhere=getattr(view, "narrowed", False))
        return True

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        """Allow, raise PermissionRefused, or NotFound when the caller may not even see ``obj``."""
        permission = declared(view, request.method or "")
        if isinstance(permission, Marker):
            return True
        principal = principal_of(request)
        if principal is None or permission is None:
            raise NotFound
        decision = decide(principal=principal, permission=permission, resource=obj)
        if decision.allowed:
            return True
        reading = declared(view, "GET")
        if (
            isinstance(reading, str)
            and reading != permission
            and decide(principal=principal, permission=reading, resource=obj).allowed
        ):
            raise refusal(permission, decision)
        raise NotFound


def _require_kind(principal: Principal, marker: Marker, *, delegable: bool) -> None:
    if principal.kind == "member" and principal.scopes is not None and not delegable:
        # What is about the caller itself (sessions, second factors) is for the caller, not for an app that acts
        # in their name: no scope was asked for, so none was lent.
        raise PermissionRefused("An app cannot do this for a member.", reason="token_scope")
    if marker is SIGNED_IN:
        return
    is_operator = principal.kind == "operator"
    if marker is AUTHENTICATED:
        if is_operator:
            raise PermissionRefused(reason="members_only")
        return
    if not is_operator:
        raise PermissionRefused(reason="operators_only")
    if _operator_checker is None:
        raise NoChecker("engine.api.access.set_operator_checker was not called at start")
    if not _operator_checker(principal=principal, write=marker is OPERATOR_WRITE):
        raise PermissionRefused("Your role does not allow this.", reason="operator_role")


def _require(principal: Principal, permission: str, *, anywhere: bool) -> None:
    resource = SOMEWHERE if anywhere else None
    decision = decide(principal=principal, permission=permission, resource=resource)
    if not decision.allowed:
        raise refusal(permission, decision)


def refusal(permission: str, decision: Decision) -> PermissionRefused:
    """The refusal of a decision; ``step_up`` is told when a fresh second factor would turn it into a yes."""
    more: dict[str, Any] = {"step_up": True} if decision.step_up else {}
    return PermissionRefused(
        f"This needs the permission {permission}.", permission=permission, reason=decision.reason, **more
    )
