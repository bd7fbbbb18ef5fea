"""Accounts: local users with a second factor, tokens, sessions; who is let in, and what is written down."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from seawall.core.accounts import (
    NO_ROLE,
    ROLES,
    AccountStore,
    Identity,
    LoginRefused,
    Session,
    Token,
    User,
)
from seawall.core.errors import Conflict, InputError, NotFound
from seawall.core.ports import Clock, RecordStore
from seawall.identity.credentials import (
    Vault,
    check_password,
    hash_password,
    hash_secret,
    matching_step,
    new_totp,
    one_time_password,
    recovery_codes,
    right_password,
    totp_uri,
    use_code,
)
from seawall.identity.limits import KNOWN, Limits

ABSOLUTE = 12 * 3600.0  # seconds that a session lives at most
IDLE = 2 * 3600.0  # and without a request
SETUP = 900.0  # to choose a password and enrol the second factor
ROTATE = 900.0  # the cookie's secret changes that often
GRACE = 60.0  # for requests that were under way then
REMEMBERED = 1.0  # a token is asked of the store that often; another replica's revocation waits so long
MOST_KNOWN = 1000
TOUCH = 60.0  # `last used` is that exact
REFUSED = "name, password or code is wrong"
WRONG_CODE = "the code is wrong, or was used before; wait for the next one"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a session's cookie stands for. `who` is None in stage setup; `secret` is a new cookie, or ""."""

    session: Session
    who: Identity | None
    secret: str = ""


