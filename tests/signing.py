"""Signatures as cosign and notation make them, good ones and bad ones, and where a registry keeps them."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
COSIGN_ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
NOTATION = "application/vnd.cncf.notary.signature"
JWS, COSE = "application/jose+json", "application/cose"
NOTATION_PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
EMPTY = b"{}"
Key = Any
Document = dict[str, Any]


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(media_type: str, data: bytes, **more: Any) -> Document:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def body_of(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def tag_of(image: str) -> str:
    return image.replace(":", "-")


# keys ------------------------------------------------------------------------------------------


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


MAKERS: dict[str, Callable[[], Key]] = {
    "P-256": p256,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


def public_file(folder: Path, key: Key, name: str = "key.pub") -> Path:
    file = folder / name
    file.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return file


def spki_fingerprint(key: Key) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256:" + hashlib.sha256(der).hexdigest()


def sign(key: Key, message: bytes, pss: bool = False) -> bytes:
    """As cosign does: SHA-256 for ECDSA and RSA, PKCS #1 v1.5 unless PSS is wanted."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        padded = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else padding.PKCS1v15()
        return key.sign(message, padded, hashes.SHA256())
    return key.sign(message)


# cosign ----------------------------------------------------------------------------------------


def simple_payload(image: str, **critical: Any) -> bytes:
    parts = {
        "identity": {"docker-reference": "registry.example.com/team/app"},
        "image": {"docker-manifest-digest": image},
        "type": "cosign container image signature",
        **critical,
    }
    return body_of({"critical": parts, "optional": None})


def simple_layer(payload: bytes, signature: bytes, **annotations: str) -> Document:
    noted = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode(), **annotations}
    return descriptor(SIMPLE_SIGNING, payload, annotations=noted)


def pae(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)


