"""Commands of login mode. They need the owner's login and the login secret, and no settings."""

from __future__ import annotations

import click
import psycopg

from config.terminal import err, fail

_owner_url = click.option("--owner-url", envvar="KEYSTEAD_OWNER_DATABASE_URL", required=True, help="ks_owner's URL.")
_login_secret = click.option("--login-secret", envvar="KEYSTEAD_LOGIN_SECRET", help="What passwords are derived from.")


def usable(login_secret: str | None) -> str:
    """The secret, or the end of the command."""
    from engine.tenancy.logins import SECRET_CHARACTERS_MIN

    if not login_secret or len(login_secret) < SECRET_CHARACTERS_MIN:
        fail(f"set KEYSTEAD_LOGIN_SECRET to at least {SECRET_CHARACTERS_MIN} random characters")
    return login_secret


@click.command("logins")
@_owner_url
@_login_secret
@click.option("--off", is_flag=True, help="Take the logins away again. Run `keystead database bootstrap` before.")
def give_logins(owner_url: str, login_secret: str | None, off: bool) -> None:
    """Let every role log in that cannot yet. Processes in role mode go on working.

    Then start the processes with KEYSTEAD_ISOLATION=login, and when none is left in role mode, run
    `keystead database bootstrap` in login mode, which takes from ks_app the right to switch.
    """
    from engine.tenancy import roles

    with psycopg.connect(owner_url, autocommit=True) as owner:
        if off:
            if not roles.app_may_switch(owner):
                fail("nobody could work then: run `keystead database bootstrap` with KEYSTEAD_ISOLATION=role first")
            err.print(f"{len(roles.take_logins_away(owner))} roles can be switched to only")
            return
        given = roles.give_logins(owner, secret=usable(login_secret))
    err.print(f"{len(given)} roles may log in now; the others could already")


@click.command("rotate-logins")
@_owner_url
@_login_secret
def rotate_logins(owner_url: str, login_secret: str | None) -> None:
    """Replace every role's password. Nobody is stopped: open connections stay, new ones ask for the version.

    To replace the secret itself, start all processes with the new one as KEYSTEAD_LOGIN_SECRET and the
    old one as KEYSTEAD_LOGIN_SECRET_PREVIOUS, run this, then drop the old one.
    """
    from engine.tenancy import roles

    with psycopg.connect(owner_url, autocommit=True) as owner:
        given = roles.give_logins(owner, secret=usable(login_secret), anew=True)
    err.print(f"{len(given)} roles have new passwords")
