"""A pytest plugin: sets the environment before pytest-django reads the settings."""

from tests.harness import environment

environment.set_up()
