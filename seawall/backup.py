"""`seawall backup` and `restore`: the state folder's files and the records of any engine, with checksums.

    DIR/files/...          the state folder, file by file
    DIR/records/*.jsonl    one file a table, one JSON line a row
    DIR/manifest.json      bytes, modes, counts, SHA-256 of all of it; written last, so that half is no backup

Both go on where they were interrupted: what lies there with the right checksum is not copied again.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seawall import __version__
from seawall.config import Config
from seawall.core.errors import InputError
from seawall.statefolder import SOCKET, StateFolder
from seawall.stores import sql_copy
from seawall.stores.scaled import open_records
from seawall.stores.sql import SqlRecords

MANIFEST = "manifest.json"
BLOCK = 1 << 20
_UNFINISHED = "restoring"
_NOT_KEPT = {"lock", SOCKET, "records.sqlite", "records.sqlite-wal", "records.sqlite-shm", _UNFINISHED}
Say = Callable[[str], None]


def backup(config: Config, state: Path, to: Path, say: Say) -> dict[str, Any]:
    """Copy everything; the manifest. No Seawall may work in the folder. InputError, StoreUnavailable."""
    if not state.is_dir():
        raise InputError(str(state), "no such state folder", "name it with --state")
    if (to / MANIFEST).exists():
        raise InputError(str(to), "it holds a whole backup already", "name another folder")
    if to.resolve().is_relative_to(state.resolve()):
        raise InputError(str(to), "it lies in the state folder itself", "name a folder elsewhere")
    with StateFolder(state).owned():
        return _backup(config, state, to, say)


def _backup(config: Config, state: Path, to: Path, say: Say) -> dict[str, Any]:
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest: dict[str, Any] = {"seawall": __version__, "at": time.time(), "files": [], "records": {}}
    names = sorted(_files(state))
    for number, name in enumerate(names, 1):
        copied = _copy(state / name, to / "files" / name, None)
        say(f"{number}/{len(names)} {name}: {_done(copied)}")
        manifest["files"].append({"path": name, **{key: copied[key] for key in ("bytes", "sha256", "mode")}})
    for extra in set(_files(to / "files")) - set(names):
        (to / "files" / extra).unlink()
    records = _records(config, state)
    if records is not None:
        manifest["records"] = _dump(records, to / "records", say)
        records.close()
    _write(to / MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def restore(config: Config, state: Path, source: Path, say: Say) -> dict[str, Any]:
    """Put a backup into an empty state folder (or one that a restore left unfinished) and the records that
    the configuration names; the manifest. InputError for one that is not whole, or not as it was written."""
    manifest = _manifest(source)
    there = {path.name for path in state.iterdir()} - {"lock"} if state.is_dir() else set()
    if there and _UNFINISHED not in there:
        raise InputError(
            str(state), "it is not empty", "name a new folder with --state, or move this one away"
        )
    with StateFolder(state).owned() as folder:
        _restore(config, folder, source, manifest, say)
    return manifest


def _restore(config: Config, folder: StateFolder, source: Path, manifest: dict[str, Any], say: Say) -> None:
    state = folder.path
    folder.write_bytes(_UNFINISHED, str(source).encode())
    for number, entry in enumerate(manifest["files"], 1):
        copied = _copy(source / "files" / entry["path"], state / entry["path"], entry["sha256"])
        say(f"{number}/{len(manifest['files'])} {entry['path']}: {_done(copied)}")
    if manifest["records"]:
        records = open_records(config.stores.records, config.stores.postgresql, state)
        try:
            _load(records, source / "records", manifest["records"], say)
        finally:
            records.close()
    (state / _UNFINISHED).unlink()


def _files(folder: Path) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder / "data":
            folders[:] = [name for name in folders if name != "tmp"]
        for name in names:
            path = Path(parent) / name
            relative = str(path.relative_to(folder))
            if relative not in _NOT_KEPT and path.is_file() and not path.is_symlink():
                yield relative


def _done(copied: dict[str, Any]) -> str:
    return f"{copied['bytes']} bytes" + ("" if copied["new"] else ", there already")


def _copy(source: Path, to: Path, wanted: str | None) -> dict[str, Any]:
    """Copy and read back; InputError if the source is not `wanted` (SHA-256), or the copy not the source."""
    try:
        found, mode = _sum(source), source.stat().st_mode & 0o777
    except OSError as error:
        raise InputError(
            str(source), f"cannot be read ({error.strerror})", "mend that, then go on"
        ) from error
    if wanted not in (None, found):
        raise InputError(str(source), "it is not what was backed up (SHA-256)", "use another backup")
    entry = {"bytes": source.stat().st_size, "sha256": found, "mode": mode, "new": False}
    if to.is_file() and _sum(to) == found:
        return entry
    for parent in [*to.parents][::-1]:
        parent.mkdir(exist_ok=True, mode=0o700)
    part = to.with_name(f"{to.name}.part")
    with source.open("rb") as read, os.fdopen(_private(part), "wb") as write:
        while block := read.read(BLOCK):
            write.write(block)
        write.flush()
        os.fsync(write.fileno())
    if _sum(part) != found:
        raise InputError(str(part), "the copy differs from its source", "look at the disk, then try again")
    part.chmod(mode)
    part.replace(to)
    return entry | {"new": True}


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with os.fdopen(_private(part), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _records(config: Config, state: Path) -> SqlRecords | None:
    at = config.stores
    if at.records == "memory:" or (at.records == "sqlite:" and not (state / "records.sqlite").exists()):
        return None
    return open_records(at.records, at.postgresql, state)


def _dump(records: SqlRecords, to: Path, say: Say) -> dict[str, list[Any]]:
    """All tables of one moment; table -> [rows, SHA-256]."""
    to.mkdir(exist_ok=True, mode=0o700)
    told: dict[str, list[Any]] = {}
    with sql_copy.moment(records) as db:
        for table in sql_copy.TABLES:
            summed = sql_copy.Digest()
            with os.fdopen(_private(to / f"{table.name}.jsonl"), "w", encoding="utf-8") as file:
                for row in summed.passing(sql_copy.rows(db, table)):
                    file.write(sql_copy.line(row))
                file.flush()
                os.fsync(file.fileno())
            told[table.name] = list(summed.found)
            say(f"records: {summed.rows} of {table.name}")
    return told


def _load(records: SqlRecords, source: Path, wanted: dict[str, list[Any]], say: Say) -> None:
    for name, (_, checksum) in wanted.items():
        path = source / f"{name}.jsonl"
        if not path.is_file() or _sum(path) != checksum:
            raise InputError(str(path), "it is not what was backed up (SHA-256)", "use another backup")
    with contextlib.ExitStack() as stack:
        opened = {
            name: stack.enter_context((source / f"{name}.jsonl").open(encoding="utf-8")) for name in wanted
        }
        tables = {name: (json.loads(text) for text in file) for name, file in opened.items()}
        new = sql_copy.fill(records, tables, {name: (rows, sum) for name, (rows, sum) in wanted.items()})
    for name, (rows, _) in wanted.items():
        say(f"records: {rows} of {name}" + ("" if new else ", there already"))


def _manifest(source: Path) -> dict[str, Any]:
    try:
        found = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        paths = [Path(entry["path"]) for entry in found["files"]]
        known = {table.name for table in sql_copy.TABLES}
        whole = isinstance(found["records"], dict)
    except FileNotFoundError as error:
        remedy = "finish it with `seawall backup`, or name another"
        raise InputError(str(source), f"no whole backup: it has no {MANIFEST}", remedy) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(source / MANIFEST), f"cannot be understood ({error})", "use another backup"
        ) from error
    if not whole or any(it.is_absolute() or ".." in it.parts for it in paths):
        raise InputError(str(source / MANIFEST), "it names files outside the folder", "use another backup")
    if not found["records"].keys() <= known:
        finding = f"it has tables that this Seawall {__version__} does not know"
        raise InputError(str(source / MANIFEST), finding, f"use Seawall {found.get('seawall')}")
    return dict(found)
