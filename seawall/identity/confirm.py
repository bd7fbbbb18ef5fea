"""The second factor, asked again before an approval: a session that somebody else uses approves nothing.

| Who approves | What is asked |
|---|---|
| local user, low or medium risk | a code, unless this session gave one within `server.confirm_within` |
| local user, high risk | a fresh code, each time |
| external user (OIDC) | a log-in at the provider within that time; high risk: since the last one, too |
| bearer token, a session made from one, the socket | nothing: there is no second factor |

A log-in counts as the first code of its session. Codes count once, and wrong ones cost time as log-ins do.
"""

from dataclasses import dataclass

from seawall.core.accounts import AccountStore, User
from seawall.core.actions import Risk
from seawall.core.errors import Refused
from seawall.core.ports import Clock
from seawall.identity import Accounts, Entry


@dataclass(frozen=True, slots=True)
class Proof:
    """What comes with an approval: the session (None without one), a code or "", the client's address."""

    entry: Entry | None = None
    code: str = ""
    address: str = ""


class Confirmation:
    """Asks for the second factor. `within` is `server.confirm_within`, seconds."""

    def __init__(self, accounts: Accounts, store: AccountStore, clock: Clock, within: float) -> None:
        self._accounts, self._store, self._clock, self._within = accounts, store, clock, within

    def needed(self, entry: Entry | None, risk: Risk) -> str:
        """What this session must bring to approve: "" nothing, `code`, or `login` (at the provider)."""
        user = self._user(entry)
        if entry is None or user is None:
            return ""
        now, at = self._clock.now(), self._accounts.confirmed_at(entry.session.id)
        fresh = at is not None and 0 <= now - at < self._within
        if user.issuer:
            return "" if fresh else "login"
        return "" if fresh and risk is not Risk.HIGH else "code"

    def check(self, proof: Proof, risk: Risk) -> None:
        """Before an approval; the code is used up. Refused: something is missing. LoginRefused: it is wrong.
        TooManyAttempts."""
        what, user = self.needed(proof.entry, risk), self._user(proof.entry)
        if proof.entry is None or user is None or (not what and not proof.code):
            return
        if user.issuer:
            if what:
                raise Refused("your log-in is too long ago for an approval; log in at your provider again")
            return
        if not proof.code:
            why = "high risk" if risk is Risk.HIGH else "the last one is too long ago"
            raise Refused(f"this approval needs a code of your authenticator ({why})")
        self._accounts.second_factor(user.name, proof.code, proof.address)
        self._accounts.confirm(proof.entry.session.id)

    def used(self, proof: Proof, risk: Risk) -> None:
        """After an approval of high risk by an external user: the next one needs another log-in."""
        user = self._user(proof.entry)
        if proof.entry is not None and user is not None and user.issuer and risk is Risk.HIGH:
            self._accounts.unconfirm(proof.entry.session.id)

    def _user(self, entry: Entry | None) -> User | None:
        if entry is None or entry.session.kind != "user":
            return None
        return self._store.user(entry.session.name)
