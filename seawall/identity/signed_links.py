"""Signed links in notifications: each opens one action's approval page once, and approves nothing by itself.

A link is `ACTION.UNTIL.NONCE.DIGEST.MAC`: HMAC-SHA256 (RFC 2104) over the other four, with a key that lies in
the state folder. It says which preview was told; whoever opens it must still log in and decide.
"""

import base64
import hashlib
import hmac
import secrets

from seawall.core.actions import Action, ActionState
from seawall.core.errors import Conflict, InputError, Refused
from seawall.core.ports import Clock, RecordStore
from seawall.core.times import rfc3339
from seawall.statefolder import StateFolder

KEY = "link-key"
LONGEST = 400
VALID_FOR = 3600.0  # seconds, where the question has no end of its own
PLACE = "link"


def key_of(state: StateFolder) -> bytes:
    """The folder's key (32 bytes), made at the first start. InputError if the file was damaged."""
    text = state.read_bytes(KEY)
    if text is None:
        state.write_secret(KEY, secrets.token_hex(32))
        text = state.read_bytes(KEY) or b""
    try:
        key = bytes.fromhex(text.decode().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        remedy = "delete it: a new one is made, and links that were sent before are void"
        raise InputError(str(state.path / KEY), "it does not hold 64 hex digits", remedy)
    return key


class SignedLinks:
    """Makes links and opens them. `console` is the public URL of the console, "" where there is none."""

    def __init__(self, key: bytes, records: RecordStore, clock: Clock, console: str) -> None:
        self._key, self._records, self._clock, self._console = key, records, clock, console

    def url(self, action: Action) -> str:
        """A new link to an action that awaits approval; "" without a public URL or a preview. Each call gives
        another one, so that each channel has its own."""
        if not self._console or action.preview is None:
            return ""
        until = int(action.expires_at or self._clock.now() + VALID_FOR)
        plain = f"{action.id}.{until}.{secrets.token_hex(16)}.{action.preview.digest}"
        return f"{self._console}/links/{plain}.{self._mac(plain)}"

    def action(self, token: str) -> Action:
        """The action that a link names, whether it may still be used or not. InputError: not one of ours."""
        plain, _, mac = token.rpartition(".")
        right = hmac.compare_digest(mac.encode(), self._mac(plain).encode())
        if len(token) > LONGEST or not right or plain.count(".") != 3:
            raise InputError(PLACE, "Seawall has not signed it", "open the action in the console")
        return self._records.action(plain.partition(".")[0])

    def open(self, token: str, by: str) -> Action:
        """The action that a link leads to; the link is spent, durably and with an audit entry, when this
        returns. InputError: not one of ours. Refused: too old, or used. Conflict: its preview is no longer
        what is asked about (the link is not spent)."""
        action = self.action(token)
        id, until, nonce, digest, _ = token.split(".")
        if self._clock.now() >= int(until):
            raise Refused(f"this link ended at {rfc3339(int(until))}; open action {id} in the console")
        if action.state is not ActionState.AWAITING_APPROVAL:
            raise Conflict(f"action {id} is {action.state.value}: there is nothing to approve any more")
        if action.preview is None or action.preview.digest != digest:
            raise Conflict(f"action {id} has another preview than this link tells of; open it in the console")
        detail = {"digest": digest, "link": nonce[:8]}
        if not self._records.spend(f"link:{nonce}", by, "link.opened", id, detail, self._clock.now()):
            raise Refused(f"this link was used before; open action {id} in the console")
        return action

    def _mac(self, plain: str) -> str:
        found = hmac.digest(self._key, f"seawall link\0{plain}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(found).decode().rstrip("=")