def bundle(key: Key, image: str, predicate: str = SIGN_PREDICATE, **material: Any) -> bytes:
    kind = "application/vnd.in-toto+json"
    subject = [{"digest": {"sha256": image.removeprefix("sha256:")}}]
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": predicate}
    payload = body_of({**statement, "predicate": {}})
    signatures = [{"sig": base64.b64encode(sign(key, pae(kind, payload))).decode()}]
    envelope = {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}
    material = material or {"publicKey": {"hint": "x"}}
    return body_of({"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope})


# notation --------------------------------------------------------------------------------------


@dataclass
class Signer:
    """A certificate and its key; issued by another signer, else by itself. Times are days from now."""

    name: str = "signer"
    issuer: "Signer | None" = None
    ca: bool = False
    begin: float = -10
    end: float = 90
    key: Key = field(default_factory=p256)
    usage: bool | None = True
    purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.CODE_SIGNING,)

    def __post_init__(self) -> None:
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        above, now = self.issuer or self, datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(named)
            .issuer_name(above.certificate.subject if self.issuer else named)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=self.begin))
            .not_valid_after(now + timedelta(days=self.end))
            .add_extension(x509.BasicConstraints(ca=self.ca, path_length=None), True)
        )
        if self.usage is not None:
            made = made.add_extension(self._usage(), True)
        if self.purposes and not self.ca:
            made = made.add_extension(x509.ExtendedKeyUsage(self.purposes), False)
        self.certificate = made.sign(above.key, hashes.SHA256())

    def _usage(self) -> x509.KeyUsage:
        signs = bool(self.usage)
        return x509.KeyUsage(
            digital_signature=signs and not self.ca, content_commitment=False,
            key_encipherment=not signs, data_encipherment=False, key_agreement=False,
            key_cert_sign=self.ca, crl_sign=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip

    @property
    def chain(self) -> list[bytes]:
        """DER, this one first."""
        above = self.issuer.chain if self.issuer else []
        return [self.certificate.public_bytes(serialization.Encoding.DER), *above]

    def store(self, folder: Path) -> Path:
        """A trust store that holds this certificate."""
        folder.mkdir(parents=True, exist_ok=True)
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        (folder / f"{self.name}.pem").write_bytes(pem)
        return folder

    def algorithm(self) -> str:
        size = self.key.key_size
        if isinstance(self.key, rsa.RSAPrivateKey):
            return {2048: "PS256", 3072: "PS384", 4096: "PS512"}[size]
        return {256: "ES256", 384: "ES384", 521: "ES512"}[size]

    def raw(self, message: bytes) -> bytes:
        """A signature as JOSE and COSE have it."""
        digested = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[
            self.algorithm()[2:]
        ]
        if isinstance(self.key, rsa.RSAPrivateKey):
            padded = padding.PSS(padding.MGF1(digested), digested.digest_size)
            return self.key.sign(message, padded, digested)
        size = (self.key.key_size + 7) // 8
        r, s = decode_dss_signature(self.key.sign(message, ec.ECDSA(digested)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def target(image: bytes, **other: Any) -> bytes:
    media_type = json.loads(image)["mediaType"]
    return body_of({"targetArtifact": {**descriptor(media_type, image), **other}})


def jws(signer: Signer, payload: bytes, chain: list[bytes] | None = None, **protected: Any) -> bytes:
    headers = {
        "alg": signer.algorithm(),
        "cty": NOTATION_PAYLOAD,
        "crit": ["io.cncf.notary.signingScheme"],
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": datetime.now(UTC).isoformat(timespec="seconds"),
        **protected,
    }
    parts = url_safe(body_of(headers)), url_safe(payload)
    x5c = [base64.b64encode(it).decode() for it in (chain if chain is not None else signer.chain)]
    return body_of(
        {
            "payload": parts[1],
            "protected": parts[0],
            "header": {"x5c": x5c, "io.cncf.notary.signingAgent": "test/1"},
            "signature": url_safe(signer.raw(".".join(parts).encode())),
        }
    )


def cose(signer: Signer, payload: bytes, **protected: Any) -> bytes:
    algorithms = {"ES256": -7, "ES384": -35, "ES512": -36, "PS256": -37, "PS384": -38, "PS512": -39}
    headers = {
        1: algorithms[signer.algorithm()],
        2: ["io.cncf.notary.signingScheme"],
        3: NOTATION_PAYLOAD,
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": cbor2.CBORTag(1, int(datetime.now(UTC).timestamp())),
        **protected,
    }
    covered = cbor2.dumps(headers)
    signature = signer.raw(cbor2.dumps(["Signature1", covered, b"", payload]))
    loose = {33: signer.chain, "io.cncf.notary.signingAgent": "test/1"}
    return cbor2.dumps(cbor2.CBORTag(18, [covered, loose, payload, signature]))


# the registry ----------------------------------------------------------------------------------


def artifact(kind: str, layers: list[Document], subject: Document | None, config: str = "") -> Document:
    made: Document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if not config:
        made["artifactType"] = kind
    made["config"] = descriptor(config or "application/vnd.oci.empty.v1+json", EMPTY)
    made["layers"] = layers
    return {**made, "subject": subject} if subject else made


class Repository:
    """Pushes to one repository of a registry."""

    def __init__(self, url: str, name: str = "team/app") -> None:
        self.url, self.name = url, name
        self.image_base = f"{url.split('://')[1]}/{name}"

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False)

    def blob(self, data: bytes) -> bytes:
        with self._client() as client:
            where = client.post(f"/v2/{self.name}/blobs/uploads/").headers["location"]
            assert client.put(f"{where}&digest={digest(data)}", content=data).status_code == 201
        return data

    def manifest(self, document: Document, reference: str | None = None) -> bytes:
        body = body_of(document)
        with self._client() as client:
            path = f"/v2/{self.name}/manifests/{reference or digest(body)}"
            answer = client.put(path, content=body, headers={"content-type": document["mediaType"]})
            assert answer.status_code == 201, answer.text
        return body

    def image(self, tag: str | None = "1.0", content: bytes = b"layer") -> bytes:
        config = descriptor("application/vnd.oci.image.config.v1+json", self.blob(b'{"os":"linux"}'))
        layers = [descriptor("application/vnd.oci.image.layer.v1.tar", self.blob(content))]
        made = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}
        return self.manifest(made, tag)

    def index(self, children: list[bytes], tag: str | None = "1.0") -> bytes:
        listed = [
            descriptor(OCI_MANIFEST, it, platform={"os": "linux", "architecture": "amd64"}) for it in children
        ]
        return self.manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}, tag)

    def cosign(self, image: bytes, *layers: tuple[bytes, Document]) -> bytes:
        """(payload, layer) pairs at cosign's tag."""
        self.blob(EMPTY)
        for payload, _ in layers:
            self.blob(payload)
        made = artifact("", [it for _, it in layers], None, "application/vnd.oci.image.config.v1+json")
        return self.manifest(made, f"{tag_of(digest(image))}.sig")

    def signed(self, image: bytes, key: Key, **annotations: str) -> bytes:
        """One good signature at cosign's tag."""
        payload = simple_payload(digest(image))
        return self.cosign(image, (payload, simple_layer(payload, sign(key, payload), **annotations)))

    def referrer(
        self, image: bytes, kind: str, media_type: str, data: bytes, config: str = "", listed: bool = True
    ) -> bytes:
        """An artifact with the image as its subject; `listed` at the fallback tag too."""
        self.blob(EMPTY)
        layer = descriptor(media_type, self.blob(data))
        return self.refer(image, artifact(kind, [layer], descriptor(OCI_MANIFEST, image), config), listed)

    def refer(self, image: bytes, document: Document, listed: bool = True) -> bytes:
        body = self.manifest(document)
        if listed:
            entries = [descriptor(OCI_MANIFEST, body)]
            made = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            self.manifest(made, tag_of(digest(image)))
        return body
