"""What the OAuth endpoints take and answer, in the words of their RFCs."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engine.api.fields import OutputSerializer
from tenants.access.rules import GrantType


class ClientForm(serializers.Serializer[Any]):
    """How an app shows who it is. With HTTP Basic none of these is sent."""

    client_id = serializers.CharField(required=False)
    client_secret = serializers.CharField(required=False)
    client_assertion_type = serializers.CharField(
        required=False, help_text="`urn:ietf:params:oauth:client-assertion-type:jwt-bearer` (RFC 7523)."
    )
    client_assertion = serializers.CharField(required=False, help_text="A JWT signed with a registered key.")


class TokenRequest(ClientForm):
    """RFC 6749, RFC 7636 and RFC 8628, as a form."""

    grant_type = serializers.ChoiceField(choices=[one.value for one in GrantType])
    scope = serializers.CharField(required=False, help_text="Permissions, separated by spaces.")
    code = serializers.CharField(required=False, help_text="With `authorization_code`.")
    redirect_uri = serializers.CharField(required=False, help_text="With `authorization_code`: the same as before.")
    code_verifier = serializers.CharField(required=False, help_text="With `authorization_code`: RFC 7636.")
    refresh_token = serializers.CharField(required=False, help_text="With `refresh_token`.")
    device_code = serializers.CharField(required=False, help_text="With the device grant.")
    resource = serializers.CharField(required=False, help_text="RFC 8707: this organization's issuer.")


class TokenBody(OutputSerializer):
    """RFC 6749, section 5.1."""

    access_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField()
    scope = serializers.CharField(allow_blank=True)
    refresh_token = serializers.CharField(required=False, help_text="With `offline_access`. Each is good once.")
    id_token = serializers.CharField(required=False, help_text="With `openid`.")


class DeviceAuthorizationRequest(ClientForm):
    """RFC 8628, section 3.1, as a form."""

    scope = serializers.CharField(required=False)


class DeviceAuthorizationBody(OutputSerializer):
    """RFC 8628, section 3.2."""

    device_code = serializers.CharField()
    user_code = serializers.CharField()
    verification_uri = serializers.CharField()
    verification_uri_complete = serializers.CharField()
    expires_in = serializers.IntegerField()
    interval = serializers.IntegerField()


class TokenForm(ClientForm):
    """RFC 7662 and RFC 7009, section 2.1, as a form."""

    token = serializers.CharField()
    token_type_hint = serializers.CharField(required=False)


class IntrospectionBody(OutputSerializer):
    """RFC 7662, section 2.2. A token that does not hold has `active` alone."""

    active = serializers.BooleanField()
    scope = serializers.CharField(required=False, allow_blank=True)
    client_id = serializers.CharField(required=False)
    token_type = serializers.CharField(required=False)
    sub = serializers.CharField(required=False)
    aud = serializers.CharField(required=False)
    iss = serializers.CharField(required=False)
    exp = serializers.IntegerField(required=False)
    iat = serializers.IntegerField(required=False)
    jti = serializers.CharField(required=False)


class UserInfoBody(OutputSerializer):
    """OpenID Connect Core 1.0, section 5.3."""

    sub = serializers.CharField(help_text="`mem_...`")
    name = serializers.CharField(required=False, help_text="With the scope `profile`.")
    email = serializers.CharField(required=False, help_text="With the scope `email`.")


class OAuthError(OutputSerializer):
    """RFC 6749, section 5.2."""

    error = serializers.CharField()
    error_description = serializers.CharField(required=False, allow_blank=True)


class KeySet(OutputSerializer):
    """RFC 7517, section 5."""

    keys = serializers.ListField(child=serializers.DictField())


def _texts() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField())


class ServerMetadata(OutputSerializer):
    """RFC 8414, section 2, and OpenID Connect Discovery 1.0, section 3: what this server can do."""

    issuer = serializers.CharField()
    authorization_endpoint = serializers.CharField()
    token_endpoint = serializers.CharField()
    device_authorization_endpoint = serializers.CharField()
    introspection_endpoint = serializers.CharField()
    revocation_endpoint = serializers.CharField()
    userinfo_endpoint = serializers.CharField()
    jwks_uri = serializers.CharField()
    scopes_supported = _texts()
    response_types_supported = _texts()
    response_modes_supported = _texts()
    grant_types_supported = _texts()
    code_challenge_methods_supported = _texts()
    token_endpoint_auth_methods_supported = _texts()
    token_endpoint_auth_signing_alg_values_supported = _texts()
    introspection_endpoint_auth_methods_supported = _texts()
    introspection_endpoint_auth_signing_alg_values_supported = _texts()
    revocation_endpoint_auth_methods_supported = _texts()
    revocation_endpoint_auth_signing_alg_values_supported = _texts()
    subject_types_supported = _texts()
    id_token_signing_alg_values_supported = _texts()
    claims_supported = _texts()
    prompt_values_supported = _texts()
    authorization_response_iss_parameter_supported = serializers.BooleanField()
    claims_parameter_supported = serializers.BooleanField()
    request_parameter_supported = serializers.BooleanField()
    request_uri_parameter_supported = serializers.BooleanField()
    service_documentation = serializers.CharField()
