"""Makes moto's KMS sign a digest as KMS does: moto hashes it once more (AWS KMS API reference, "Sign", MessageType)."""

from __future__ import annotations

import threading
from typing import Any


def honour_digests() -> None:
    """Changes moto in this process."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from moto.kms.exceptions import ValidationException
    from moto.kms.responses import KmsResponse
    from moto.kms.utils import ECDSAPrivateKey

    request = threading.local()
    answer, sign = KmsResponse.sign, ECDSAPrivateKey.sign

    def answer_sign(self: Any) -> str:
        request.is_digest = self._get_param("MessageType") == "DIGEST"
        try:
            return answer(self)
        finally:
            request.is_digest = False

    def sign_digest(self: Any, message: bytes, signing_algorithm: str) -> bytes:
        if not getattr(request, "is_digest", False) or signing_algorithm != "ECDSA_SHA_256":
            return sign(self, message, signing_algorithm)
        if len(message) != hashes.SHA256.digest_size:
            raise ValidationException("Digest is invalid length for algorithm ECDSA_SHA_256.")
        return self.private_key.sign(message, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

    KmsResponse.sign, ECDSAPrivateKey.sign = answer_sign, sign_digest
