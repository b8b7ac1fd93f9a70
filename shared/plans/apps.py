from django.apps import AppConfig


class PlansConfig(AppConfig):
    name = "shared.plans"
    label = "plans"
