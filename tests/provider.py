"""An OpenID Connect provider of our own: real HTTP, signed tokens, PKCE and one-time codes; and its lies.

It logs in `person` without asking. `lie` changes the claims of the next ID tokens, `sign` how they are made.
`oidc-provider-mock`, another's implementation, stands beside it in tests/e2e/test_oidc.py.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "seawall", "a client's secret: with & and +"


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Provider:
    """`asked` are the queries of authorization, `refused` what the token endpoint said no to."""

    def __init__(self) -> None:
        self.key, self.other = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(2))
        self.issuer = ""
        self.honest()

    def honest(self) -> None:
        """As at the beginning: the truth, about ada."""
        self.person: dict[str, Any] = {
            "sub": "1001", "preferred_username": "ada", "groups": ["staff", "on-call"],
        }  # fmt: skip
        self.lie: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.metadata: dict[str, Any] = {}
        self.one_time, self.auth_age = True, 0.0
        self.asked: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.codes: dict[str, dict[str, str]] = {}

    def signed(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def unsigned(self, claims: dict[str, Any]) -> str:
        return f"{encoded({'alg': 'none', 'kid': self.key.kid})}.{encoded(claims)}."

    def by_another_key(self, claims: dict[str, Any]) -> str:
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.other)

    def by_shared_secret(self, claims: dict[str, Any]) -> str:
        """HS256 with what is public of the key: the classic confusion of algorithms."""
        text = f"{encoded({'alg': 'HS256', 'kid': self.key.kid})}.{encoded(claims)}"
        mark = hmac.digest(self.key.as_pem(private=False), text.encode(), "sha256")
        return f"{text}.{encoded(mark)}"

    def changed(self, claims: dict[str, Any]) -> str:
        """A right signature under other claims."""
        header, _, mark = self.signed(claims).split(".")
        return f"{header}.{encoded(claims | {'groups': ['admins']})}.{mark}"

    def authorize(self, query: dict[str, str]) -> str:
        """The address to send the browser back to."""
        self.asked.append(query)
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.issuer}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        scheme, _, basic = authorization.partition(" ")
        name, _, secret = base64.b64decode(basic).decode().partition(":")
        query = self.codes.pop(form["code"], None) if self.one_time else self.codes.get(form["code"])
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if scheme != "Basic" or (unquote(name), unquote(secret.replace("+", " "))) != (CLIENT, SECRET):
            return self.no("invalid_client")
        if query is None or query["redirect_uri"] != form["redirect_uri"]:
            return self.no("invalid_grant")
        if query["code_challenge_method"] != "S256" or query["code_challenge"] != encoded(digest):
            return self.no("invalid_grant: PKCE")
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": query["nonce"],
            "auth_time": int(now - self.auth_age), **self.person, **self.lie,
        }  # fmt: skip
        claims = {key: value for key, value in claims.items() if value is not None}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}

    def no(self, error: str) -> tuple[int, dict[str, Any]]:
        self.refused.append(error)
        return 400, {"error": error.partition(":")[0]}

    def document(self) -> dict[str, Any]:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
        }
        return found | self.metadata


@contextmanager
def providing() -> Iterator[Provider]:
    """Served on a free port of 127.0.0.1."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(dict(parse_qsl(parts.query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path == "/jwks":
                self.say(200, {"keys": [provider.key.as_dict(private=False)]})
            elif parts.path == "/.well-known/openid-configuration":
                self.say(200, provider.document())
            else:
                self.say(404, {})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self.say(*provider.token(form, self.headers.get("Authorization", "")))

        def say(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
