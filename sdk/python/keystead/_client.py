"""The clients: one organization's API, and the operators'."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from keystead import _resources as r
from keystead._auth import Auth, BearerToken, ClientCredentials, NoAuth
from keystead._transport import Transport


class _Client:
    def __init__(self, url: str, *, auth: Auth, timeout_s: float, retries: int) -> None:
        self.url = url
        self._transport = Transport(url, auth=auth, timeout_s=timeout_s, retries=retries)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Keystead(_Client):
    """One organization's API.

        client = Keystead("https://acme.keystead.example", client_id="app_...", client_secret="...")
        for person in client.people.list():
            ...

    Give an app's `client_id` and `client_secret`, or the `token` of a member's session.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        token: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 4,
    ) -> None:
        super().__init__(
            url,
            auth=_auth_of(client_id=client_id, client_secret=client_secret, token=token),
            timeout_s=timeout_s,
            retries=retries,
        )
        self.people = r.People(self._transport)
        self.consents = r.Consents(self._transport)
        self.templates = r.Templates(self._transport)
        self.verifications = r.Verifications(self._transport)
        self.identifications = r.Identifications(self._transport)
        self.sites = r.Sites(self._transport)
        self.enrolment_codes = r.EnrolmentCodes(self._transport)
        self.devices = r.Devices(self._transport)
        self.apps = r.Apps(self._transport)
        self.provider_accounts = r.ProviderAccounts(self._transport)
        self.payment_methods = r.PaymentMethods(self._transport)
        self.payments = r.Payments(self._transport)
        self.ledger = r.Ledger(self._transport)
        self.checkouts = r.Checkouts(self._transport)
        self.webhook_endpoints = r.WebhookEndpoints(self._transport)
        self.events = r.Events(self._transport)
        self.audit = r.Audit(self._transport)
        self.usage = r.Usage(self._transport)

    def access_token(self) -> str:
        """The present bearer token, for a tool that wants one. An app's lasts some minutes."""
        return self._transport.authorization().removeprefix("Bearer ")

    @classmethod
    def sign_in(cls, url: str, *, email: str, password: str, otp: str | None = None) -> Keystead:
        """A member's client, by password (and one-time code). `close()` it when done."""
        return cls(url, token=_session_token(url, email=email, password=password, otp=otp))

    @classmethod
    def accept_invitation(cls, url: str, *, token: str, password: str) -> str:
        """Set the first password of an invited member; returns the member's e-mail address."""
        with _anonymous(url) as transport:
            body = {"token": token, "password": password}
            return str(transport.request("POST", "/v1/invitations/accept", json=body)["email"])


class Platform(_Client):
    """The operators' API, on the platform's own host."""

    def __init__(self, url: str, *, token: str, timeout_s: float = 30.0, retries: int = 4) -> None:
        super().__init__(url, auth=BearerToken(token), timeout_s=timeout_s, retries=retries)
        self.organizations = r.Organizations(self._transport)

    @classmethod
    def sign_in(cls, url: str, *, email: str, password: str, otp: str) -> Platform:
        """An operator's client. Operators always need a one-time code."""
        return cls(url, token=_session_token(url, email=email, password=password, otp=otp))


class _anonymous:  # noqa: N801  # reads as a word where it is used
    def __init__(self, url: str) -> None:
        self._transport = Transport(url, auth=NoAuth())

    def __enter__(self) -> Transport:
        return self._transport

    def __exit__(self, *_: object) -> None:
        self._transport.close()


def _auth_of(*, client_id: str | None, client_secret: str | None, token: str | None) -> Auth:
    if token and not client_id and not client_secret:
        return BearerToken(token)
    if client_id and client_secret and not token:
        return ClientCredentials(client_id, client_secret)
    raise ValueError("give either client_id and client_secret, or token")


def _session_token(url: str, *, email: str, password: str, otp: str | None) -> str:
    body = {"email": email, "password": password, **({"otp": otp} if otp else {})}
    with _anonymous(url) as transport:
        return str(transport.request("POST", "/v1/sessions", json=body)["token"])
