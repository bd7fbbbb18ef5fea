"""Secrets of accounts: argon2id passwords, TOTP (RFC 6238), recovery codes, sealed at rest."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import replace
from threading import BoundedSemaphore

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from seawall.core.accounts import User
from seawall.core.errors import InputError

SHORTEST, LONGEST = 12, 256
STEP = 30  # seconds, RFC 6238
RECOVERY_CODES = 10
_HASHER = PasswordHasher()  # the library's choice: argon2id, RFC 9106's second recommended set
_BUSY = BoundedSemaphore(2)  # each takes 64 MiB: a flood of log-ins must not take the machine
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))


def hash_secret(secret: str) -> str:
    """Hex SHA-256: for random secrets of 80 bits and more, where a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def hash_password(password: str) -> str:
    """The argon2id string."""
    with _BUSY:
        return _HASHER.hash(password)


def right_password(user: User | None, password: str) -> bool:
    """Takes the same time where there is no such user."""
    with _BUSY:
        try:
            return _HASHER.verify(user.password if user else _NOBODY, password[:LONGEST]) and user is not None
        except (VerificationError, InvalidHashError):
            return False


def check_password(name: str, password: str) -> None:
    """InputError for a password that is too easy: length is what counts (NIST SP 800-63B 3.1.1)."""
    fault = ""
    if not SHORTEST <= len(password) <= LONGEST:
        fault = f"it has {len(password)} characters"
    elif name.lower() in password.lower() and len(password) < len(name) + SHORTEST:
        fault = "it is little more than your name"
    elif len(set(password)) < 5:
        fault = "it repeats a few characters"
    if fault:
        raise InputError("password", fault, f"take {SHORTEST} to {LONGEST} characters that nobody can guess")


def one_time_password() -> str:
    """120 random bits, in groups that can be typed."""
    text = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    return "-".join(text[i : i + 6] for i in range(0, 24, 6))


def recovery_codes() -> list[str]:
    """Ten codes of 80 random bits."""
    made = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    return [f"{it[:8]}-{it[8:]}" for it in made]


class Vault:
    """Seals TOTP secrets with a key that lies outside the database."""

    def __init__(self, key: bytes) -> None:
        self._key, self._fernet = key, Fernet(key)

    def seal(self, text: str) -> str:
        """Encrypted and authenticated (Fernet)."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text. InputError if another key sealed it."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            remedy = "put the right file back into the state folder, or reset the account"
            raise InputError("identity-key", "it does not fit the records", remedy) from error

    def seal_at(self, text: str, now: float) -> str:
        """As `seal`, with the time in it."""
        return self._fernet.encrypt_at_time(text.encode(), int(now)).decode()

    def open_within(self, sealed: str, seconds: float, now: float) -> str | None:
        """The text, or None: another key sealed it, or it is older."""
        try:
            return self._fernet.decrypt_at_time(sealed.encode(), int(seconds), int(now)).decode()
        except InvalidToken:
            return None

    def following(self, secret: str) -> str:
        """The session secret that comes after this one: the same for requests that run side by side."""
        made = hmac.digest(self._key, b"session:" + secret.encode(), "sha256")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")


def new_totp() -> str:
    """A secret of 160 random bits (base32)."""
    return str(pyotp.random_base32())


def totp_uri(name: str, secret: str) -> str:
    """What authenticator apps read from the QR code."""
    return str(pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="Seawall"))


def matching_step(secret: str, code: str, now: float, after: int) -> int | None:
    """The 30 s step whose code this is: now, one before or after, but none that was used (RFC 6238 5.2)."""
    totp, current = pyotp.TOTP(secret), int(now // STEP)
    for step in (current - 1, current, current + 1):
        if step > after and hmac.compare_digest(totp.at(step * STEP).encode(), code.strip().encode()):
            return step
    return None


def use_code(user: User, code: str, vault: Vault, now: float) -> tuple[User, str] | None:
    """(the user after it, totp or recovery) if the code is right; it will not be right again."""
    if not user.totp or not code:
        return None
    step = matching_step(vault.open(user.totp), code.replace(" ", ""), now, user.step)
    if step is not None:
        return replace(user, step=step), "totp"
    hashed = hash_secret(code.strip().lower())
    if hashed not in user.recovery:
        return None
    return replace(user, recovery=tuple(it for it in user.recovery if it != hashed)), "recovery"


def qr_of(uri: str) -> str:
    """An SVG, dark on light whatever the theme, so that every camera reads it."""
    import segno

    return str(segno.make(uri, error="m").svg_inline(scale=5, dark="#000", light="#fff"))
