from __future__ import annotations

from django.urls import path

from engine.api.paths import typeid
from shared.accounts.api import passkeys, passwords, second_factors, views

urlpatterns = [
    path("me", views.Me.as_view(), name="me"),
    path("sessions", views.Sessions.as_view(), name="sessions"),
    path("sessions/second-factor", views.SecondFactor.as_view(), name="second-factor"),
    path("sessions/current/step-up", second_factors.StepUpView.as_view(), name="step-up"),
    path("second-factors", second_factors.SecondFactors.as_view(), name="second-factors"),
    path("second-factors/authenticator", second_factors.Authenticator.as_view(), name="authenticator"),
    path("second-factors/authenticator/confirm", second_factors.AuthenticatorConfirmation.as_view()),
    path("second-factors/recovery-codes", second_factors.RecoveryCodesView.as_view()),
    path("sessions/passkey/options", passkeys.PasskeySignInOptions.as_view()),
    path("sessions/passkey", passkeys.PasskeySignIn.as_view(), name="passkey-sign-in"),
    path("sessions/current/passkey/options", passkeys.PasskeyStepUpOptions.as_view()),
    path("sessions/current/passkey", passkeys.PasskeyStepUp.as_view(), name="passkey-step-up"),
    path("passkeys", passkeys.Passkeys.as_view(), name="passkeys"),
    path("passkeys/options", passkeys.PasskeyRegistrationOptions.as_view()),
    path(f"passkeys/{typeid('pky', 'passkey_id')}", passkeys.PasskeyDetail.as_view(), name="passkey"),
    path("password", passwords.Password.as_view(), name="password"),
    path("password-resets", passwords.PasswordResets.as_view(), name="password-resets"),
    path("password-resets/confirm", passwords.PasswordResetConfirmation.as_view()),
    path("sessions/current", views.CurrentSession.as_view(), name="current-session"),
    path(f"sessions/{typeid('ses', 'session_id')}", views.SessionDetail.as_view(), name="session"),
    path("invitations/accept", views.InvitationAcceptance.as_view(), name="accept-invitation"),
]
