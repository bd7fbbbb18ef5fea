"""Changes as people read them and as an approval binds them: unified, masked, without volatile values."""

import difflib
import hashlib
import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from seawall.core.ports import Outcome

LIBRARY = Path(__file__).parent / "library"
MASK = "****"
_MAX_LINES = 2000
_MAX_CHARACTERS = 200_000
# Kept linear: no unbounded run before the word that is looked for.
_NAMED = r"(?:passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|credential)s?"
_SECRET_KEY = re.compile(rf".*{_NAMED}", re.I)
_VALUE = r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s,}'\"]+)"
_MASKED = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), MASK),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*).+", re.I), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I), rf"\1 {MASK}"),
    (re.compile(r"\b(?:sw_|gh[pousr]_|glpat-|xox[abp]-)[\w-]{16,}"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), MASK),
    (re.compile(r"(://[^\s/:@]+):[^\s/@]+@"), rf"\1:{MASK}@"),
    (re.compile(rf"({_NAMED}[\"']?\s*[:=]\s*){_VALUE}", re.I), rf"\1{MASK}"),
)
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d|UTC))*"), "<time>"),
    (re.compile(r"\b1[5-9]\d{8}(?:\.\d+)?\b"), "<time>"),
    (
        re.compile(r"/(?:ansible-tmp-|ansible-local-|\.ansible/tmp/|\.ansible_tmp)\S*"),
        "<path>",
    ),
    (re.compile(r"/tmp/tmp\w+"), "<path>"),  # noqa: S108 (a pattern, not a path)
    (re.compile(r"\b(pid[\"']?\s*[:=]?\s*)\d+", re.I), r"\1<pid>"),
)


def secret_values(inputs: Any, named: bool = False) -> frozenset[str]:
    """The text of every input whose name, or whose parent's name, says that it is a secret."""
    if isinstance(inputs, Mapping):
        pairs: Iterable[tuple[bool, Any]] = (
            (named or bool(_SECRET_KEY.fullmatch(str(key))), value) for key, value in inputs.items()
        )
    elif isinstance(inputs, list | tuple):
        pairs = ((named, value) for value in inputs)
    else:
        return frozenset({str(inputs)} if named and len(str(inputs)) > 3 else ())
    return frozenset(text for secret, value in pairs for text in secret_values(value, secret))


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without known `secrets`, private keys, authorization headers, passwords in URLs, and the
    values of keys that are named like one (password, token, secret ...)."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, replacement in _MASKED:
        text = pattern.sub(replacement, text)
    return text


def stable(text: str) -> str:
    """`text` without times, temporary paths and process ids."""
    for pattern, replacement in _VOLATILE:
        text = pattern.sub(replacement, text)
    return text


def unified(diff: Any, secrets: Iterable[str] = ()) -> str:
    """Ansible's diff (one entry, or a list of them) as masked unified text; "" if there is none."""
    entries = diff if isinstance(diff, list) else [diff]
    parts = [_entry(entry, frozenset(secrets)) for entry in entries if isinstance(entry, Mapping)]
    return "\n".join(part for part in parts if part)


def _entry(entry: Mapping[str, Any], secrets: frozenset[str]) -> str:
    lines = [f"({text})" for text in _notes(entry)]
    if "prepared" in entry:
        lines += mask(str(entry["prepared"]), secrets).splitlines()
    before, after = _text(entry.get("before")), _text(entry.get("after"))
    if before != after:
        hidden = mask(before, secrets), mask(after, secrets)
        names = (mask(str(entry.get(f"{side}_header") or side), secrets) for side in ("before", "after"))
        same = hidden[0] == hidden[1]
        lines += ["(a masked value changes)"] if same else _compare(*hidden, *names)
    return "\n".join(_bounded(lines))


def _notes(entry: Mapping[str, Any]) -> list[str]:
    sides = {"src_binary": "binary source", "dst_binary": "binary target"}
    sizes = {"src_larger": "source larger than", "dst_larger": "target larger than"}
    binary = [text for key, text in sides.items() if entry.get(key)]
    return binary + [f"{text} {entry[key]} bytes" for key, text in sizes.items() if entry.get(key)]


def _text(side: Any) -> str:
    if side is None or isinstance(side, str):
        return side or ""
    return json.dumps(side, indent=2, sort_keys=True, default=str) + "\n"


def _compare(before: str, after: str, name_before: str, name_after: str) -> list[str]:
    return list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm="")
    )


def _bounded(lines: list[str]) -> list[str]:
    """A long diff is cut for people; the digest of the rest keeps the approval bound to all of it."""
    shown, left = 0, _MAX_CHARACTERS
    for line in lines[:_MAX_LINES]:
        left -= len(line)
        if left < 0:
            break
        shown += 1
    if shown == len(lines):
        return lines
    rest = hashlib.sha256(stable("\n".join(lines[shown:])).encode()).hexdigest()
    return [*lines[:shown], f"({len(lines) - shown} more lines, sha256 {rest})"]


def render(outcome: Outcome) -> str:
    """The preview for people: each task that would change something, then what check mode cannot tell."""
    parts = []
    for change in outcome.changes:
        shown = mask(change.diff) or "(changes, without a diff)"
        parts.append(f"{change.task}  [{change.host}]\n{shown}")
    parts += [f"{task}\n(check mode cannot preview this task)" for task in outcome.skipped]
    return "\n\n".join(parts) if parts else "Nothing would change."


def digest(content_digest: str, inputs: Mapping[str, Any], inventory: str, outcome: Outcome) -> str:
    """Hex SHA-256 over what an approval binds: playbook content, inputs, inventory and stable diff."""
    changes = sorted([change.host, change.task, stable(change.diff)] for change in outcome.changes)
    bound = [content_digest, dict(inputs), inventory, changes, sorted(outcome.skipped)]
    return hashlib.sha256(json.dumps(bound, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def manual(playbook: Path, inputs: Mapping[str, Any], inventory: str, file: Path | None = None) -> str:
    """Shell lines that do the same without Seawall, with the user's own inventory `file` where there is one.
    A secret input is left for the person to fill in."""
    secret = [name for name in inputs if secret_values({name: inputs[name]})]
    plain = json.dumps({n: v for n, v in inputs.items() if n not in secret}, ensure_ascii=False)
    extra = ["-e", plain, *(part for name in secret for part in ("-e", f"{name}=<{name}>"))]
    program = Path(sys.executable).parent / "ansible-playbook"
    if file is not None:
        return (
            f"ANSIBLE_LIBRARY={shlex.quote(str(LIBRARY))} {shlex.quote(str(program))} "
            f"-i {shlex.quote(str(file))} {shlex.join(extra)} {shlex.quote(str(playbook))}"
        )
    return (
        f"inventory=$(mktemp) && cat > \"$inventory\" <<'END'\n{inventory.rstrip()}\nEND\n"
        f"ANSIBLE_LIBRARY={shlex.quote(str(LIBRARY))} {shlex.quote(str(program))} "
        f'-i "$inventory" {shlex.join(extra)} {shlex.quote(str(playbook))}'
    )
