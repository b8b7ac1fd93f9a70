"""One socket of a device: challenge, proof, and then frames until one side has enough."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from http.client import INTERNAL_SERVER_ERROR
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import structlog
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from pydantic import ValidationError

from engine import canonical_json, ids
from engine.errors import DomainError
from engine.tenancy import directory
from engine.tenancy.context import OrganizationContext, in_organization, in_routing_schema
from engine.tenancy.routing import SUSPENDED, host_name
from tenants.devices import selectors, services
from tenants.devices.gateway import frames, registry
from tenants.devices.gateway.budget import Budget
from tenants.devices.gateway.closing import Close
from tenants.devices.gateway.dispatcher import Dispatcher
from tenants.devices.gateway.refusal import refuse_handshake
from tenants.devices.gateway.registry import Frame, Handler, Reply, Session
from tenants.devices.rules.states import DeviceStatus

_NONCE_BYTES = 32
_CLOSE_WITHIN_S = 1.0
_BUSY_RETRY_MS = 500

_FRAME_ID = re.compile(registry.FRAME_ID)
F = TypeVar("F", bound=Frame)

log = structlog.get_logger("keystead.gateway")


class RefusedFrame(DomainError):
    """A frame that is not taken; the socket stays open."""

    code = "invalid_frame"
    title = "The frame is not valid"


class GatewayConsumer(AsyncWebsocketConsumer):
    """The device's end of the platform. `dispatcher` is the process's own."""

    # Devices are reached through the dispatcher: a channel layer of this name does not exist.
    channel_layer_alias: ClassVar[str] = "devices-have-none"

    def __init__(self, *, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._limits = dispatcher.limits
        self._organization: OrganizationContext | None = None
        self._session: Session | None = None
        self._nonce = ""
        self._audience = ""
        self._budget = Budget(per_second=self._limits.frames_per_second, burst=self._limits.frames_burst)
        self._faults = 0
        self._queue: asyncio.Queue[str] = asyncio.Queue(self._limits.send_queue_max)
        self._over = asyncio.Event()
        self._closing = False
        self._close_code: Close | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._commands_sent: dict[UUID, float] = {}
        self._delivering = asyncio.Lock()
        self._heard_at = 0.0
        self._accepted = False

    # --- The life of the socket ------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve until the device leaves, or until this side has ended the socket."""
        self._heard_at = asyncio.get_running_loop().time()
        serving = asyncio.create_task(super().__call__(scope, receive, send))
        helpers = [asyncio.create_task(one()) for one in (self._write, self._watch)]
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            self._closing = True
            for task in (serving, over, *helpers):
                task.cancel()
            await asyncio.gather(serving, over, *helpers, return_exceptions=True)
            await self._leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As the parent's, without its hop to a thread that this loop's connections never use."""
        match message["type"]:
            case "websocket.connect":
                await self.connect()
            case "websocket.receive":
                await self.receive(message.get("text"), message.get("bytes"))
            case "websocket.disconnect":
                raise StopConsumer

    async def connect(self) -> None:
        """Find out whose gateway was called, or refuse the handshake."""
        headers = dict(self.scope["headers"])
        host = host_name(headers.get(b"host", b"").decode("latin-1"))
        found = await in_routing_schema(directory.by_host, host) if host else None
        if found is None:
            await refuse_handshake(self.base_send, 404, "unknown_host", "Unknown host")
            raise StopConsumer
        if found.status == SUSPENDED:
            await refuse_handshake(self.base_send, 403, "organization_suspended", "Organization suspended")
            raise StopConsumer
        self._organization = found
        self._audience = selectors.gateway_url(organization=found)
        self._nonce = secrets.token_urlsafe(_NONCE_BYTES)
        await self.accept()
        self._accepted = True
        self.push(frames.Challenge(nonce=self._nonce, audience=self._audience))

    async def end(self, code: Close, reason: str) -> None:
        """Close the socket from this side. A device that does not take the close frame is cut off."""
        if self._closing:
            return
        self._closing = True
        self._close_code = code
        log.info("gateway.closing", code=int(code), reason=reason, **self._labels())
        if self._accepted:
            with contextlib.suppress(TimeoutError, ConnectionError, OSError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    # Let what was said before go out first, unless the device does not take it.
                    if code is not Close.SLOW:
                        await self._queue.join()
                    await self.close(code=int(code), reason=reason)
        self._over.set()

    async def _leave(self) -> None:
        # Handlers that are at work go on: their answers are stored, and given when the device asks again.
        if self._session is not None:
            await self._dispatcher.remove(self)
            with contextlib.suppress(Exception):
                await in_organization(
                    self._session.organization,
                    services.close_session,
                    session_id=self._session.id,
                    code=self._close_code,
                    clock=self._dispatcher.clock,
                )

    async def _watch(self) -> None:
        """End a socket that does not prove itself in time, or falls silent."""
        loop = asyncio.get_running_loop()
        while True:
            allowed = self._limits.silence_max_s if self._session else self._limits.authenticate_within_s
            left = self._heard_at + allowed - loop.time()
            if left <= 0:
                code = Close.SILENT if self._session else Close.NOT_AUTHENTICATED
                await self.end(code, "nothing was heard for too long")
                return
            await asyncio.sleep(min(left, 1.0))

    # --- What goes out ---------------------------------------------------------------------------

    def push(self, reply: Reply) -> None:
        """Queue a frame. A device that lets its queue fill up is cut off."""
        if self._closing:
            return
        try:
            self._queue.put_nowait(reply.model_dump_json(exclude_none=True))
        except asyncio.QueueFull:
            self._cut_off()

    async def _write(self) -> None:
        while True:
            text = await self._queue.get()
            try:
                async with asyncio.timeout(self._limits.send_within_s):
                    await self.send(text_data=text)
            except TimeoutError:
                self._cut_off()
                return
            except (ConnectionError, OSError):
                self._over.set()
                return
            finally:
                self._queue.task_done()

    def _cut_off(self) -> None:
        self._ending = asyncio.create_task(self.end(Close.SLOW, "the device does not read its frames"))

    async def deliver(self) -> None:
        """Write the commands that wait for this device, unless they were written a moment ago."""
        if self._session is None or self._closing or self._delivering.locked():
            return
        async with self._delivering:
            now = asyncio.get_running_loop().time()
            recent = [
                command_id
                for command_id, sent_at in self._commands_sent.items()
                if now - sent_at < self._limits.redeliver_after_s
            ]
            room = self._limits.send_queue_max // 2 - self._queue.qsize()
            if room <= 0:
                return
            commands = await in_organization(
                self._session.organization,
                services.take_commands,
                device_id=self._session.device.id,
                except_ids=recent,
                limit=room,
                clock=self._dispatcher.clock,
            )
            for command in commands:
                self._commands_sent[command.id] = now
                self.push(frames.Command(command=command.public_id, name=command.name, body=command.body))

    # --- What comes in ---------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one message of the device."""
        if self._closing:
            return
        self._heard_at = asyncio.get_running_loop().time()
        raw: dict[str, Any] = {}
        try:
            if not self._budget.take(self._heard_at):
                await self.end(Close.TOO_FAST, "too many frames")
                return
            if len((text_data or "").encode(errors="replace")) > self._limits.frame_bytes_max:
                await self.end(Close.MESSAGE_TOO_BIG, "the frame is too big")
                return
            raw = _parsed(text_data)
            await self._take(raw)
        except DomainError as error:
            await self._refuse(raw, error)

    async def _take(self, raw: dict[str, Any]) -> None:
        kind = raw.get("type")
        if self._session is None:
            if kind != "authenticate":
                raise RefusedFrame("Authenticate first.", field="type")
            await self._authenticate(_checked(frames.Authenticate, raw))
            return
        self._dispatcher.presence.heard(self._session.organization, self._session.device.id, self._dispatcher.clock())
        match kind:
            case "heartbeat":
                beat = _checked(frames.Heartbeat, raw)
                self.push(frames.HeartbeatReply(re=beat.id))
            case "acknowledge":
                await self._acknowledge(self._session, _checked(frames.Acknowledge, raw))
            case _:
                handler = registry.find(kind)
                if handler is None:
                    raise RefusedFrame("Frames of this type are not known here.", field="type")
                frame = _checked(handler.frame, raw)
                if len(self._working) >= self._limits.in_flight_max:
                    raise BusyError("Wait for an answer first.", retry_after_ms=_BUSY_RETRY_MS)
                task = asyncio.create_task(self._work(self._session, handler, frame, raw))
                self._working.add(task)
                task.add_done_callback(self._working.discard)

    async def _authenticate(self, frame: frames.Authenticate) -> None:
        if self._organization is None:
            raise RuntimeError("a frame before the handshake")
        # The handshake was a while ago, and a socket without a proof is not among those that are looked after.
        organization = await in_routing_schema(directory.by_id, self._organization.id)
        if organization is None or organization.status == SUSPENDED:
            await self.end(Close.REVOKED, "the organization is suspended")
            return
        try:
            opened = await in_organization(
                organization,
                services.open_session,
                token=frame.token,
                nonce=self._nonce,
                audience=self._audience,
                clock=self._dispatcher.clock,
            )
        except services.NotProvenError as error:
            log.info("gateway.refused", reason=error.extra.get("reason"), **self._labels())
            self.push(_error(error, answers=frame.id))
            await self.end(Close.NOT_AUTHENTICATED, "the proof was not accepted")
            return
        session = Session(
            id=opened.session_id,
            organization=organization,
            device=opened.device,
            credential_id=opened.credential_id,
            key=opened.key,
        )
        resume = await in_organization(organization, registry.resumed, session=session)
        if self._closing:
            return
        self._session = session
        self._dispatcher.presence.heard(organization, session.device.id, self._dispatcher.clock())
        await self._dispatcher.add(self)
        self.push(
            frames.Ready(
                re=frame.id,
                session=ids.encode("gws", session.id),
                status="quarantined" if opened.status == DeviceStatus.QUARANTINED else "active",
                heartbeat_interval_ms=self._limits.heartbeat_interval_ms,
                resume=resume,
            )
        )
        await self.deliver()

    async def _acknowledge(self, session: Session, frame: frames.Acknowledge) -> None:
        try:
            command_id = ids.decode("cmd", frame.command)
        except ids.InvalidId as error:
            raise RefusedFrame(str(error), field="command") from error
        await in_organization(
            session.organization,
            services.acknowledge,
            device_id=session.device.id,
            command_id=command_id,
            clock=self._dispatcher.clock,
        )
        self._commands_sent.pop(command_id, None)
        self.push(frames.Acknowledged(re=frame.id, command=frame.command))

    async def _work(self, session: Session, handler: Handler, frame: Frame, raw: dict[str, Any]) -> None:
        gate: Any = self._dispatcher.slow_turn(session.organization.id) if handler.slow else contextlib.nullcontext()
        try:
            async with gate:
                reply = await in_organization(
                    session.organization, _served, handler=handler, session=session, frame=frame, raw=raw
                )
            self.push(reply.model_copy(update={"re": frame.id}))
        except services.SessionEndedError as error:
            await self._refuse(raw, error)
            await self.end(Close.REVOKED, "the device or its credential was revoked")
        except DomainError as error:
            await self._refuse(raw, error)
        except Exception:
            log.exception("gateway.frame_failed", frame=handler.name, **self._labels())
            await self._refuse(raw, InternalError("Send the frame again."))

    async def _refuse(self, raw: dict[str, Any], error: DomainError) -> None:
        if error.status < INTERNAL_SERVER_ERROR:
            # What is broken on this side is nothing to cut a device off for.
            self._faults += 1
        name, sequence = raw.get("id"), raw.get("sequence")
        self.push(
            _error(
                error,
                answers=name if isinstance(name, str) and _FRAME_ID.match(name) else None,
                sequence=sequence if type(sequence) is int else None,
            )
        )
        if self._faults >= self._limits.faults_max:
            await self.end(Close.TOO_MANY_FAULTS, "too many refused frames")

    # --- Small things ----------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """The authenticated session. Raises RuntimeError before there is one."""
        if self._session is None:
            raise RuntimeError("the device has not proven itself")
        return self._session

    def _labels(self) -> dict[str, str]:
        labels = {}
        if self._organization is not None:
            labels["organization"] = str(self._organization.id)
        if self._session is not None:
            labels["device"] = self._session.device.public_id
        return labels


