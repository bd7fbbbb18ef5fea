"""People and programs that may ask: users, tokens, sessions, and what keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from seawall.core.errors import SeawallError

ROLES = ("viewer", "operator", "approver", "admin")
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$"
NO_ROLE = "none"  # nothing but what a grant for a registry gives
Grants = tuple[tuple[str, str], ...]


class LoginRefused(SeawallError):
    """Name, password or code is wrong; which of them is never said."""


class TooManyAttempts(SeawallError):
    """Wait `seconds` before the next attempt."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong attempts; wait {seconds:.0f} s")
        self.seconds = seconds


def rank(role: str) -> int:
    """0 for viewer up to 3 for admin; -1 for none."""
    return ROLES.index(role) if role in ROLES else -1


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `via` is token, session or socket; `grants` are (registry, role) and raise the role there."""

    name: str
    role: str
    via: str
    grants: Grants = ()

    def may(self, role: str) -> bool:
        """True if this role includes `role`."""
        return rank(self.role) >= rank(role)

    def within(self, registry: str | None) -> "Identity":
        """As seen from one registry: the higher of the role everywhere and the grant there."""
        found = [role for name, role in self.grants if name == registry]
        return replace(self, role=max([self.role, *found], key=rank), grants=())


@dataclass(frozen=True, slots=True)
class User:
    """An account. `password` is an argon2id string; `totp` and `new_totp` are sealed, "" for none;
    `step` is the last 30 s step whose code was used; `recovery` are hex SHA-256. Times: Unix seconds.
    An external user has `issuer` and `subject` (OpenID Connect Core, section 2) and no password."""

    name: str
    role: str
    password: str
    created_at: float
    grants: Grants = ()
    totp: str = ""
    new_totp: str = ""
    step: int = 0
    recovery: tuple[str, ...] = ()
    must_change: bool = True
    disabled: bool = False
    last_login: float | None = None
    version: int = 0
    issuer: str = ""
    subject: str = ""

    @property
    def ready(self) -> bool:
        """Own password chosen and second factor enrolled; an external user has both at the provider."""
        return bool(self.issuer) or (bool(self.totp) and not self.must_change)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: `hash` is hex SHA-256 of its secret. Times: Unix seconds."""

    name: str
    role: str
    hash: str
    at: float
    until: float | None
    grants: Grants = ()
    used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in. `kind` is user or token; `source` the token's hash; `stage` is full or setup. A secret is
    one of `hash` (in use), `following` (handed out, not used yet), `previous` (given up at `rotated_at`)."""

    id: str
    hash: str
    name: str
    kind: str
    source: str
    stage: str
    at: float
    used_at: float
    rotated_at: float
    until: float
    following: str = ""
    previous: str = ""


class AccountStore(Protocol):
    """Accounts, kept durably. Each change that people should know of is in the audit log with it."""

    def add_user(self, user: User, actor: str) -> None:
        """Conflict if the name is taken."""
        ...

    def user(self, name: str) -> User | None:
        """One account."""
        ...

    def users(self) -> list[User]:
        """All accounts by name."""
        ...

    def save_user(self, user: User, actor: str, event: str, detail: Mapping[str, Any], at: float) -> User:
        """Compare-and-set by version; Conflict if it changed meanwhile. No audit entry if `event` is ""."""
        ...

    def issue_token(self, token: Token, actor: str) -> None:
        """Conflict if the name is taken."""
        ...

    def tokens(self) -> list[Token]:
        """All tokens by name, expired ones too."""
        ...

    def live_token(self, hashed: str, at: float) -> Token | None:
        """The token, unless it is expired or revoked."""
        ...

    def touch_token(self, hashed: str, at: float) -> None:
        """It was used."""
        ...

    def revoke_token(self, name: str, actor: str, at: float) -> None:
        """Forget it, and end its sessions. NotFound."""
        ...

    def was_revoked(self, hashed: str) -> bool:
        """Was a token of this hash revoked?"""
        ...

    def start_session(self, session: Session) -> None:
        """Keep it; those past their end go."""
        ...

    def session_of(self, hashed: str) -> Session | None:
        """By any of its three hashes."""
        ...

    def session_with(self, id: str) -> Session | None:
        """By its id, which stays while its secrets turn."""
        ...

    def save_session(self, session: Session) -> None:
        """Replace it."""
        ...

    def end_sessions(self, id: str = "", name: str = "") -> None:
        """One session by id, or all of a user by name."""
        ...

    def attempts(self, keys: Sequence[str]) -> dict[str, tuple[int, float]]:
        """Key -> (wrong attempts, time of the last)."""
        ...

    def note_attempts(self, counts: Mapping[str, int], at: float, forget_before: float) -> None:
        """Set counts (0: forget); those not touched since `forget_before` go, too."""
        ...

    def audit_check(self, head: str) -> dict[str, Any]:
        """{ok, entries, fault, seq, head}: does the chain hold, and is the hash `head` (if any) in it?"""
        ...

    def audit_since(self, seq: int, limit: int) -> list[dict[str, Any]]:
        """Audit entries after `seq`, the oldest first."""
        ...

    def audit_mark(self, target: str, seq: int | None = None) -> int:
        """How far an export has come; with `seq`, set it."""
        ...
