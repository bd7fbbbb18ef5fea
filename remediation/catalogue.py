"""The catalogue: a playbook is a folder with action.yaml, playbook.yml and README.md."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import yaml

from remediation.catalogue_model import InputSpec, Playbook
from remediation.diffs import LIBRARY
from seawall.core.errors import InputError
from seawall.yamlfile import Document, read_text, read_yaml, validate, yaml_error

__all__ = ["SHIPPED", "Catalogue", "InputSpec", "Playbook", "content_digest", "load_playbook"]
SHIPPED = Path(__file__).parent / "playbooks"
_VARIABLE = re.compile(r"[a-z_][a-z0-9_]*")


class Catalogue:
    """The playbooks on offer, by name."""

    def __init__(self, playbooks: Sequence[Playbook]) -> None:
        self._playbooks = {playbook.name: playbook for playbook in playbooks}

    @classmethod
    def load(cls, folders: Sequence[Path]) -> tuple[Self, list[InputError]]:
        """Every playbook of `folders`, and what is wrong with those that are left out.

        InputError if one of `folders` itself is missing.
        """
        found: dict[str, Playbook] = {}
        faults: list[InputError] = []
        for folder in (folder for root in folders for folder in _subfolders(root)):
            try:
                playbook = load_playbook(folder)
                if first := found.get(playbook.name):
                    finding = f"playbook {playbook.name!r} stands in {first.folder} already"
                    raise InputError(str(folder / "action.yaml"), finding, "give it another name")
                found[playbook.name] = playbook
            except InputError as fault:
                faults.append(fault)
        return cls(list(found.values())), faults

    def __iter__(self) -> Iterator[Playbook]:
        """By name."""
        return iter(sorted(self._playbooks.values(), key=lambda playbook: playbook.name))

    def get(self, name: str) -> Playbook | None:
        """The playbook of that name."""
        return self._playbooks.get(name)

    def digest(self, playbook: Playbook) -> str:
        """Hex SHA-256 of what a run would execute, read from disk now."""
        return content_digest(playbook.folder)

    def proposals(
        self, slo: str, facts: Mapping[str, Any], told: Mapping[str, Any] = MappingProxyType({})
    ) -> tuple[list[tuple[Playbook, dict[str, Any]]], list[str]]:
        """Playbooks for a row of a registry with these facts, and an incident that `told` this, with their
        inputs, and why others of that row do not apply."""
        offers, reasons = [], []
        for playbook in self:
            if playbook.trigger.slo == slo:
                inputs, reason = playbook.resolve(facts, told)
                if inputs is None:
                    reasons.append(reason)
                else:
                    offers.append((playbook, inputs))
        return offers, reasons


def _subfolders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise InputError(str(root), "is not a folder of playbooks", "create it, or mend `playbooks:`")
    return sorted(it for it in root.iterdir() if it.is_dir() and not it.name.startswith((".", "__")))


def load_playbook(folder: Path) -> Playbook:
    """One playbook. InputError names file, line and key."""
    document = read_yaml(folder / "action.yaml")
    playbook = validate(Playbook, document)
    playbook._folder = folder.resolve()
    if playbook.name != folder.name:
        finding = f"name is {playbook.name!r}, but the folder is {folder.name!r}"
        raise InputError(document.place(("name",)), finding, "make them equal")
    _check_inputs(playbook, document)
    _check_plays(playbook, playbook.path)
    if playbook.undo is not None:
        if playbook.undo == playbook.path:
            place = document.place(("undo", "playbook"))
            raise InputError(place, "undo.playbook is the playbook itself", "name another file of the folder")
        if not playbook.undo.is_file():
            finding = f"undo.playbook: {playbook.undo.name} is not in {folder}"
            remedy = "write it, or say why there is none (`undo: {none: ...}`)"
            raise InputError(document.place(("undo", "playbook")), finding, remedy)
        _check_plays(playbook, playbook.undo)
    return playbook


def _check_inputs(playbook: Playbook, document: Document) -> None:
    """Names are variables of Ansible; a default keeps its own bounds."""
    for name, spec in playbook.inputs.items():
        if not _VARIABLE.fullmatch(name):
            finding = f"inputs.{name} is no name of a variable"
            raise InputError(
                document.place(("inputs", name)), finding, "use lower case letters, digits and _"
            )
        if spec.default is not None and (fault := spec.fault(spec.default)):
            place = document.place(("inputs", name, "default"))
            raise InputError(place, f"inputs.{name}.default {fault}", "mend the default")


class Lenient(yaml.SafeLoader):
    """Ansible's own tags (!vault, !unsafe) are let through; their values are not looked at."""


Lenient.add_multi_constructor("!", lambda loader, suffix, node: None)


def _check_plays(playbook: Playbook, path: Path) -> None:
    """The file is a list of plays on the playbook's targets, and none of them asks questions."""
    try:
        root = yaml.compose(read_text(path), Loader=Lenient)
        plays = yaml.load(read_text(path), Loader=Lenient)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        raise yaml_error(path, error) from error
    if not isinstance(plays, list) or not plays or not isinstance(root, yaml.SequenceNode):
        raise InputError(f"{path}:1", "is not a list of plays", "begin with `- hosts: ...`")
    for play, node in zip(plays, root.value, strict=True):
        if finding := _play_fault(play, playbook.targets):
            remedy = f"a play needs `hosts: {playbook.targets}`, tasks or roles, and no vars_prompt"
            raise InputError(f"{path}:{node.start_mark.line + 1}", finding, remedy)


def _play_fault(play: Any, targets: str) -> str | None:
    if not isinstance(play, dict):
        return "this is not a play"
    if play.get("hosts") not in (targets, "all"):
        return f"hosts is {play.get('hosts')!r}, but targets is {targets!r}"
    if not {"tasks", "roles", "pre_tasks", "post_tasks"} & set(play):
        return "this play has nothing to do"
    return "vars_prompt waits for a person, and nobody is there" if "vars_prompt" in play else None


def content_digest(folder: Path, library: Path = LIBRARY) -> str:
    """Hex SHA-256 over the names and bytes of every file of a playbook's folder and of the modules."""
    total = hashlib.sha256()
    for root in (folder, library):
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                one = hashlib.sha256(path.read_bytes()).hexdigest()
                total.update(f"{path.relative_to(root).as_posix()}\0{one}\n".encode())
        total.update(b"--\n")
    return total.hexdigest()
