from django.apps import AppConfig


class KeyringConfig(AppConfig):
    name = "tenants.keyring"
    label = "keyring"
