"""Django's settings. Nothing is decided here that the environment could decide: see environment.py."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote

from config import environment as _environment
from config import logging as _logging
from engine.api import defaults as _api

ENV = _environment.load()

DEBUG = False
SECRET_KEY = ENV.secret_key.get_secret_value()
# Hosts are matched exactly, against the domain table, by engine.tenancy.routing.
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
APPEND_SLASH = False
ROOT_URLCONF = "config.urls_nowhere"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Which schema an app's tables stand in -------------------------------------------------------

_BOTH = [
    "shared.accounts",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "engine.idempotency",
    "engine.inbox",
]
SHARED_APPS = [
    "shared.plans",
    "shared.organizations",
    "shared.operators",
    "shared.operator_log",
    "engine.outbox",
    "provisioning",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    # Not its autodiscovery: the pages are provisioning's, and one host's.
    "django.contrib.admin.apps.SimpleAdminConfig",
    # No tables of its own; those of its plugins stand in both.
    "django_otp",
    *_BOTH,
]
TENANT_APPS = [
    "tenants.keyring",
    "tenants.events",
    "tenants.audit",
    "tenants.usage",
    "tenants.sites",
    "oauth2_provider",
    "tenants.access",
    "tenants.signin",
    "tenants.webhooks",
    "tenants.devices",
    "tenants.identity",
    "tenants.payments",
    "tenants.checkouts",
    *_BOTH,
]
INSTALLED_APPS = [
    *dict.fromkeys([*SHARED_APPS, *TENANT_APPS]),
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "engine.api",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
]
# Named by django-tenants' backend, which ours subclasses.
TENANT_MODEL = "organizations.Organization"
TENANT_DOMAIN_MODEL = "organizations.Domain"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
TENANCY_DIRECTORY = "shared.organizations.directory"
AUTH_USER_MODEL = "accounts.User"
OAUTH2_PROVIDER_APPLICATION_MODEL = "access.App"

# --- The database --------------------------------------------------------------------------------

_db = ENV.effective_database_url
DATABASES = {
    "default": {
        "ENGINE": "engine.tenancy.postgres_logins" if ENV.isolation == "login" else "engine.tenancy.postgres",
        "NAME": _db.path.lstrip("/"),
        "USER": unquote(_db.username or ""),
        "PASSWORD": unquote(_db.password or ""),
        "HOST": _db.hostname or "",
        "PORT": str(_db.port or 5432),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": f"keystead-{ENV.process}",
        },
    }
}
DATABASE_ORGANIZATIONS_PER_CONNECTION = ENV.organizations_per_connection
DATABASE_LOGIN_SECRETS = ENV.login_secrets
DATABASE_LOGIN_CONNECTIONS = ENV.login_connections
DATABASE_LOGIN_IDLE_SECONDS = ENV.login_idle_seconds
HOLDS_OWNER_LOGIN = ENV.owner_database_url is not None

# --- HTTP ----------------------------------------------------------------------------------------

BASE_SCHEME = ENV.base.scheme
BASE_DOMAIN = ENV.base.hostname or ""
BASE_PORT = ENV.base.port
GATEWAY_SCHEME = ENV.gateway.scheme
GATEWAY_PORT = ENV.gateway.port
PLATFORM_HOST = f"platform.{BASE_DOMAIN}"
HOOKS_HOST = f"hooks.{BASE_DOMAIN}"

MIDDLEWARE = [
    *_api.OUTER_MIDDLEWARE,
    "engine.tenancy.routing.OrganizationMiddleware",
    # Behind the organization: an unknown host has no static files either.
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *_api.INNER_MIDDLEWARE,
]
REST_FRAMEWORK = {
    **_api.REST_FRAMEWORK,
    # In this order: the second takes every bearer token that the first left.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "shared.accounts.api.authentication.SessionTokenAuthentication",
        "tenants.access.api.authentication.AppTokenAuthentication",
    ],
}
SPECTACULAR_SETTINGS = _api.SPECTACULAR_SETTINGS
TRUSTED_PROXIES = ENV.proxy_networks
DATA_UPLOAD_MAX_MEMORY_SIZE = ENV.body_bytes_max
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
STATIC_URL = "/static/"
# The static files of the installed apps are served where they lie: there is no step to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
# The operators' pages (provisioning.admin). They have our own sessions, so none of Django's middleware.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410"]
CSRF_COOKIE_NAME = "__Host-keystead-csrf"
CSRF_COOKIE_SECURE = CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
# A proxy that ends TLS makes our own origin look like another's.
CSRF_TRUSTED_ORIGINS = [f"{BASE_SCHEME}://{PLATFORM_HOST}" + (f":{BASE_PORT}" if BASE_PORT else "")]
# What the messages' cookie takes over.
SESSION_COOKIE_SECURE = SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Strict"
AUTHENTICATION_BACKENDS: list[str] = []
PASSWORD_HASHERS = ["shared.accounts.hashers.Argon2idHasher"]

# --- OAuth (tenants.access.oauth fits the toolkit to the platform) -------------------------------

OAUTH2_PROVIDER = {
    "OAUTH2_SERVER_CLASS": "tenants.access.oauth.TokenServer",
    "OAUTH2_VALIDATOR_CLASS": "tenants.access.oauth.AccessValidator",
    "SCOPES_BACKEND_CLASS": "tenants.access.oauth.GrantedScopes",
    "ACCESS_TOKEN_GENERATOR": "tenants.access.oauth.new_access_token",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    # The toolkit's grace period hands out a token that it has to keep in clear: we keep hashes.
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}

# --- Everything else -----------------------------------------------------------------------------

IS_DEVELOPMENT = ENV.environment == "development"
REDIS_URL = ENV.redis_url.get_secret_value()
KMS_URL = ENV.kms_url
BLOB_URL = ENV.blob_url
MATCHER_URL = ENV.matcher_url
SERVICE_KEY_FILE = ENV.service_key_file
DNS_SERVERS = ENV.name_servers
OFFBOARDING_GRACE = timedelta(hours=ENV.offboarding_grace_hours)
MAIL_URL = ENV.mail_url.get_secret_value()
MAIL_FROM = ENV.mail_from or f"no-reply@{BASE_DOMAIN}"
IDENTITY_PROVIDER_ALLOW_PRIVATE = ENV.identity_provider_allow_private
BREACHED_PASSWORDS_FILE = ENV.breached_passwords_file
WEBHOOK_ALLOW_PRIVATE = ENV.webhook_allow_private
OUTBOX_VISIBILITY_TIMEOUT_MS = ENV.outbox_visibility_timeout_ms
READY_SCHEMAS = ENV.ready_schemas
READY_SCHEMAS_PACE_MS = ENV.ready_schemas_pace_ms
ORGANIZATION_CONCURRENCY = ENV.organization_concurrency
LOGGING = _logging.configure(log_format=ENV.log_format, level=ENV.log_level)
