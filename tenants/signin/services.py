"""What the API calls. `policy`, `providers` and `federation` say how."""

from __future__ import annotations

from tenants.signin.federation import begin, link, sign_in, unlink
from tenants.signin.policy import end_sessions, require_mfa, reset_second_factors
from tenants.signin.providers import add as add_provider
from tenants.signin.providers import found as provider
from tenants.signin.providers import remove as remove_provider

__all__ = [
    "add_provider",
    "begin",
    "end_sessions",
    "link",
    "provider",
    "remove_provider",
    "require_mfa",
    "reset_second_factors",
    "sign_in",
    "unlink",
]
