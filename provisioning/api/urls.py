"""Paths under /v1 of the platform's host."""

from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from provisioning.api import backups, fleet, life_views, views

_ORGANIZATION = f"organizations/{typeid('org', 'organization_id')}"

urlpatterns = [
    path("organizations", views.OrganizationList.as_view()),
    path(_ORGANIZATION, views.OrganizationDetail.as_view()),
    path(f"{_ORGANIZATION}/suspend", life_views.Suspend.as_view()),
    path(f"{_ORGANIZATION}/resume", life_views.Resume.as_view()),
    path(f"{_ORGANIZATION}/rename", life_views.Rename.as_view()),
    path(f"{_ORGANIZATION}/plan", life_views.ChangePlan.as_view()),
    path(f"{_ORGANIZATION}/domains", life_views.DomainClaimList.as_view()),
    path(f"domains/{typeid('claim', 'claim_id')}/verify", life_views.DomainVerification.as_view()),
    path(f"domains/{typeid('claim', 'claim_id')}/remove", life_views.DomainRemoval.as_view()),
    path(f"{_ORGANIZATION}/offboarding", life_views.OffboardingView.as_view()),
    path(f"{_ORGANIZATION}/offboarding/approve", life_views.OffboardingApproval.as_view()),
    path(f"{_ORGANIZATION}/offboarding/cancel", life_views.OffboardingCancellation.as_view()),
    path(f"{_ORGANIZATION}/backups", backups.BackupList.as_view()),
    path("plans", views.PlanList.as_view()),
    path(f"plans/{typeid('plan', 'plan_id')}", views.PlanDetail.as_view()),
    path("flows", fleet.FlowList.as_view()),
    path(f"flows/{typeid('flow', 'flow_id')}", fleet.FlowDetail.as_view()),
    path("fleet", fleet.FleetStatus.as_view()),
]
