"""No flipped bit, in whatever part of a signature, is ever taken for a signature."""

import base64
import time
from collections.abc import Callable, Iterator

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.signatures import bundle, envelopes, notation, simplesigning
from collectors.signatures.lookups import BadContent, Manifest
from collectors.signatures.trust import Trust, TrustedKey
from collectors.signatures.verdicts import BadSignature, Code, Opinion
from tests.signing import (
    MAKERS,
    OCI_MANIFEST,
    Signer,
    body_of,
    cose,
    digest,
    jws,
    sign,
    simple_payload,
    target,
)
from tests.signing import bundle as make_bundle

# A flipped serial number may be zero, which the library only warns of.
pytestmark = pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
NOW = time.time()
BODY = body_of({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": []})
IMAGE = Manifest(digest(BODY), OCI_MANIFEST, BODY, {})
ROOT = Signer("root", ca=True)
SIGNER = Signer("builder", Signer("middle", ROOT, ca=True))
ROOTS = Trust(roots=[ROOT.certificate], authorities=[ROOT.certificate])
Judge = Callable[[bytes], Opinion | None]


def judged(judge: Judge, data: bytes) -> Code | None:
    """What is thought of it; nothing but these two errors may come."""
    try:
        opinion = judge(data)
    except BadSignature as error:
        return error.opinion.code
    except BadContent:
        return Code.BROKEN
    return opinion.code if opinion else None


def flips(data: bytes, spare: bytes = b"") -> Iterator[bytes]:
    """One bit of each byte, another one each time, and all of a zero; `spare` is what nothing protects."""
    at = data.index(spare) if spare else len(data)
    for position in range(len(data)):
        if not at <= position < at + len(spare):
            for bit in [position * 5 % 8] if data[position] else range(8):
                yield data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def never_signed(judge: Judge, data: bytes, spare: bytes = b"") -> None:
    assert judged(judge, data) is Code.TRUSTED
    assert not [it for it in flips(data, spare) if judged(judge, it) is Code.TRUSTED]


@pytest.mark.parametrize("kind", MAKERS)
def test_cosigns_payload_and_signature(kind):
    key = MAKERS[kind]()
    trust, payload = Trust([TrustedKey("a", key.public_key())]), simple_payload(IMAGE.digest)
    signature = sign(key, payload)

    def of(payload: bytes, text: str) -> Opinion | None:
        noted = {"dev.cosignproject.cosign/signature": text}
        return simplesigning.opinion_of(noted, payload, IMAGE.digest, trust, NOW)

    text = base64.b64encode(signature)
    never_signed(lambda data: of(data, text.decode()), payload)
    never_signed(lambda data: of(payload, data.decode("latin-1")), text)
    never_signed(lambda data: of(payload, base64.b64encode(data).decode()), signature)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_bundle(kind):
    key = MAKERS[kind]()
    trust = Trust([TrustedKey("a", key.public_key())])
    data = make_bundle(key, IMAGE.digest)
    spare = data[: data.index(b'"dsseEnvelope"')]  # media type and verification material
    never_signed(lambda it: bundle.opinion_of(it, IMAGE.digest, trust, NOW), data, spare)


AGENT = b'"io.cncf.notary.signingAgent": "test/1"'


def of_jws(data: bytes) -> Opinion:
    return notation.opinion_of(envelopes.read_jws(data), IMAGE, ROOTS, NOW)


def of_cose(data: bytes) -> Opinion:
    return notation.opinion_of(envelopes.read_cose(data), IMAGE, ROOTS, NOW)


def test_notations_jws_and_every_certificate_in_it():
    never_signed(of_jws, jws(SIGNER, target(BODY)), AGENT)
    for chain in certificates():
        assert judged(of_jws, jws(SIGNER, target(BODY), chain)) is not Code.TRUSTED


def certificates() -> Iterator[list[bytes]]:
    """The chain with a flipped bit in one of its certificates."""
    for number, certificate in enumerate(SIGNER.chain):
        for flipped in flips(certificate):
            yield [*SIGNER.chain[:number], flipped, *SIGNER.chain[number + 1 :]]


def test_notations_cose():
    agent = cbor2.dumps("io.cncf.notary.signingAgent") + cbor2.dumps("test/1")
    never_signed(of_cose, cose(SIGNER, target(BODY)), agent)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_is_broken_and_raises_nothing_else(data):
    noted = {"dev.cosignproject.cosign/signature": data.decode("latin-1")}
    trust = Trust([TrustedKey("a", SIGNER.key.public_key())], ROOTS.roots)
    judges: list[Judge] = [
        of_jws,
        of_cose,
        lambda it: bundle.opinion_of(it, IMAGE.digest, trust, NOW),
        lambda it: simplesigning.opinion_of(noted, it, IMAGE.digest, trust, NOW),
    ]
    assert Code.TRUSTED not in {judged(judge, data) for judge in judges}


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["alg", "cty", "crit", "io.cncf.notary.signingScheme", "io.cncf.notary.expiry"])


@given(st.dictionaries(names, values, min_size=1, max_size=2))
@settings(max_examples=200, deadline=None)
def test_signed_headers_of_any_kind_raise_nothing_else(headers):
    assert judged(of_jws, jws(SIGNER, target(BODY), **headers)) in Code
