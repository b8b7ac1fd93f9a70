"""Calls to providers: one client that never guesses whether a request had an effect."""

from engine.calls.client import CallInTransaction, Policy, ProviderClient, ProviderRequest, shared_client
from engine.calls.outcomes import NotSent, Outcome, Refused, Reply, Succeeded, Throttled, Unknown

__all__ = [
    "CallInTransaction",
    "NotSent",
    "Outcome",
    "Policy",
    "ProviderClient",
    "ProviderRequest",
    "Refused",
    "Reply",
    "Succeeded",
    "Throttled",
    "Unknown",
    "shared_client",
]
