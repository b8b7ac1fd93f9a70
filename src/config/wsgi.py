"""The api process: granian serves `application`."""

import os

from django.core.wsgi import get_wsgi_application

from engine.keys.material import forbid_core_dumps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# This process opens the secrets tree.
forbid_core_dumps()
application = get_wsgi_application()
