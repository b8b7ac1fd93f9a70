"""The environment of the tests: embedded servers and the KEYSTEAD_* settings that point at them.

Real servers are used instead when KEYSTEAD_TEST_POSTGRES_URL (a superuser) and
KEYSTEAD_TEST_REDIS_URL are given.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

from devkit.sharing import shared_embedded
from engine import service_tokens
from engine.keys.adapters import file as file_kms

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".keystead" / "test"
OWNER_PASSWORD = "owner-of-tests"
APP_PASSWORD = "app-of-tests"
LOGIN_SECRET = "a secret of logins that only the tests know"
ISOLATION = os.environ.get("KEYSTEAD_ISOLATION", "role")
BASE_DOMAIN = "keystead.test"
KMS_URL = f"file://{STATE / 'kms'}?key_id=platform"
# The test suite stands in for the matcher when it makes organizations; nothing else opens this one.
BIOMETRIC_KMS_URL = f"file://{STATE / 'kms-biometric'}?key_id=biometric"
SERVICE_KEY = STATE / "service.key"
SERVICE_PUBLIC_KEY = STATE / "service.pub"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
DATABASE = f"ks_test_{os.getpid()}_{WORKER}"


def database_url(*, user: str, password: str, database: str) -> str:
    """The URL of a database on the test server for one of its logins."""
    server = urlsplit(os.environ["KEYSTEAD_TEST_POSTGRES_URL"])
    return f"postgresql://{user}:{password}@{server.hostname}:{server.port}/{database}"


def owner_url(database: str) -> str:
    return database_url(user="ks_owner", password=OWNER_PASSWORD, database=database)


def app_url(database: str) -> str:
    return database_url(user="ks_app", password=APP_PASSWORD, database=database)


def _make_keys() -> None:
    """Keys that outlive the test run, as what the template database holds is wrapped with them."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "keys.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder, name in (("kms", "platform"), ("kms-biometric", "biometric")):
            with contextlib.suppress(file_kms.KeyExists):
                file_kms.create_key(STATE / folder, name)
        if not SERVICE_KEY.exists():
            service_tokens.create_key_pair(private_path=SERVICE_KEY, public_path=SERVICE_PUBLIC_KEY)


def _heed_signals() -> None:
    """Undo what nohup and a background job of a shell do: they have SIGHUP and SIGINT ignored.

    Ignoring is inherited, and the suites send both to the programs that they start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def set_up() -> None:
    """Join the servers and set the environment of this process, from scratch."""
    if "KEYSTEAD_TEST_POSTGRES_URL" not in os.environ:
        stack = contextlib.ExitStack()
        servers = stack.enter_context(shared_embedded(STATE / "servers"))
        atexit.register(stack.close)
        os.environ["KEYSTEAD_TEST_POSTGRES_URL"] = servers.postgres_url
        os.environ["KEYSTEAD_TEST_REDIS_URL"] = servers.redis_url
    _heed_signals()
    _make_keys()
    # Whatever the shell that runs the tests has set belongs to another Keystead.
    for name in [name for name in os.environ if name.startswith("KEYSTEAD_")]:
        if not name.startswith("KEYSTEAD_TEST_") and name != "KEYSTEAD_CONTRACTS":
            del os.environ[name]
    blobs = STATE / f"blobs-{os.getpid()}"
    blobs.mkdir(parents=True, exist_ok=True)
    atexit.register(shutil.rmtree, blobs, ignore_errors=True)
    os.environ.update(
        KEYSTEAD_ENVIRONMENT="development",
        KEYSTEAD_PROCESS="test",
        KEYSTEAD_ISOLATION=ISOLATION,
        KEYSTEAD_LOGIN_SECRET=LOGIN_SECRET,
        KEYSTEAD_BASE_URL=f"http://{BASE_DOMAIN}",
        KEYSTEAD_DATABASE_URL=app_url(DATABASE),
        KEYSTEAD_REDIS_URL=os.environ["KEYSTEAD_TEST_REDIS_URL"],
        KEYSTEAD_SECRET_KEY="a secret that only the tests know, and need",
        KEYSTEAD_KMS_URL=KMS_URL,
        KEYSTEAD_SERVICE_KEY_FILE=str(SERVICE_KEY),
        KEYSTEAD_BLOB_URL=f"file://{blobs}",
        KEYSTEAD_MATCHER_URL="http://127.0.0.1:1",
        KEYSTEAD_WEBHOOK_ALLOW_PRIVATE="true",
        KEYSTEAD_LOG_FORMAT="console",
    )
