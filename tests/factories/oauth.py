"""Apps that act for members, and members who let them: driven as a browser and an app would, over any transport.

app = member_app(org_a, delegated_scopes=["sites.read"])
browser = signed_in_browser(over_django(org_a), factory.member(org_a))
tokens = app.tokens(browser, scope="openid offline_access sites.read")
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from engine.clock import utc_now
from engine.principals import SYSTEM
from engine.tenancy.context import OrganizationContext, organization
from tenants.access import clients
from tenants.access import services as access
from tenants.access.rules import GrantType
from tests.conftest import client_of
from tests.factories.access import PASSWORD, Member

SESSION_COOKIE = "__Host-keystead-session"
CALLBACK = "https://app.example/callback"
FORM = "application/x-www-form-urlencoded"
DEVICE_GRANT = GrantType.DEVICE_CODE.value
MEMBER_GRANTS = (GrantType.AUTHORIZATION_CODE.value, DEVICE_GRANT)
_PROOF = re.compile(r'name="proof" value="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str
    body: Any = None


Send = Callable[..., Answer]
"""send(method, path, form=None, headers=None): no cookies, no redirects."""


def over_django(org: OrganizationContext) -> Send:
    """Through Django's test client, from an address of its own: limits are counted by address."""
    address = str(ip_address(0x0A000000 + secrets.randbits(24)))

    def send(
        method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        client = client_of(org)
        body = urlencode(form) if form is not None else ""
        answer = client.generic(method, path, body, content_type=FORM, headers=dict(headers or {}), REMOTE_ADDR=address)
        is_json = "json" in answer.headers.get("Content-Type", "")
        lines = {**answer.headers, **({"Set-Cookie": answer.cookies.output(header="")} if answer.cookies else {})}
        return Answer(answer.status_code, lines, answer.content.decode(), answer.json() if is_json else None)

    return send


def over_http(org: OrganizationContext, *, port: int) -> Send:
    """Through a socket, to a server on this machine that believes from which address we come."""
    host, address = urlsplit(org.issuer).netloc, str(ip_address(0x0A000000 + secrets.randbits(24)))
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def send(
        method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        sent = {"Host": host, "X-Forwarded-For": address, **(headers or {})}
        answer = client.request(method, path, data=dict(form) if form is not None else None, headers=sent)
        is_json = "json" in answer.headers.get("Content-Type", "")
        return Answer(answer.status_code, answer.headers, answer.text, answer.json() if is_json else None)

    return send


@dataclass
class Browser:
    """A member's browser: keeps the cookies that it is given, also over http, as browsers do on localhost."""

    send: Send
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self._request("GET", path, None, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        return self._request("POST", path, form, headers)

    def submit(self, path: str, page: Answer, form: Mapping[str, str]) -> Answer:
        """Fill in the form of a page that came from the same path."""
        return self.post(path, {"proof": proof_of(page), **form})

    def sign_in(self, email: str, *, path: str = "/oauth/sign-in", password: str = PASSWORD) -> Answer:
        return self.submit(path, self.get(path), {"email": email, "password": password})

    def _request(self, method: str, path: str, form: Any, headers: Mapping[str, str]) -> Answer:
        if self.cookies:
            headers = {**headers, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = self.send(method, path, form, headers)
        for name, value in re.findall(r"(__Host-[a-z-]+)=([^;\s]*)", answer.headers.get("Set-Cookie", "")):
            self.cookies[name] = value
        return answer


def proof_of(page: Answer) -> str:
    found = _PROOF.search(page.text)
    assert found, (page.status, page.text)
    return found.group(1)


def signed_in_browser(send: Send, member: Member) -> Browser:
    """A browser with the cookie that the sign-in page gives."""
    return Browser(send, {SESSION_COOKIE: member.token})


@dataclass(frozen=True, slots=True)
class MemberApp:
    """An app that asks members. `key` signs its assertions, when it has one."""

    client_id: str
    secret: str = ""
    key: ECKey | None = None
    issuer: str = ""
    redirect_uri: str = CALLBACK

    def credentials(self) -> dict[str, str]:
        """What it shows at the token endpoint."""
        if self.key is not None:
            return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}
        return {"client_id": self.client_id, **({"client_secret": self.secret} if self.secret else {})}

    def assertion(
        self, *, header: Mapping[str, Any] | None = None, key: Any = None, without: str = "", **claims: Any
    ) -> str:
        """A good assertion, changed."""
        now = int(utc_now().timestamp())
        own = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_hex(16),
            **claims,
        }
        own.pop(without, None)
        head = {"alg": "ES256", **(header or {})}
        return jwt.encode(head, own, key or self.key, [head["alg"]])

    def token(self, send: Send, **form: str) -> Answer:
        return send("POST", "/oauth/token", {**self.credentials(), **form})

    def refresh(self, send: Send, refresh_token: str, **form: str) -> Answer:
        return self.token(send, grant_type="refresh_token", refresh_token=refresh_token, **form)

    def asks(self, verifier: str, **more: str) -> str:
        """The path of an authorization request."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid offline_access",
            "state": "some state",
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": "S256",
            **more,
        }
        return f"/oauth/authorize?{urlencode({name: value for name, value in asked.items() if value})}"

    def code(self, browser: Browser, verifier: str, **more: str) -> str:
        """A code, after the member has said yes."""
        path = self.asks(verifier, **more)
        answer = browser.submit(path, browser.get(path), {"decision": "allow"})
        return returned(answer)["code"]

    def redeem(self, send: Send, code: str, verifier: str, **form: str) -> Answer:
        asked = {"redirect_uri": self.redirect_uri, "code_verifier": verifier, **form}
        return self.token(send, grant_type="authorization_code", code=code, **asked)

    def tokens(self, browser: Browser, *, scope: str = "openid offline_access", **more: str) -> dict[str, Any]:
        """The whole code grant."""
        verifier = secrets.token_urlsafe(48)
        answer = self.redeem(browser.send, self.code(browser, verifier, scope=scope, **more), verifier)
        assert answer.status == 200, answer.text
        return dict(answer.body)


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def member_app(
    org: OrganizationContext,
    *,
    name: str = "Dashboard",
    auth_method: str = "client_secret",
    delegated_scopes: tuple[str, ...] = ("sites.read", "devices.read"),
    grant_types: tuple[str, ...] = MEMBER_GRANTS,
) -> MemberApp:
    """An app with the grants for members."""
    key = ECKey.generate_key("P-256") if auth_method == "private_key_jwt" else None
    with organization(org):
        access.ensure_signing_key()
        made = access.create_app(
            name=name,
            by=SYSTEM,
            registration=clients.Registration(
                grant_types=grant_types,
                auth_method=auth_method,
                redirect_uris=[CALLBACK] if GrantType.AUTHORIZATION_CODE in grant_types else [],
                jwks=[key.as_dict(private=False)] if key else [],
                delegated_scopes=delegated_scopes,
            ),
        )
    return MemberApp(client_id=made.app.client_id, secret=made.secret or "", key=key, issuer=org.issuer)


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def returned(answer: Answer) -> dict[str, str]:
    """What an app is told in its redirect."""
    assert answer.status == 303, (answer.status, answer.text)
    address = urlsplit(answer.headers["Location"])
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def _by_another_key(app: MemberApp, **header: Any) -> str:
    key = ECKey.generate_key("P-256")
    if "jwk" in header:
        header["jwk"] = key.as_dict(private=False)
    return app.assertion(key=key, header=header)


def _by_hmac(app: MemberApp) -> str:
    """HS256, keyed with what everybody knows of the registered key."""
    assert app.key is not None
    secret = OctKey.import_key(app.key.as_pem(private=False).replace(b"-----", b""))
    return app.assertion(key=secret, header={"alg": "HS256"})


def _by_nobody(app: MemberApp) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    return f"{header}.{app.assertion().split('.')[1]}."


def _later(seconds: int) -> int:
    return int(utc_now().timestamp()) + seconds


BAD_ASSERTIONS: dict[str, Callable[[MemberApp], str]] = {
    "alg none": _by_nobody,
    "HMAC keyed with the public key": _by_hmac,
    "RS256 of another key": lambda app: app.assertion(key=RSAKey.generate_key(2048), header={"alg": "RS256"}),
    "another key": _by_another_key,
    "another key that is in the header": lambda app: _by_another_key(app, jwk={}),
    "another key to fetch": lambda app: _by_another_key(app, jku="https://evil.example/jwks"),
    "a kid that nobody has": lambda app: app.assertion(header={"kid": "somebody"}),
    "a kid that walks": lambda app: app.assertion(header={"kid": "../../dev/null"}),
    "typ of an access token": lambda app: app.assertion(header={"typ": "at+jwt"}),
    "typ of a gateway's proof": lambda app: app.assertion(header={"typ": "keystead-gateway+jwt"}),
    "audience elsewhere": lambda app: app.assertion(aud="https://elsewhere.example"),
    "audience with a slash more": lambda app: app.assertion(aud=f"{app.issuer}/"),
    "two audiences": lambda app: app.assertion(aud=[app.issuer, "https://elsewhere.example"]),
    "no audience": lambda app: app.assertion(without="aud"),
    "another issuer": lambda app: app.assertion(iss="app_0000000000000000000000000f"),
    "another subject": lambda app: app.assertion(sub="app_0000000000000000000000000f"),
    "no subject": lambda app: app.assertion(without="sub"),
    "no jti": lambda app: app.assertion(without="jti"),
    "a jti that is too long": lambda app: app.assertion(jti="x" * 256),
    "no expiry": lambda app: app.assertion(without="exp"),
    "expired": lambda app: app.assertion(exp=_later(-60)),
    "good for a week": lambda app: app.assertion(exp=_later(7 * 86_400)),
    "from the future": lambda app: app.assertion(iat=_later(120), exp=_later(180)),
    "not yet good": lambda app: app.assertion(nbf=_later(120)),
    "tampered with": lambda app: ".".join(
        one.assertion().split(".")[number] for number, one in enumerate((app, app, app))
    ),
    "empty parts": lambda app: "..",
    "no text": lambda app: "x",
}
"""Ways to forge an assertion of an app that signs: each is wrong in one thing."""
