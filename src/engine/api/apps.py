"""The conventions as a Django app: static files of the documentation page, no tables."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Registered so that the documentation page's own script is collected with the static files."""

    name = "engine.api"
    label = "engine_api"
