"""What identity keeps in the state folder: the sealing key, the first admin's password, the admin's token.

All are files for the owner only (0600). `admin-password` goes when the password is changed.
"""

import secrets

from cryptography.fernet import Fernet

from seawall.config import read_secret
from seawall.core.errors import InputError
from seawall.identity import Accounts
from seawall.identity.credentials import Vault
from seawall.statefolder import StateFolder

KEY = "identity-key"
PASSWORD = "admin-password"  # noqa: S105 - a file's name
TOKEN = "admin-token"  # noqa: S105 - a file's name
ADMIN = "admin"


def vault_of(state: StateFolder) -> Vault:
    """Sealed with the folder's key, made at the first start. InputError if the file was damaged."""
    path = state.path / KEY
    state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        state.write_secret(KEY, Fernet.generate_key().decode())
    try:
        return Vault(read_secret(path, str(path)).encode())
    except ValueError as error:
        remedy = "put the right file back; without it, `seawall user reset` each account"
        raise InputError(str(path), "it does not hold a key", remedy) from error


def first_user(accounts: Accounts, state: StateFolder) -> bool:
    """At the first start, the account admin with a one-time password in a file. True if it was made."""
    if accounts.users():
        return False
    state.write_secret(PASSWORD, accounts.add_user(ADMIN, "admin", {}, "seawall"))
    return True


def drop_used(accounts: Accounts, state: StateFolder) -> None:
    """The file goes once its password is not valid any more."""
    path = state.path / PASSWORD
    if path.exists() and not any(it.name == ADMIN and it.must_change for it in accounts.users()):
        path.unlink()


def first_token(accounts: Accounts, state: StateFolder) -> None:
    """The admin's token, made at the first start and kept in a file; a new one where it was revoked."""
    path = state.path / TOKEN
    if path.exists():
        secret = read_secret(path, str(path))
        if accounts.by_token(secret) is not None:
            return
        if not accounts.was_revoked(secret):
            accounts.adopt_token(_free_name(accounts), secret)
            return
    state.write_secret(TOKEN, accounts.new_token(_free_name(accounts), "admin", {}, "seawall", None))


def _free_name(accounts: Accounts) -> str:
    return f"{ADMIN}-{secrets.token_hex(3)}" if accounts.tokens() else ADMIN
