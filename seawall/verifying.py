"""One verdict for `seawall verify`: trust from the command line, else as the registry is configured."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from collectors.pulling.exchange import Endpoint
from collectors.pulling.images import Image, parse_image
from collectors.pulling.tokens import Credentials
from collectors.signatures.configured import read_trust, read_trusts
from collectors.signatures.trust import Trust, read_revoked
from collectors.signatures.verdicts import Verdict
from collectors.signatures.verifier import verify
from seawall import config as configuration
from seawall.config import Config, read_secret
from seawall.config.keyless import Identity, Keyless
from seawall.config.trust import Believed, SigningKey, revoked
from seawall.core.errors import InputError
from seawall.probing import Asked, configured, endpoint_asked

_TLS_WANTED = "the registry answered 400"  # what servers of HTTPS say to plain HTTP


@dataclass(frozen=True, slots=True)
class Question:
    """What the command line says; `timeout` is in seconds, of all look-ups together."""

    image: str
    timeout: float
    keys: tuple[Path, ...] = ()
    trust_store: Path | None = None
    revoked: tuple[str, ...] = ()
    plain_http: bool = False
    ca_file: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    keyless: Keyless | None = None


async def verify_once(question: Question, config: Path | None) -> Verdict:
    """The verdict on the image, or on an index that a tag of its repository names and that holds it.
    InputError for what is asked wrongly, and for files of ours."""
    image = parse_image(question.image)
    if not image.host:
        remedy = "write it like registry.example.com:5000/team/app:1.0"
        raise InputError(question.image, "names no registry", remedy)
    loaded = configuration.load(configuration.locate(config, os.environ)[0])
    trust = _trust(question, image, loaded)
    endpoint = _endpoint(question, image, loaded)
    look = partial(verify, trust=trust, parents=True, deadline=question.timeout)
    verdict = await look(endpoint, image.repository, image.reference)
    if _TLS_WANTED not in verdict.reason or question.plain_http or configured(image.host, loaded):
        return verdict
    return await look(replace(endpoint, url=f"https://{image.host}"), image.repository, image.reference)


def keyless_asked(
    roots: Sequence[Path] | None,
    rekor_keys: Sequence[Path] | None,
    ct_keys: Sequence[Path] | None,
    subjects: Sequence[str] | None,
    issuer: str | None,
) -> Keyless | None:
    """The keyless trust of the flags; None without any of them. InputError where one lacks another."""
    if not (roots or rekor_keys or ct_keys or subjects or issuer is not None):
        return None
    if not roots or not rekor_keys:
        remedy = "give both, or configure trust.keyless and none of the keyless flags"
        raise InputError("--keyless-roots", "stands without --rekor-key, or that one alone", remedy)
    if bool(subjects) != bool(issuer):
        raise InputError("--identity", "stands without --issuer, or that one alone", "give both")
    try:
        identities = tuple(Identity(issuer=issuer or "", subject=it) for it in subjects or ())
    except ValidationError as error:
        found = error.errors()[0]
        place = "--issuer" if found["loc"] == ("issuer",) else "--identity"
        raise InputError(place, found["msg"], "name who may sign") from error
    return Keyless(
        roots=tuple(roots), rekor_keys=tuple(rekor_keys), ct_keys=tuple(ct_keys or ()), identities=identities
    )


def _endpoint(question: Question, image: Image, config: Config) -> Endpoint:
    asked = Asked(question.image, question.timeout, question.plain_http, ca_file=question.ca_file)
    endpoint = endpoint_asked(asked, image.host, config)
    if bool(question.username) != bool(question.password_file):
        raise InputError("--username", "stands without --password-file, or that one alone", "give both")
    if not question.username or not question.password_file:
        return endpoint
    read = partial(read_secret, question.password_file, "--password-file")
    read()
    return replace(endpoint, credentials=Credentials(question.username, read))


def _trust(question: Question, image: Image, config: Config) -> Trust:
    """Flags before configuration; what the configuration revokes stays revoked."""
    registry = configured(image.host, config)
    revoked = read_revoked([_revoked(it) for it in question.revoked])
    if not question.keys and not question.trust_store and not question.keyless:
        own = read_trusts(registry.trust).of(image.repository) if registry else Trust()
        return replace(own, revoked=own.revoked | revoked)
    if registry:
        revoked |= read_revoked(registry.trust.revoked)
    keys = tuple(SigningKey(file=it) for it in question.keys)
    believed = Believed(keys=keys, trust_store=question.trust_store, keyless=question.keyless)
    return read_trust(believed, revoked)


def _revoked(text: str) -> Path | str:
    try:
        return revoked(text)
    except ValueError as error:
        raise InputError("--revoked", str(error), "name a key file or its fingerprint") from error
