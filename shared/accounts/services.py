"""What other apps call: signing in and out, inviting people. Works on the members of the organization whose context
is entered, or on the operators in `public_schema()`.

`people`, `signing_in`, `sessions` and `second_factors` say how.
"""

from __future__ import annotations

from shared.accounts.attempts import TooManyAttempts
from shared.accounts.people import (
    INVITATION_LIFETIME,
    InvitationInvalid,
    MemberExists,
    NewOperator,
    NotOnThePlatform,
    OperatorExists,
    accept_invitation,
    checked_email,
    create_operator,
    deactivate,
    invite,
    join_by_provider,
)
from shared.accounts.resets import change as change_password
from shared.accounts.resets import confirm as confirm_password_reset
from shared.accounts.resets import request as request_password_reset
from shared.accounts.sessions import (
    SEEN_INTERVAL,
    SESSION_LIFETIME,
    authenticate,
    open_session,
    own_session,
    sign_everybody_out,
    sign_out,
    sign_out_elsewhere,
    sign_out_everywhere,
)
from shared.accounts.signing_in import OtpRequired, SignInRefused, finish, sign_in

__all__ = [
    "INVITATION_LIFETIME",
    "SEEN_INTERVAL",
    "SESSION_LIFETIME",
    "InvitationInvalid",
    "MemberExists",
    "NewOperator",
    "NotOnThePlatform",
    "OperatorExists",
    "OtpRequired",
    "SignInRefused",
    "TooManyAttempts",
    "accept_invitation",
    "authenticate",
    "change_password",
    "checked_email",
    "confirm_password_reset",
    "create_operator",
    "deactivate",
    "finish",
    "invite",
    "join_by_provider",
    "open_session",
    "own_session",
    "request_password_reset",
    "sign_everybody_out",
    "sign_in",
    "sign_out",
    "sign_out_elsewhere",
    "sign_out_everywhere",
]
