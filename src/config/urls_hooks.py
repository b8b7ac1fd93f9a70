"""What providers call: each view enters the organization of the account in its path."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
