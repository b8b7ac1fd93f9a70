from django.apps import AppConfig


class OrganizationsConfig(AppConfig):
    name = "shared.organizations"
    label = "organizations"
