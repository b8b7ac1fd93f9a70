"""AWS KMS. The only module that imports boto3.

Credentials come from the usual AWS chain (environment, profile, instance or pod role). The key
policy of the biometric key should allow kms:Decrypt to the matcher's role alone; see docs/keys.md.
"""

from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import SplitResult, parse_qs

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from engine.keys.contexts import Context
from engine.keys.kms import (
    DataKey,
    KeyState,
    KmsKeyNotFound,
    KmsKeyUnusable,
    KmsRefused,
    KmsUnreachable,
    KmsUrlInvalid,
    WrappedKey,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES: Final[dict[str, KeyState]] = {
    "Enabled": "enabled",
    "Disabled": "disabled",
    "PendingDeletion": "pending_deletion",
    "PendingReplicaDeletion": "pending_deletion",
}
# A KMS that hangs is given up after three times this.
_READ_SECONDS = 5
_REFUSALS: Final = frozenset(
    {
        "AccessDeniedException",
        "IncorrectKeyException",
        "InvalidCiphertextException",
        "InvalidKeyUsageException",
    }
)


class AwsKms:
    """The KMS of one AWS region, under the credentials of this process."""

    def __init__(self, *, region: str, default_key_id: str, endpoint: str | None = None) -> None:
        self._default_key_id = default_key_id
        self._client: Any = boto3.client(
            "kms",
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=2, read_timeout=_READ_SECONDS, retries={"mode": "standard", "max_attempts": 3}
            ),
        )

    @property
    def default_key_id(self) -> str:
        """The key id, alias or ARN of the URL."""
        return self._default_key_id

    def generate_data_key(self, *, key_id: str, context: Context) -> DataKey:
        """GenerateDataKey."""
        answer = self._call(
            "generate_data_key",
            key_id,
            KeyId=key_id,
            KeySpec="AES_256",
            EncryptionContext=dict(context),
        )
        return DataKey(
            kms_key_id=answer["KeyId"],
            plaintext=bytearray(answer["Plaintext"]),
            wrapped=answer["CiphertextBlob"],
        )

    def generate_wrapped_key(self, *, key_id: str, context: Context) -> WrappedKey:
        """GenerateDataKeyWithoutPlaintext."""
        answer = self._call(
            "generate_data_key_without_plaintext",
            key_id,
            KeyId=key_id,
            KeySpec="AES_256",
            EncryptionContext=dict(context),
        )
        return WrappedKey(kms_key_id=answer["KeyId"], wrapped=answer["CiphertextBlob"])

    def unwrap(self, *, key_id: str, wrapped: bytes, context: Context) -> bytearray:
        """Decrypt, naming the key, so that a ciphertext of another key is refused."""
        answer = self._call(
            "decrypt",
            key_id,
            KeyId=key_id,
            CiphertextBlob=wrapped,
            EncryptionContext=dict(context),
        )
        return bytearray(answer["Plaintext"])

    def rewrap(self, *, key_id: str, wrapped: bytes, context: Context, new_key_id: str) -> WrappedKey:
        """ReEncrypt: the key in clear never leaves AWS."""
        answer = self._call(
            "re_encrypt",
            key_id,
            SourceKeyId=key_id,
            DestinationKeyId=new_key_id,
            CiphertextBlob=wrapped,
            SourceEncryptionContext=dict(context),
            DestinationEncryptionContext=dict(context),
        )
        return WrappedKey(kms_key_id=answer["KeyId"], wrapped=answer["CiphertextBlob"])

    def state(self, *, key_id: str) -> KeyState:
        """DescribeKey; a state in which AWS cannot use the key for now is `unavailable`."""
        answer = self._call("describe_key", key_id, KeyId=key_id)
        return _STATES.get(answer["KeyMetadata"]["KeyState"], "unavailable")

    def _call(self, verb: str, key_id: str, **parameters: Any) -> "Mapping[str, Any]":
        try:
            answer: Mapping[str, Any] = getattr(self._client, verb)(**parameters)
        except ClientError as error:
            self._translate(key_id, error)
        except BotoCoreError as error:
            raise KmsUnreachable(f"KMS did not answer: {type(error).__name__}") from None
        return answer

    def _translate(self, key_id: str, error: ClientError) -> NoReturn:
        """Raise our error for AWS's; the codes are those of the KMS API reference."""
        code = error.response["Error"]["Code"]
        if code == "NotFoundException":
            raise KmsKeyNotFound(f"there is no KMS key {key_id}") from None
        if code == "DisabledException":
            raise KmsKeyUnusable(key_id, "disabled") from None
        if code == "KMSInvalidStateException":
            raise KmsKeyUnusable(key_id, self.state(key_id=key_id)) from None
        if code in _REFUSALS:
            raise KmsRefused(f"KMS key {key_id}: {code}") from None
        raise KmsUnreachable(f"KMS key {key_id}: {code}") from None


def from_url(parts: SplitResult) -> AwsKms:
    """`aws://region?key_id=...[&endpoint=http://...]`; both region and key_id are needed."""
    query = parse_qs(parts.query)
    if not parts.netloc or "key_id" not in query:
        raise KmsUrlInvalid("an AWS KMS URL is aws://region?key_id=<id, alias or ARN>")
    endpoint = query.get("endpoint", [None])[0]
    return AwsKms(region=parts.netloc, default_key_id=query["key_id"][0], endpoint=endpoint)
