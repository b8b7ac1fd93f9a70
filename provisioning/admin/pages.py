"""What operators see of each table, and the few things that they can do there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin, action
from django.contrib.admin.helpers import ActionForm
from django.db.models import Model as AnyModel
from django.db.models import QuerySet, URLField
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from engine.errors import DomainError
from provisioning import suspension
from provisioning.admin.site import site
from provisioning.api.serializers import FlowDetailBody
from provisioning.models import Flow
from shared.accounts.models import Session
from shared.operator_log.models import Act
from shared.operators import impersonations
from shared.operators import services as operators
from shared.operators.models import Impersonation, Operator
from shared.operators.rules import Role
from shared.organizations.models import Organization
from shared.plans import services as plans
from shared.plans.models import Plan

_REASON = "Give a reason: it is kept in the operators' log."


class Because(ActionForm):
    """Every act has a reason."""

    reason = forms.CharField(max_length=500, required=False, widget=forms.TextInput(attrs={"placeholder": "Reason"}))


class ReadOnly(ModelAdmin):
    """A page that shows. What changes something is an action, and calls a service."""

    action_form = Because
    list_per_page = 50
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_authenticated)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_write_permission(self, request: HttpRequest) -> bool:
        """Named by the actions that only admins see."""
        return bool(getattr(request.user, "may_write", False))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: AnyModel, message: Any) -> None:  # type: ignore[override]
        """Nothing: the service has written the operators' log, in its own transaction."""

    def log_change(self, request: HttpRequest, obj: AnyModel, message: Any) -> None:  # type: ignore[override]
        """Nothing, as above."""

    def each(self, request: HttpRequest, rows: QuerySet[Any], act: Callable[[Any, str], object]) -> None:
        """Do something to each chosen row with the reason that was typed; tell what was refused and why."""
        reason = str(request.POST.get("reason", "")).strip()
        if not reason:
            self.message_user(request, _REASON, messages.ERROR)
            return
        for row in rows:
            try:
                act(row, reason)
            except DomainError as error:
                self.message_user(request, f"{_name(row)}: {error.title}. {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{_name(row)}: done")


def _name(row: Any) -> str:
    return str(getattr(row, "slug", "") or row.public_id)


def _by(request: HttpRequest) -> Any:
    return request.user.principal  # type: ignore[union-attr]


class OrganizationPage(ReadOnly):
    list_display = ("slug", "name", "status", "plan_code", "environment", "currency", "created_at")
    list_filter = ("status", "environment")
    list_select_related = ("plan",)
    search_fields = ("slug", "name")
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    exclude = ("plan",)
    readonly_fields = ("plan_code",)
    actions = ("suspend", "resume")

    def plan_code(self, row: Organization) -> str:
        return row.plan.code

    @action(description="Suspend", permissions=["write"])
    def suspend(self, request: HttpRequest, rows: QuerySet[Organization]) -> None:
        self.each(
            request, rows, lambda row, why: suspension.suspend(organization_id=row.id, reason=why, by=_by(request))
        )

    @action(description="Resume", permissions=["write"])
    def resume(self, request: HttpRequest, rows: QuerySet[Organization]) -> None:
        self.each(
            request, rows, lambda row, why: suspension.resume(organization_id=row.id, reason=why, by=_by(request))
        )


class FlowPage(ReadOnly):
    list_display = ("public_id", "kind", "slug", "status", "step", "attempts", "updated_at")
    list_filter = ("kind", "status")
    list_select_related = ("organization",)
    exclude = ("organization",)
    readonly_fields = ("slug", "steps")

    def slug(self, row: Flow) -> str:
        return row.organization.slug

    def steps(self, row: Flow) -> SafeString:
        """The kind's steps, and how far the flow is."""
        found = FlowDetailBody().get_steps(row)
        return format_html_join("\n", "<div>{}: {}</div>", ((step["name"], step["state"]) for step in found))


class PlanPage(ReadOnly):
    list_display = ("code", "title", "requests_per_minute_max", "people_max", "devices_max")
    fields = ("code", "title", "requests_per_minute_max", "people_max", "devices_max")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_write_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_write_permission(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A code is what organizations were given: it stays."""
        return ("code",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: Plan, form: Any, change: bool) -> None:
        """Through the service, which writes the operators' log."""
        given = {name: form.cleaned_data[name] for name in self.fields if name in form.cleaned_data}
        if change:
            plans.change(code=obj.code, by=_by(request), **given)
        else:
            obj.pk = plans.create(by=_by(request), **given).pk


class OperatorPage(ReadOnly):
    list_display = ("user", "role", "is_active", "last_sign_in")
    list_filter = ("role", "user__is_active")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    actions = ("make_support", "make_admin", "disable")

    def is_active(self, row: Operator) -> bool:
        return row.user.is_active

    is_active.boolean = True  # type: ignore[attr-defined]

    def last_sign_in(self, row: Operator) -> Any:
        return row.user.last_login

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("user", "role", "is_active", "last_sign_in")

    @action(description="Make support", permissions=["write"])
    def make_support(self, request: HttpRequest, rows: QuerySet[Operator]) -> None:
        self._set_role(request, rows, Role.SUPPORT)

    @action(description="Make admin", permissions=["write"])
    def make_admin(self, request: HttpRequest, rows: QuerySet[Operator]) -> None:
        self._set_role(request, rows, Role.ADMIN)

    @action(description="Disable for good", permissions=["write"])
    def disable(self, request: HttpRequest, rows: QuerySet[Operator]) -> None:
        self.each(request, rows, lambda row, why: operators.disable(operator_id=row.pk, reason=why, by=_by(request)))

    def _set_role(self, request: HttpRequest, rows: QuerySet[Operator], role: Role) -> None:
        self.each(
            request,
            rows,
            lambda row, why: operators.set_role(operator_id=row.pk, role=role, reason=why, by=_by(request)),
        )


class SessionPage(ReadOnly):
    list_display = ("public_id", "user", "created_at", "last_seen_at", "expires_at", "revoked_at", "address")
    list_select_related = ("user",)
    fields = ("user", "created_at", "last_seen_at", "expires_at", "revoked_at", "address", "user_agent")
    actions = ("end",)

    @action(description="End", permissions=["write"])
    def end(self, request: HttpRequest, rows: QuerySet[Session]) -> None:
        self.each(
            request,
            rows,
            lambda row, why: operators.revoke_session(operator_id=row.user_id, session_id=row.id, by=_by(request)),
        )


class ImpersonationPage(ReadOnly):
    list_display = (
        "public_id",
        "operator",
        "organization_id",
        "role",
        "reason",
        "created_at",
        "expires_at",
        "ended_at",
    )
    list_select_related = ("operator__user",)
    fields = ("operator", "organization_id", "role", "reason", "created_at", "expires_at", "ended_at", "ended_by")
    actions = ("end",)

    @action(description="End", permissions=["write"])
    def end(self, request: HttpRequest, rows: QuerySet[Impersonation]) -> None:
        self.each(request, rows, lambda row, why: impersonations.end(impersonation_id=row.id, by=_by(request)))


class ActPage(ReadOnly):
    list_display = ("created_at", "action", "actor_display", "organization_id", "reason")
    list_filter = ("action",)
    search_fields = ("actor_display", "reason")


site.register(Organization, OrganizationPage)
site.register(Flow, FlowPage)
site.register(Plan, PlanPage)
site.register(Operator, OperatorPage)
site.register(Session, SessionPage)
site.register(Impersonation, ImpersonationPage)
site.register(Act, ActPage)
