"""Test vectors that others have published: DSSE, RFC 7515, RFC 9052, and a signature that notation made."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from collectors.signatures.bundle import pae
from collectors.signatures.envelopes import read_jws, sig_structure
from collectors.signatures.keys import signed_by
from collectors.signatures.lookups import Manifest
from collectors.signatures.notation import holds, opinion_of
from collectors.signatures.trust import Trust
from collectors.signatures.verdicts import BadSignature, Code

NOTATION = Path(__file__).parents[1] / "golden/signatures/notation.jws.json"


def public(x: int, y: int) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_dsse_protocol():
    """https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, "Test Vectors"."""
    message = pae("http://example.com/HelloWorld", b"hello world")
    assert message == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    key = public(
        46950820868899156662930047687818585632848591499744589407958293238635476079160,
        5640078356564379163099075877009565129882514886557779369047442380624545832820,
    )
    raw = base64.b64decode(
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
    )
    signature = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    assert signed_by(key, signature, message) and not signed_by(key, signature, message + b" ")
    assert pae("t", "é".encode()) == b"DSSEv1 1 t 2 \xc3\xa9"


def test_rfc_7515_appendix_a_3():
    key = public(
        number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
        number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    )
    message = (
        b"eyJhbGciOiJFUzI1NiJ9."
        b"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = base64.urlsafe_b64decode(
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q=="
    )
    assert holds(key, "ES256", signature, message) and not holds(key, "ES256", signature[:-1], message)


def test_rfc_9052_appendix_c_2_1():
    key = public(
        int("bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff", 16),
        int("20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e", 16),
    )
    signature = bytes.fromhex(
        "8eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e"
        "2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36"
    )
    message = sig_structure(bytes.fromhex("a10126"), b"This is the content.")
    assert holds(key, "ES256", signature, message)


@pytest.fixture
def notations():
    """(envelope, image, trust in its root)."""
    envelope = read_jws(NOTATION.read_bytes())
    told = json.loads(envelope.payload)["targetArtifact"]
    image = Manifest(told["digest"], told["mediaType"], b" " * told["size"], {})
    return envelope, image, Trust(roots=[x509.load_der_x509_certificate(envelope.chain[1])])


def moment(day: int) -> float:
    return datetime(2022, 7, day, 12, tzinfo=UTC).timestamp()


def test_what_notation_signed(notations):
    opinion = opinion_of(*notations, now=moment(30))
    assert opinion.code is Code.TRUSTED and "CN=Notation Test Root" in opinion.signer


@pytest.mark.parametrize(("day", "code"), [(28, Code.NOT_YET_VALID), (31, Code.EXPIRED)])
def test_what_notation_signed_at_another_time(notations, day, code):
    with pytest.raises(BadSignature) as found:
        opinion_of(*notations, now=moment(day))
    assert found.value.opinion.code is code


def test_what_notation_signed_changed(notations):
    envelope, image, trust = notations
    for other in (
        replace(envelope, message=envelope.message + b" "),
        replace(envelope, signature=envelope.signature[1:] + b"x"),
    ):
        with pytest.raises(BadSignature, match="does not fit"):
            opinion_of(other, image, trust, moment(30))