class BusyError(DomainError):
    """The device has as many unanswered frames as it may have."""

    code = "busy"
    status = 429
    title = "Too many frames are waiting for an answer"


class InternalError(DomainError):
    """Something broke on this side."""

    code = "internal_error"
    status = 500
    title = "Something went wrong on our side"


def _served(*, handler: Handler, session: Session, frame: Frame, raw: dict[str, Any]) -> Reply:
    services.require_standing(
        device_id=session.device.id, credential_id=session.credential_id, in_quarantine=handler.in_quarantine
    )
    return handler.function(session=session, frame=frame, raw=raw)


def _parsed(text: str | None) -> dict[str, Any]:
    if text is None:
        raise RefusedFrame("Frames are text.")
    try:
        value = canonical_json.decode(text)
    except canonical_json.NotCanonical as error:
        raise RefusedFrame(f"The frame cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise RefusedFrame("A frame is a JSON object.")
    return value


def _checked(schema: type[F], raw: dict[str, Any]) -> F:
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in fault["loc"])
        # Names of unknown members are the device's own words: they may hold anything.
        named = field[:128].encode("ascii", "backslashreplace").decode()
        raise RefusedFrame(f"{fault['msg']}.", field=named or None) from error


def _error(error: DomainError, *, answers: str | None, sequence: int | None = None) -> frames.Error:
    retry = error.extra.get("retry_after_ms")
    return frames.Error(
        re=answers,
        code=error.code,
        detail=error.detail or error.title,
        field=error.field,
        sequence=sequence,
        retry_after_ms=retry if isinstance(retry, int) else None,
    )