class Accounts:
    """All that is done with accounts. `store` keeps them, `vault` seals what must not lie open in it."""

    def __init__(self, store: AccountStore, records: RecordStore, clock: Clock, vault: Vault) -> None:
        self._store, self._records, self._clock, self._vault = store, records, clock, vault
        self.limits = Limits(store, clock)
        self.password_changed: Callable[[], None] = lambda: None
        self._turn = Lock()
        self._known: dict[
            str, tuple[float, int, Token]
        ] = {}  # by hash: asked at, `changes` then, what was found
        self.changes = 0  # of who may ask, by this process; an open stream looks again when it has moved

    # users ---------------------------------------------------------------------------------

    def users(self) -> list[User]:
        """All, by name."""
        return self._store.users()

    def user(self, name: str) -> User:
        """One. NotFound."""
        found = self._store.user(name)
        if found is None:
            raise NotFound(f"no user {name!r}; `seawall user list` lists them")
        return found

    def _local(self, name: str) -> User:
        user = self.user(name)
        if user.issuer:
            raise Conflict(f"the password and second factor of {name} are kept by {user.issuer}")
        return user

    def add_user(self, name: str, role: str, grants: Mapping[str, str], by: str) -> str:
        """A new account's one-time password."""
        _check_roles(role, grants)
        password, now = one_time_password(), self._clock.now()
        pairs = tuple(sorted(grants.items()))
        self._store.add_user(User(name, role, hash_password(password), now, pairs), by)
        return password

    def reset(self, name: str, by: str) -> str:
        """A new one-time password; second factor, recovery codes and sessions are gone."""
        password, user = one_time_password(), self._local(name)
        fresh = replace(
            user, password=hash_password(password), totp="", new_totp="", recovery=(), must_change=True
        )
        self._store.save_user(fresh, by, "user.reset", {}, self._clock.now())
        self._end(name=name)
        return password

    def disable(self, name: str, disabled: bool, by: str) -> User:
        """Shut the account, or open it again; its sessions end."""
        word = "user.disabled" if disabled else "user.enabled"
        saved = self._store.save_user(
            replace(self.user(name), disabled=disabled), by, word, {}, self._clock.now()
        )
        self._end(name=name)
        return saved

    def set_role(self, name: str, role: str, grants: Mapping[str, str], by: str) -> User:
        """Another role, from the next request on."""
        _check_roles(role, grants)
        if name == by:
            raise Conflict("nobody changes their own role; ask another admin")
        changed = replace(self.user(name), role=role, grants=tuple(sorted(grants.items())))
        detail = {"role": role, "registries": dict(grants)}
        saved = self._store.save_user(changed, by, "user.role", detail, self._clock.now())
        self.changes += 1
        return saved

    # logging in ----------------------------------------------------------------------------

    def log_in(self, name: str, password: str, code: str, address: str) -> tuple[User, str]:
        """(the user, the cookie's secret). LoginRefused or TooManyAttempts; the audit log has both ends.

        Without a second factor yet, or with a one-time password, the session may only set these up.
        """
        self.limits.check(name, address)
        user = self._store.user(name) if len(name) <= 128 else None
        right = right_password(user, password)
        if user is None or not right or user.disabled:
            raise self._refused(user, name, address)
        used = use_code(user, code, self._vault, self._clock.now()) if user.totp else (user, "setup")
        if used is None:
            raise self._refused(user, name, address)
        after, how = used
        now = self._clock.now()
        detail = {"address": address, "second": how}
        try:
            saved = self._store.save_user(
                replace(after, last_login=now), name, "login.succeeded", detail, now
            )
        except Conflict:  # the same code twice at the same moment
            raise self._refused(user, name, address) from None
        self.limits.right(name, address)
        return saved, self.begin(saved, now if saved.ready else None)

    def begin(self, user: User, confirmed: float | None) -> str:
        """The secret of a session for a user who has logged in; `confirmed`: when their second factor was
        seen, here or at their provider."""
        return self._start(user.name, "user", "", "full" if user.ready else "setup", confirmed)

    def seal(self, text: str) -> str:
        """For a cookie that only this Seawall can read."""
        return self._vault.seal_at(text, self._clock.now())

    def unseal(self, sealed: str, within: float) -> str | None:
        """The text, if it was sealed here, so many seconds ago at most."""
        return self._vault.open_within(sealed, within, self._clock.now())

    def _refused(self, user: User | None, name: str, address: str, why: str = REFUSED) -> LoginRefused:
        self.limits.wrong(name, address)
        # People type passwords into the wrong field, so that an unknown name is not written down.
        known = user.name if user else "(unknown)"
        self._records.audit(known, "login.failed", known, {"address": address}, self._clock.now())
        return LoginRefused(why)

    def log_in_with_token(self, secret: str) -> tuple[Identity, str] | None:
        """A session made from a token."""
        who = self.by_token(secret)
        return (who, self._start(who.name, "token", hash_secret(secret), "full")) if who else None

    def _start(self, name: str, kind: str, source: str, stage: str, confirmed: float | None = None) -> str:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        until = now + (ABSOLUTE if stage == "full" else SETUP)
        id = secrets.token_hex(16)
        self._store.start_session(
            Session(id, hash_secret(secret), name, kind, source, stage, now, now, now, until)
        )
        if confirmed is not None:
            self.confirm(id, confirmed)
        return secret

    # the account's owner -------------------------------------------------------------------

    def change_password(self, name: str, old: str, new: str, address: str) -> None:
        """With the old one; a one-time password is over then, and so are all sessions."""
        self.limits.check(name, address)
        user = self._local(name)
        if not right_password(user, old):
            raise self._refused(user, name, address)
        check_password(name, new)
        if right_password(user, new):
            raise InputError("password", "it is the old one", "choose another")
        changed = replace(user, password=hash_password(new), must_change=False)
        self._store.save_user(changed, name, "user.password", {}, self._clock.now())
        self._end(name=name)
        self.password_changed()

    def begin_totp(self, name: str) -> tuple[str, str]:
        """(secret, otpauth URI) of a second factor that counts once `confirm_totp` has seen a code of it."""
        user = self._local(name)
        if user.totp:
            raise Conflict("a second factor is enrolled; an admin resets the account if it is lost")
        if user.new_totp:  # shown again, so that a reload does not void what the app has scanned
            secret = self._vault.open(user.new_totp)
            return secret, totp_uri(name, secret)
        secret = new_totp()
        self._store.save_user(
            replace(user, new_totp=self._vault.seal(secret)), name, "", {}, self._clock.now()
        )
        return secret, totp_uri(name, secret)

    def confirm_totp(self, name: str, code: str, address: str) -> list[str]:
        """Recovery codes, to be shown this once."""
        self.limits.check(name, address)
        user = self.user(name)
        if user.totp or not user.new_totp:
            raise Conflict("no second factor waits for a code; begin again")
        now = self._clock.now()
        step = matching_step(self._vault.open(user.new_totp), code.replace(" ", ""), now, 0)
        if step is None:
            raise self._refused(user, name, address)
        codes = recovery_codes()
        done = replace(
            user, totp=user.new_totp, new_totp="", step=step, recovery=tuple(hash_secret(it) for it in codes)
        )
        self._store.save_user(done, name, "user.totp", {}, now)
        self._end(name=name)
        return codes

    def second_factor(self, name: str, code: str, address: str) -> None:
        """A fresh code of a logged-in user, such as before an approval. LoginRefused, TooManyAttempts."""
        self.limits.check(name, address)
        user, now = self.user(name), self._clock.now()
        used = use_code(user, code, self._vault, now)
        if used is None:
            raise self._refused(user, name, address, WRONG_CODE)
        try:
            self._store.save_user(
                used[0], name, "login.confirmed", {"address": address, "second": used[1]}, now
            )
        except Conflict:  # the same code twice at the same moment
            raise self._refused(user, name, address, WRONG_CODE) from None
        self.limits.right(name, address)

    def confirmed_at(self, session: str) -> float | None:
        """When this session's second factor was last seen; None if never. Kept with the attempts."""
        found = self._store.attempts([f"confirmed:{session}"])
        return found[f"confirmed:{session}"][1] if found else None

    def confirm(self, session: str, at: float | None = None) -> None:
        """It has been seen, now or then."""
        now = self._clock.now()
        self._store.note_attempts({f"confirmed:{session}": 1}, now if at is None else at, now - KNOWN)

    def unconfirm(self, session: str) -> None:
        """It counts no more."""
        now = self._clock.now()
        self._store.note_attempts({f"confirmed:{session}": 0}, now, now - KNOWN)

    def fresh_session(self, name: str) -> str:
        """After a change of password or second factor: a new secret for the owner. An approval needs a code
        yet: whoever knows the old password alone shall not get around it."""
        return self._start(name, "user", "", "full" if self.user(name).ready else "setup")

    # tokens and sessions -------------------------------------------------------------------

    def new_token(self, name: str, role: str, grants: Mapping[str, str], by: str, until: float | None) -> str:
        """A new token's secret; only its hash is kept, so that it is shown once."""
        _check_roles(role, grants)
        secret = f"sw_{secrets.token_urlsafe(32)}"
        pairs = tuple(sorted(grants.items()))
        self._store.issue_token(Token(name, role, hash_secret(secret), self._clock.now(), until, pairs), by)
        return secret

    def adopt_token(self, name: str, secret: str) -> None:
        """An admin's token whose secret is there already (the records are new, its file is not)."""
        self._store.issue_token(Token(name, "admin", hash_secret(secret), self._clock.now(), None), "seawall")

    def tokens(self) -> list[Token]:
        """All, by name."""
        return self._store.tokens()

    def revoke_token(self, name: str, by: str) -> None:
        """It opens nothing from now on. NotFound."""
        self._store.revoke_token(name, by, self._clock.now())
        self.changes += 1

    def was_revoked(self, secret: str) -> bool:
        """Was this token revoked?"""
        return self._store.was_revoked(hash_secret(secret))

    def audit_check(self, head: str = "") -> dict[str, Any]:
        """Does the audit chain hold, and is the hash `head` in it? See the port."""
        return self._store.audit_check(head)

    def by_token(self, secret: str) -> Identity | None:
        """The bearer of a live token."""
        return self._bearer(hash_secret(secret), "token")

    def _bearer(self, hashed: str, via: str) -> Identity | None:
        now = self._clock.now()
        found = self._live(hashed, now)
        if found is None:
            return None
        if now - (found.used_at or 0.0) > TOUCH:
            self._store.touch_token(hashed, now)
            with self._turn:
                self._known.pop(hashed, None)
        return Identity(found.name, found.role, via, found.grants)

    def _live(self, hashed: str, now: float) -> Token | None:
        """The token, unless it is expired or revoked; asked of the store again after REMEMBERED seconds, or
        when this process has changed who may ask."""
        at, changes, known = self._known.get(hashed, (0.0, -1, None))
        if known is None or changes != self.changes or not 0 <= now - at < REMEMBERED:
            changes = self.changes
            known = self._store.live_token(hashed, now)
            with self._turn:
                self._known.pop(hashed, None)
                if known is not None:
                    self._known[hashed] = (now, changes, known)
                if len(self._known) > MOST_KNOWN:
                    del self._known[next(iter(self._known))]
        return known if known and (known.until is None or known.until > now) else None

    def still(self, who: Identity, session: str, hashed: str) -> bool:
        """May the asker of an open stream still ask, with the same rights? `session` is its id, `hashed` a
        bearer token's hash; both "" for the socket. It counts as no use of them."""
        if session:
            found = self._store.session_with(session)
            return found is not None and not self._over(found) and self._holder(found) == who
        return not hashed or self._bearer(hashed, who.via) == who

    def _over(self, session: Session) -> bool:
        now = self._clock.now()
        idle = SETUP if session.stage == "setup" else IDLE
        return now >= session.until or now - session.used_at > idle

    def resume(self, secret: str) -> Entry | None:
        """What a live cookie stands for. A secret that was given up ends its session: it was stolen."""
        hashed, now = hash_secret(secret), self._clock.now()
        session = self._store.session_of(hashed)
        if session is None:
            return None
        over = self._over(session)
        if session.previous == hashed and now - session.rotated_at > GRACE:
            self._records.audit(session.name, "session.reused", session.name, {}, now)
            over = True
        who = None if over else self._holder(session)
        if over or (session.stage == "full" and who is None):
            self._end(id=session.id)
            return None
        session, fresh = self._turned(session, hashed, secret, now)
        return Entry(session, who if session.stage == "full" else None, fresh)

    def _holder(self, session: Session) -> Identity | None:
        if session.kind == "token":
            return self._bearer(session.source, "session")
        user = self._store.user(session.name)
        if user is None or user.disabled:
            return None
        return Identity(user.name, user.role, "session", user.grants)

    def _turned(self, session: Session, hashed: str, secret: str, now: float) -> tuple[Session, str]:
        """The session after this use, and the secret that the cookie shall have from now on."""
        fresh, turned = "", session
        if session.following == hashed:  # the browser has taken the new secret
            turned = replace(session, hash=hashed, previous=session.hash, following="", rotated_at=now)
        elif session.hash == hashed and session.stage == "full" and now - session.rotated_at > ROTATE:
            fresh = self._vault.following(secret)
            turned = replace(session, following=hash_secret(fresh))
        if turned != session or now - session.used_at > TOUCH:
            turned = replace(turned, used_at=now)
            self._store.save_session(turned)
        return turned, fresh

    def _end(self, id: str = "", name: str = "") -> None:
        self._store.end_sessions(id=id, name=name)
        self.changes += 1

    def log_out(self, secret: str) -> None:
        """End a session."""
        session = self._store.session_of(hash_secret(secret))
        if session:
            self._end(id=session.id)
            self._records.audit(session.name, "session.ended", session.name, {}, self._clock.now())


def _check_roles(role: str, grants: Mapping[str, str]) -> None:
    for one in (role, *grants.values()):
        if one not in ROLES and not (one == NO_ROLE and one == role and grants):
            remedy = f"use one of {', '.join(ROLES)}; `none` only with a role for a registry"
            raise InputError("role", f"{one!r} is unknown", remedy)
