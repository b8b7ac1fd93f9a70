"""The ASGI application: authentication, idempotency keys, faults, and one operation per path."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from devkit.sandbox import behaviours, control, forms, payment_intents, resources
from devkit.sandbox.behaviours import Fault, Kind
from devkit.sandbox.call import Call
from devkit.sandbox.errors import StripeError
from devkit.sandbox.objects import API_VERSION
from devkit.sandbox.store import Account, Answer, Store, new_id
from devkit.sandbox.webhooks import Deliverer

MAX_BODY_BYTES = 64 * 1024
MAX_KEY_LENGTH = 255
DEFAULT_KEY_LIFETIME_S = 24 * 3600.0

Operation: TypeAlias = "Callable[..., dict[str, Any]]"

_ID = r"(?P<identifier>[A-Za-z0-9_]+)"
_ROUTES: list[tuple[str, str, str, Operation]] = [
    ("POST", "payment_intents", "payment_intents.create", payment_intents.create),
    ("GET", "payment_intents/search", "payment_intents.search", payment_intents.search),
    ("GET", f"payment_intents/{_ID}", "payment_intents.retrieve", payment_intents.retrieve),
    ("POST", f"payment_intents/{_ID}/confirm", "payment_intents.confirm", payment_intents.confirm),
    ("POST", f"payment_intents/{_ID}/capture", "payment_intents.capture", payment_intents.capture),
    ("POST", f"payment_intents/{_ID}/cancel", "payment_intents.cancel", payment_intents.cancel),
    ("POST", "customers", "customers.create", resources.create_customer),
    ("GET", f"customers/{_ID}", "customers.retrieve", resources.retrieve_customer),
    ("POST", "payment_methods", "payment_methods.create", resources.create_method),
    ("GET", f"payment_methods/{_ID}", "payment_methods.retrieve", resources.retrieve_method),
    ("POST", f"payment_methods/{_ID}/attach", "payment_methods.attach", resources.attach_method),
    ("POST", f"payment_methods/{_ID}/detach", "payment_methods.detach", resources.detach_method),
    ("GET", "charges", "charges.list", resources.list_charges),
    ("GET", f"charges/{_ID}", "charges.retrieve", resources.retrieve_charge),
    ("POST", "refunds", "refunds.create", resources.create_refund),
    ("GET", "refunds", "refunds.list", resources.list_refunds),
    ("GET", f"refunds/{_ID}", "refunds.retrieve", resources.retrieve_refund),
    ("GET", "events", "events.list", resources.list_events),
    ("GET", f"events/{_ID}", "events.retrieve", resources.retrieve_event),
    ("POST", "webhook_endpoints", "webhook_endpoints.create", resources.create_endpoint),
    ("GET", "webhook_endpoints", "webhook_endpoints.list", resources.list_endpoints),
]
ROUTES = [(method, re.compile(f"/v1/{path}/?\\Z"), name, run) for method, path, name, run in _ROUTES]
OPERATIONS = frozenset(name for _, _, name, _ in ROUTES)


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class Sandbox:
    """The application. ``clock`` answers seconds since the epoch; ``seed`` makes fault rates
    repeatable.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, seed: int = 0) -> None:
        self.store = store
        self.clock = clock
        self._random = Random(seed)
        self._running: set[tuple[str, str]] = set()
        self._deliverer = Deliverer(store, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError("the sandbox speaks HTTP only")
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Dropped:
            await _cut(receive, send)
            return
        await response(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        task = asyncio.create_task(self._deliverer.run(self._do_later))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await send({"type": "lifespan.shutdown.complete"})

    async def _respond(self, request: Request) -> Response:
        body = await _read(request)
        if request.url.path.startswith("/_control/"):
            return control.respond(self.store, request.method, request.url.path, body, self.clock())
        request_id = new_id("req")
        try:
            if body is None:
                raise StripeError(413, "invalid_request_error", "Request body is too large.")
            return await self._operate(request, body, request_id)
        except StripeError as error:
            return _json(error.status, json.dumps({"error": error.error}), request_id)

    async def _operate(self, request: Request, body: bytes, request_id: str) -> Response:
        account = self.store.account(_secret_key(request.headers.get("authorization", "")))
        operation, run, arguments = _route(request.method, request.url.path)
        raw = body if request.method == "POST" else request.url.query.encode()
        try:
            params = forms.decode(raw)
        except forms.MalformedFormError as error:
            raise StripeError(400, "invalid_request_error", str(error), param=error.param) from error
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        if key is not None and not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise StripeError(400, "idempotency_error", "Idempotency keys hold 1 to 255 characters.")
        faults = behaviours.take(self.store, account, operation, self._random)
        await self._before(faults)
        call = Call(self.store, account, params, self.clock(), request_id, key)
        call.decline = next((fault.decline_code for fault in behaviours.of_kind(faults, Kind.DECLINE)), None)
        if key is None:
            return await self._execute(call, run, arguments, faults, fingerprint="")
        fingerprint = hashlib.sha256(
            json.dumps([request.method, request.url.path, params], sort_keys=True).encode()
        ).hexdigest()
        if (account.id, key) in self._running:
            raise StripeError(
                409,
                "idempotency_error",
                "There is currently another in-progress request using this Idempotent Key.",
                code="idempotency_key_in_use",
            )
        self.store.forget_answers(call.now - self.store.setting("key_lifetime_s", DEFAULT_KEY_LIFETIME_S))
        known = self.store.answer(account, key)
        if known is not None:
            if known.fingerprint != fingerprint:
                raise StripeError(
                    400,
                    "idempotency_error",
                    "Keys for idempotent requests can only be used with the same parameters they"
                    " were first"
                    f" used with. Try using a key other than '{key}' if you meant to execute a"
                    f" different request.",
                )
            # A network that swallows answers swallows these too.
            await _swallow(next(behaviours.of_kind(faults, Kind.DROP_AFTER, Kind.SLOW_AFTER), None))
            replayed = {"Idempotent-Replayed": "true", "Original-Request": known.request_id}
            return _json(known.status, known.body, request_id, replayed)
        self._running.add((account.id, key))
        try:
            return await self._execute(call, run, arguments, faults, fingerprint=fingerprint)
        finally:
            self._running.discard((account.id, key))

    async def _before(self, faults: list[Fault]) -> None:
        """Faults of the edge: the request never reaches its operation and nothing is stored."""
        for fault in faults:
            match fault.kind:
                case Kind.REVOKED:
                    raise StripeError(401, "invalid_request_error", "Invalid API Key provided.")
                case Kind.FORBIDDEN:
                    raise StripeError(
                        403,
                        "invalid_request_error",
                        "This account cannot make charges.",
                        code="account_invalid",
                    )
                case Kind.THROTTLED:
                    raise StripeError(429, "invalid_request_error", "Too many requests.", code="rate_limit")
                case Kind.UNAVAILABLE:
                    raise StripeError(503, "api_error", "The service is unavailable.")
                case Kind.DROP_BEFORE:
                    raise Dropped
                case _:
                    continue

    async def _execute(
        self,
        call: Call,
        run: Operation,
        arguments: dict[str, str],
        faults: list[Fault],
        *,
        fingerprint: str,
    ) -> Response:
        for fault in behaviours.of_kind(faults, Kind.SLOW_BEFORE):
            await asyncio.sleep(fault.delay_ms / 1000)
        after = next(
            behaviours.of_kind(faults, Kind.DROP_AFTER, Kind.ERROR_AFTER, Kind.SLOW_AFTER, Kind.ERROR_BEFORE),
            None,
        )
        try:
            status, body = self._commit(call, run, arguments, after, fingerprint)
        except payment_intents.CardFault as strike:
            # The card's fault is this request's: same request again, with the fault on its side of
            # the effect.
            after = Fault(kind=strike.kind, delay_ms=strike.delay_ms)
            with self.store.transaction():
                payment_intents.mark_struck(call, strike.intent)
            await self._before([after])
            if after.kind is Kind.SLOW_BEFORE:
                await asyncio.sleep(after.delay_ms / 1000)
            call.faulty = True
            status, body = self._commit(call, run, arguments, after, fingerprint)
        await _swallow(after)
        return _json(status, body, call.request_id)

    def _commit(
        self,
        call: Call,
        run: Operation,
        arguments: dict[str, str],
        after: Fault | None,
        fingerprint: str,
    ) -> tuple[int, str]:
        """Run an operation and keep its effect, its events and its answer in one transaction."""
        failing = after is not None and after.kind in (Kind.ERROR_BEFORE, Kind.ERROR_AFTER)
        oops = json.dumps({"error": {"type": "api_error", "message": "An unknown error occurred."}})
        refused: StripeError | None = None
        with self.store.transaction():
            status, body = 200, "{}"
            if after is None or after.kind is not Kind.ERROR_BEFORE:
                try:
                    body = json.dumps(run(call, **arguments))
                except StripeError as error:
                    if not error.stored:
                        raise
                    refused = error
            if refused is not None:
                status, body = refused.status, json.dumps({"error": refused.error})
            if failing:
                status, body = 500, oops
            if call.key is not None:
                answer = Answer(fingerprint, status, body, call.request_id)
                self.store.keep_answer(call.account, call.key, answer, call.now)
        return status, body

    def _do_later(self, account: Account, action: str, object_id: str) -> None:
        """What the provider does by itself."""
        call = Call(self.store, account, {}, self.clock(), new_id("req"), None)
        actions: dict[str, Callable[[Call, str], None]] = {
            "finish_processing": payment_intents.finish_processing,
            "finish_refund": resources.finish_refund,
            "fail_refund": resources.fail_refund,
        }
        actions[action](call, object_id)


def _json(status: int, body: str, request_id: str, headers: dict[str, str] | None = None) -> Response:
    return Response(
        body,
        status,
        {"Request-Id": request_id, "Stripe-Version": API_VERSION} | (headers or {}),
        media_type="application/json",
    )


def _route(method: str, path: str) -> tuple[str, Operation, dict[str, str]]:
    for wanted, pattern, name, run in ROUTES:
        match = pattern.match(path)
        if match is not None and wanted == method:
            return name, run, match.groupdict()
    raise StripeError(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")


def _secret_key(header: str) -> str:
    """The secret key of ``Bearer sk_test_...`` or of basic authentication's user name."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "basic":
        try:
            value = base64.b64decode(value, validate=True).decode("ascii").partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            value = ""
    if scheme.lower() not in ("bearer", "basic") or not value:
        raise StripeError(401, "invalid_request_error", "You did not provide an API key.")
    if not value.startswith(("sk_test_", "rk_test_")):
        raise StripeError(401, "invalid_request_error", f"Invalid API Key provided: {value[:8]}****")
    return value


async def _swallow(fault: Fault | None) -> None:
    """Keep an answer from its caller, for a while or for good."""
    if fault is not None and fault.kind is Kind.DROP_AFTER:
        raise Dropped
    if fault is not None and fault.kind is Kind.SLOW_AFTER:
        await asyncio.sleep(fault.delay_ms / 1000)


async def _read(request: Request) -> bytes | None:
    """The body, or None when it is larger than the sandbox takes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


async def _cut(receive: Receive, send: Send) -> None:
    """Close the connection without a byte. ASGI has no word for it, so the server's transport is
    asked.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        await JSONResponse({"error": "cannot drop connections under this server"}, 500)({"type": "http"}, receive, send)
        return
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        continue
