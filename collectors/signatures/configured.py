"""Trust as seawall.yaml has it: its files read, the same file once."""

from collectors.signatures.identities import Identity, read_keyless
from collectors.signatures.identities import Keyless as Sigstore
from collectors.signatures.trust import (
    Trust,
    TrustRule,
    Trusts,
    TrustStore,
    read_key,
    read_revoked,
    read_trust_store,
)
from seawall.config.keyless import Keyless
from seawall.config.trust import Believed
from seawall.config.trust import Trust as Configured


def read_trusts(configured: Configured) -> Trusts:
    """Whom a registry's configuration believes, by repository. InputError names the file that is wrong."""
    revoked = read_revoked(configured.revoked)
    rules = [TrustRule(it.match, read_trust(it, revoked)) for it in configured.repositories]
    return Trusts(read_trust(configured, revoked), rules)


def read_trust(believed: Believed, revoked: frozenset[str]) -> Trust:
    """Keys and trust store, without what is revoked. InputError."""
    store = read_trust_store(believed.trust_store) if believed.trust_store else TrustStore()
    keys = [read_key(it.file, it.not_before, it.not_after) for it in believed.keys]
    keyless = _sigstore(believed.keyless) if believed.keyless else None
    return Trust(keys, store.roots, store.authorities, revoked, keyless)


def _sigstore(keyless: Keyless) -> Sigstore:
    identities = [Identity(it.issuer, it.subject) for it in keyless.identities]
    return read_keyless(
        keyless.roots, keyless.rekor_keys, keyless.ct_keys, identities, keyless.timestamp_authorities
    )
