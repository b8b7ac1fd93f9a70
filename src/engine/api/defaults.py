"""What the settings take over: DRF, drf-spectacular and the order of our middleware."""

from __future__ import annotations

from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["engine.api.parsing.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "engine.api.parsing.JSONOnly",
    "DEFAULT_PERMISSION_CLASSES": ["engine.api.access.DeclaredPermission"],
    "DEFAULT_PAGINATION_CLASS": "engine.api.pagination.KeyPagination",
    "DEFAULT_SCHEMA_CLASS": "engine.api.schema.KeysteadSchema",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_THROTTLE_CLASSES": ["engine.api.throttles.PrincipalThrottle"],
    "EXCEPTION_HANDLER": "engine.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": "engine.api.anonymous.Anonymous",
    "URL_FORMAT_OVERRIDE": None,
    "COERCE_DECIMAL_TO_STRING": True,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "TEST_REQUEST_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
"""The settings add DEFAULT_AUTHENTICATION_CLASSES, which the engine cannot know."""

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "OAS_VERSION": "3.0.3",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "SCHEMA_PATH_PREFIX": "/v1/",
    "SORT_OPERATION_PARAMETERS": True,
    # Enumerations stay where they are used: made into components, their names change with the others.
    "POSTPROCESSING_HOOKS": [],
    "GET_LIB_DOC_EXCLUDES": "engine.api.schema.undescribed_classes",
    "ENFORCE_NON_BLANK_FIELDS": True,
}

OUTER_MIDDLEWARE = [
    "engine.api.requests.RequestIdMiddleware",
    "engine.api.problems.ProblemMiddleware",
]
"""First of all middleware: what fails inside still gets an id and a problem document."""

INNER_MIDDLEWARE = ["engine.api.parsing.BodyLimitMiddleware"]
"""Behind the tenancy middleware and before any that reads a body (CSRF)."""
