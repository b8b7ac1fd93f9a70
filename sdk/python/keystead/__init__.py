"""Keystead's client for Python: people, payments and devices of one organization."""

from keystead import types
from keystead._client import Keystead, Platform
from keystead._device import CheckoutResult, Device, DeviceKey
from keystead._errors import (
    APIError,
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    FieldError,
    GatewayError,
    InvalidRequestError,
    KeysteadError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SignatureError,
)
from keystead._webhooks import Webhook

__all__ = [
    "APIError",
    "AuthenticationError",
    "CheckoutResult",
    "ConflictError",
    "ConnectionFailed",
    "Device",
    "DeviceKey",
    "FieldError",
    "GatewayError",
    "InvalidRequestError",
    "Keystead",
    "KeysteadError",
    "NotFoundError",
    "PermissionDeniedError",
    "Platform",
    "RateLimitError",
    "ServerError",
    "SignatureError",
    "Webhook",
    "types",
]
