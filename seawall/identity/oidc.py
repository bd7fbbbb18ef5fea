"""The protocol with an OpenID Connect provider: authorization code with PKCE (S256), state and nonce.

Where Seawall asks is told by the configured issuer alone: its discovery document must name it exactly, and
every address in it must be HTTPS, or of the issuer's own origin. No redirect is followed, and no more than
LARGEST is read. An ID token counts if its signature (no `none`, no shared secret), issuer, audience, times
and nonce are right (OpenID Connect Core, section 3.1.3.7; RFC 9207 and RFC 9700 for the rest).
"""

import base64
import hashlib
import hmac
import json
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from seawall.config import read_secret
from seawall.config.oidc import Oidc
from seawall.core.accounts import LoginRefused
from seawall.core.errors import Overloaded
from seawall.core.ports import Clock

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
LEEWAY = 60  # seconds between two clocks
KEPT = 3600.0  # seconds for which the discovery document and the keys are kept
AGAIN = 60.0  # and at least between two looks for a key that is not known
LARGEST = 256 * 1024
TIMEOUT = 10.0
AT_ONCE = 8
"""Questions to the provider at once: one that hangs must not take all threads of the API."""


@dataclass(frozen=True, slots=True)
class Started:
    """What this browser must bring back. `next` is a local path; `fresh`: a new proof at the provider was
    asked for; `at` Unix seconds."""

    state: str
    nonce: str
    verifier: str
    next: str
    fresh: bool
    at: float

    def text(self) -> str:
        """For the sealed cookie."""
        return json.dumps(asdict(self))


class Provider:
    """One provider. Every method that asks it blocks; Overloaded when it does not answer as it should."""

    def __init__(self, config: Oidc, redirect_uri: str, clock: Clock) -> None:
        self.config, self._redirect, self._clock = config, redirect_uri, clock
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}
        self._free = BoundedSemaphore(AT_ONCE)

    def start(self, next: str, fresh: bool) -> tuple[str, Started]:
        """(the provider's address to send the browser to, what it must bring back)."""
        begun = Started(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            next,
            fresh,
            self._clock.now(),
        )
        challenge = hashlib.sha256(begun.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": self._redirect,
            "scope": " ".join(self.config.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        if fresh:
            query |= {"prompt": "login", "max_age": "0"}
        address = self._endpoint("authorization_endpoint")
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", begun

    def finish(self, begun: Started, query: Mapping[str, str]) -> dict[str, Any]:
        """The claims of who came back with this query. LoginRefused says why not."""
        if not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            raise LoginRefused("this answer of the provider is not for this browser's log-in")
        if query.get("iss", self.config.issuer) != self.config.issuer:
            raise LoginRefused("the answer names another provider")
        if "error" in query or not query.get("code"):
            raise LoginRefused("the provider did not let you in")
        token = self._exchange(query["code"], begun.verifier)
        return self._claims(token, begun.nonce)

    def _exchange(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": verifier,
        }
        file, auth = self.config.client_secret_file, None
        if file is None:
            form["client_id"] = self.config.client_id
        elif "client_secret_basic" in self._metadata().get(
            "token_endpoint_auth_methods_supported", ["client_secret_basic"]
        ):
            auth = _basic(self.config.client_id, read_secret(file, "server.oidc.client_secret_file"))
        else:
            secret = read_secret(file, "server.oidc.client_secret_file")
            form |= {"client_id": self.config.client_id, "client_secret": secret}
        answer = self._ask("POST", self._endpoint("token_endpoint"), form, auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise LoginRefused("the provider did not take its own code, or sent no ID token")
        return token

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            claims = dict(self._decoded(token).claims)
            jwt.JWTClaimsRegistry(
                now=int(self._clock.now()),
                leeway=LEEWAY,
                iss={"essential": True, "value": self.config.issuer},
                aud={"essential": True, "value": self.config.client_id},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
                nonce={"essential": True, "value": nonce},
            ).validate(claims)
        except (JoseError, ValueError) as error:
            raise LoginRefused(f"the provider's ID token does not hold ({type(error).__name__})") from error
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", None if several else self.config.client_id) != self.config.client_id:
            raise LoginRefused("the provider's ID token is for another client")
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise LoginRefused("the provider's ID token names nobody")
        return claims

    def _decoded(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._keys(KEPT), algorithms=ALGORITHMS)
        except (JoseError, ValueError):  # perhaps by a key that is newer than ours
            return jwt.decode(token, self._keys(AGAIN), algorithms=ALGORITHMS)

    def _keys(self, age: float) -> KeySet:
        found = self._document(self._endpoint("jwks_uri"), age)
        return KeySet.import_key_set(found)  # type: ignore[arg-type]

    def greet(self) -> str:
        """What `seawall check` says of it. Overloaded, InputError."""
        if self.config.client_secret_file:
            read_secret(self.config.client_secret_file, "server.oidc.client_secret_file")
        for name in ("authorization_endpoint", "token_endpoint"):
            self._endpoint(name)
        return f"{self.config.issuer}, {len(self._keys(KEPT).keys)} key(s)"

    # asking --------------------------------------------------------------------------------

    def _metadata(self) -> dict[str, Any]:
        url = f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._document(url, KEPT)
        if found.get("issuer") != self.config.issuer:
            self._known.pop(url, None)
            raise Overloaded("the provider calls itself by another name than server.oidc.issuer")
        return found

    def _endpoint(self, name: str) -> str:
        found = self._metadata().get(name)
        if not isinstance(found, str) or not self._safe(found):
            raise Overloaded(f"the provider's {name} is missing, or is not HTTPS")
        return found

    def _safe(self, url: str) -> bool:
        parts, own = urlsplit(url), urlsplit(self.config.issuer)
        same = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
        return bool(parts.netloc) and "@" not in parts.netloc and (same or parts.scheme == "https")

    def _document(self, url: str, age: float) -> dict[str, Any]:
        now = self._clock.now()
        at, found = self._known.get(url, (0.0, {}))
        if now - at >= age or not found:
            found = self._ask("GET", url)
            self._known[url] = (now, found)
        return found

    def _ask(
        self, method: str, url: str, form: Mapping[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> dict[str, Any]:
        """The JSON object of an answer; an error of the token endpoint (RFC 6749, 5.2) is one, too."""
        if not self._free.acquire(blocking=False):
            raise Overloaded("too many people wait for the provider at the moment")
        try:
            with (
                self._client() as client,
                client.stream(
                    method, url, data=form, auth=auth, headers={"Accept": "application/json"}
                ) as it,
            ):
                body = bytearray()
                for piece in it.iter_bytes():
                    body += piece
                    if len(body) > LARGEST:
                        raise Overloaded("the provider's answer is too large")
                found = json.loads(bytes(body))
        except (httpx.HTTPError, ValueError) as error:
            raise Overloaded(f"the provider does not answer as it should ({type(error).__name__})") from error
        finally:
            self._free.release()
        if not isinstance(found, dict) or it.status_code >= 500 or (form is None and not it.is_success):
            raise Overloaded(f"the provider does not answer as it should (HTTP {it.status_code})")
        return found

    def _client(self) -> httpx.Client:
        file = self.config.ca_file
        verify = ssl.create_default_context(cafile=str(file)) if file else True
        return httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False, verify=verify)


def _basic(client_id: str, secret: str) -> httpx.BasicAuth:
    """Both are form-encoded first (RFC 6749, section 2.3.1)."""
    name, password = (urlencode({"": it})[1:] for it in (client_id, secret))
    return httpx.BasicAuth(name, password)
