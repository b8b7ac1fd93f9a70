from django.apps import AppConfig


class OrganizationsConfig(AppConfig):
    name = "shared.organizations"
    label = "organizations"

    def ready(self) -> None:
        """Let the API's throttle know the plans."""
        from engine.api import throttles
        from shared.organizations.limits import request_rate

        throttles.set_organization_rate(request_rate)
