"""External users: who comes from the provider becomes an account without a password of its own.

An account belongs to (issuer, subject), for good: a name that a local user, a token, Seawall itself or
another subject has is never taken over. The role is that of the claim, anew at each log-in; without one
nobody gets in.
"""

import json
import re
from dataclasses import replace
from typing import Any

from seawall.core.accounts import NAME, AccountStore, LoginRefused, User, rank
from seawall.core.errors import Conflict
from seawall.core.ports import Clock, RecordStore
from seawall.identity import Accounts
from seawall.identity.limits import network_of
from seawall.identity.oidc import LEEWAY, Provider, Started

PENDING = 600.0
"""Seconds that a log-in at the provider may take."""
ACTOR = "(provider)"
RESERVED = frozenset({"seawall", "policy"})  # actors of Seawall's own, in approvals and in the audit log


class ExternalLogin:
    """Begins log-ins at the provider and ends them here. `label` is what the button calls it."""

    def __init__(
        self, provider: Provider, accounts: Accounts, store: AccountStore, records: RecordStore, clock: Clock
    ) -> None:
        self._provider, self._accounts, self._clock = provider, accounts, clock
        self._store, self._records = store, records
        self.label = provider.config.label

    def start(self, next: str, fresh: bool) -> tuple[str, str]:
        """(where to send the browser, the sealed cookie that it must bring back); `fresh`: the provider shall
        ask again even who is logged in there. Overloaded."""
        address, begun = self._provider.start(next, fresh)
        return address, self._accounts.seal(begun.text())

    def finish(self, sealed: str, query: dict[str, str], address: str) -> tuple[str, str]:
        """(the session's secret, the local path to go on to). LoginRefused, TooManyAttempts, Overloaded."""
        place = f"{ACTOR} {network_of(address)}"  # each address waits for its own faults only
        self._accounts.limits.check(place, address)
        try:
            begun = self._begun(sealed)
            claims = self._provider.finish(begun, query)
            user = self._user(claims, begun, address)
        except LoginRefused as error:
            self._accounts.limits.wrong(place, address)
            detail = {"address": address, "second": "provider", "why": str(error)}
            self._records.audit(ACTOR, "login.failed", ACTOR, detail, self._clock.now())
            raise
        self._accounts.limits.right(place, address)
        return self._accounts.begin(user, self._proved(claims)), begun.next

    def _begun(self, sealed: str) -> Started:
        text = self._accounts.unseal(sealed, PENDING)
        if text is None:
            raise LoginRefused("this log-in was not begun in this browser, or too long ago; begin again")
        return Started(**json.loads(text))

    def _proved(self, claims: dict[str, Any]) -> float | None:
        """When the person last proved at the provider who they are, if it tells (`auth_time`)."""
        at, now = claims.get("auth_time"), self._clock.now()
        if not isinstance(at, int | float) or isinstance(at, bool) or at > now + LEEWAY:
            return None
        return min(float(at), now)

    def _user(self, claims: dict[str, Any], begun: Started, address: str) -> User:
        if begun.fresh and (self._proved(claims) or 0.0) < begun.at - LEEWAY:
            raise LoginRefused("the provider does not tell that you have just logged in there")
        role, key = self._role(claims), (self._provider.config.issuer, claims["sub"])
        user = next((it for it in self._store.users() if (it.issuer, it.subject) == key), None)
        if user is None:
            user = self._added(claims, role)
        if user.disabled:
            raise LoginRefused("this account is disabled")
        now, detail = self._clock.now(), {"address": address, "second": "provider", "role": role}
        if not self._records.spend(
            f"oidc:{begun.nonce}", user.name, "login.succeeded", user.name, detail, now
        ):
            raise LoginRefused("this answer of the provider was used before")
        changed = {"role": role, "registries": dict(user.grants)} if role != user.role else {}
        event = "user.role" if changed else ""
        return self._store.save_user(replace(user, role=role, last_login=now), ACTOR, event, changed, now)

    def _role(self, claims: dict[str, Any]) -> str:
        config = self._provider.config
        values = claims.get(config.role_claim)
        values = values if isinstance(values, list) else [values]
        roles = [config.roles[it] for it in values if isinstance(it, str) and it in config.roles]
        if not roles:
            raise LoginRefused(f"nothing in your claim {config.role_claim!r} gives a role here; ask an admin")
        return max(roles, key=rank)

    def _added(self, claims: dict[str, Any], role: str) -> User:
        config, name = self._provider.config, claims.get(self._provider.config.name_claim)
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise LoginRefused(f"your claim {config.name_claim!r} is no name that Seawall takes")
        taken = LoginRefused(f"the name {name} belongs to somebody else here; ask an admin")
        if name in RESERVED or any(it.name == name for it in self._store.tokens()):
            raise taken
        made = User(
            name, role, "", self._clock.now(), must_change=False, issuer=config.issuer, subject=claims["sub"]
        )
        try:
            self._store.add_user(made, ACTOR)
        except Conflict:
            raise taken from None
        return made
