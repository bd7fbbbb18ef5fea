"""What is said of an image's signature: an untrusted, expired or broken one counts as unsigned; only a failed
look-up, or no trust to hold it against, is unknown."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

SIGNED, UNSIGNED, UNKNOWN = "signed", "unsigned", "unknown"


class Code(StrEnum):
    """Why, in one word; the order is that of how much a reader learns from it, the most telling last."""

    NO_SIGNATURE = "no_signature"
    BROKEN = "broken"
    UNVERIFIED_KEYLESS = "unverified_keyless"
    UNTRUSTED = "untrusted"
    WRONG_DIGEST = "wrong_digest"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    LOOKUP_FAILED = "lookup_failed"
    NO_TRUST = "no_trust"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of one signature that was found. `signer` names the key or certificate that made it, "" if unknown."""

    code: Code
    reason: str
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of an image. `signature` is signed, unsigned or unknown; `parent` is the signed index that holds the
    image, "" where the image was signed itself."""

    digest: str
    signature: str
    reason: str
    code: Code
    signer: str = ""
    parent: str = ""


class BadSignature(Exception):
    """A signature that does not count: `code` and the reason."""

    def __init__(self, code: Code, reason: str, signer: str = "") -> None:
        super().__init__(reason)
        self.opinion = Opinion(code, reason, signer)


def broken(reason: str) -> BadSignature:
    """One that is not what its format wants."""
    return BadSignature(Code.BROKEN, f"broken signature: {reason}")


def judged(digest: str, opinions: list[Opinion], failures: list[str]) -> Verdict:
    """One trusted signature suffices; else a look-up that failed leaves it open; else the most telling
    fault of those that were found."""
    best = max(opinions, key=lambda it: list(Code).index(it.code), default=None)
    if best and best.code is Code.TRUSTED:
        return Verdict(digest, SIGNED, best.reason, best.code, best.signer)
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        return Verdict(digest, UNKNOWN, f"look-up failed: {failures[0]}{more}", Code.LOOKUP_FAILED)
    if best:
        return Verdict(digest, UNSIGNED, best.reason, best.code, best.signer)
    return Verdict(digest, UNSIGNED, "no signature", Code.NO_SIGNATURE)


def weightiest(verdicts: list[Verdict]) -> Verdict:
    """Of an image and the indexes that hold it, none of which is signed: what is unknown leaves it open, else
    the most telling; the image's own among equals."""
    return max(verdicts, key=lambda it: (it.signature == UNKNOWN, list(Code).index(it.code)))


def from_base64(text: object, what: str) -> bytes:
    """Standard base64 (RFC 4648 section 4) in its only spelling. BadSignature."""
    if not isinstance(text, str) or not text:
        raise broken(f"{what} is missing")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise broken(f"{what} is no base64") from error
    if base64.b64encode(data).decode() != text:
        raise broken(f"{what} is no base64")
    return data
