"""Wrong log-ins cost time, by account and address, across restarts; nobody is ever locked out for long.

| counted | from | wait |
|---|---|---|
| this account from this address | the 5th wrong attempt | 1 s, doubling to 60 s |
| this address, whatever account | the 20th | 1 s, doubling to 30 s |
| this account, whatever address | the 50th | 1 s, doubling to 30 s |

The last two do not hold for an address from which this account has logged in within 30 days, so that an
attacker elsewhere cannot keep the owner out.
"""

import ipaddress

from seawall.core.accounts import AccountStore, TooManyAttempts
from seawall.core.ports import Clock

FORGET = 86400.0  # seconds after the last wrong attempt
KNOWN = 30 * 86400.0
_PAIR, _ADDRESS, _ACCOUNT = (5, 60.0), (20, 30.0), (50, 30.0)


def network_of(address: str) -> str:
    """The address; of IPv6 its /64, which one household has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)


def wait_after(wrong: int, limit: tuple[int, float]) -> float:
    """Seconds to wait after so many wrong attempts."""
    first, longest = limit
    return min(longest, 2.0 ** min(wrong - first, 10)) if wrong >= first else 0.0


class Limits:
    """Counts in the store of accounts."""

    def __init__(self, store: AccountStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def _keys(self, name: str, address: str) -> dict[str, tuple[int, float]]:
        place, account = network_of(address)[:64], name.lower()[:128]
        return {
            f"pair:{account}|{place}": _PAIR,
            f"address:{place}": _ADDRESS,
            f"account:{account}": _ACCOUNT,
        }

    def _known(self, name: str, address: str) -> str:
        return f"known:{name.lower()[:128]}|{network_of(address)[:64]}"

    def check(self, name: str, address: str) -> None:
        """TooManyAttempts while a wait is not over; the password is not looked at then."""
        keys, known, now = self._keys(name, address), self._known(name, address), self._clock.now()
        found = self._store.attempts([*keys, known])
        trusted = known in found and now - found[known][1] < KNOWN
        left = 0.0
        for key, limit in keys.items():
            wrong, at = found.get(key, (0, 0.0))
            if now - at < FORGET and not (trusted and limit is not _PAIR):
                left = max(left, at + wait_after(wrong, limit) - now)
        if left > 0:
            raise TooManyAttempts(left)

    def wrong(self, name: str, address: str) -> None:
        """One more."""
        keys, now = self._keys(name, address), self._clock.now()
        found = self._store.attempts(list(keys))
        recent = {key: wrong for key, (wrong, at) in found.items() if now - at < FORGET}
        self._store.note_attempts({key: recent.get(key, 0) + 1 for key in keys}, now, now - KNOWN)

    def right(self, name: str, address: str) -> None:
        """Forget the wrong ones of this account from this address, and know the address."""
        pair = next(iter(self._keys(name, address)))
        now = self._clock.now()
        self._store.note_attempts({pair: 0, self._known(name, address): 1}, now, now - KNOWN)
