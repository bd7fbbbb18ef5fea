"""The catalogue: shipped playbooks load, broken ones are left out with file and line, inputs are checked."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from remediation.catalogue import SHIPPED, Catalogue, Playbook, content_digest, load_playbook
from seawall import config as configuration
from seawall.app import _facts
from seawall.core.errors import InputError

FACTS = {
    "name": "harbour",
    "url": "http://127.0.0.1:5000",
    "container": "registry",
    "runtime": "podman",
    "runtime_env": {"CONTAINERS_CONF": "/etc/containers.conf"},
}


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """A folder of playbooks with a renamed copy of a shipped one."""
    copy = tmp_path / "extra" / "mine"
    shutil.copytree(SHIPPED / "restart-registry", copy)
    edit(copy / "action.yaml", "name: restart-registry", "name: mine")
    return tmp_path / "extra"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_shipped_playbooks_are_sound() -> None:
    catalogue, faults = Catalogue.load([SHIPPED])
    assert faults == []
    assert [playbook.name for playbook in catalogue] == sorted(it.name for it in SHIPPED.iterdir())
    for playbook in catalogue:
        assert playbook.path.is_file()
        assert (playbook.folder / "README.md").is_file()


def test_action_yaml_is_read_as_the_contract_says() -> None:
    playbook = load_playbook(SHIPPED / "restart-registry")
    assert (playbook.trigger.slo, playbook.risk, playbook.targets) == (
        "availability",
        "low",
        "registry_servers",
    )
    assert (playbook.cooldown, playbook.timeout, playbook.verify.window) == (600.0, 180.0, 180.0)
    verification = playbook.verification(1000.0)
    assert (verification.slo, verification.until, verification.needed_rounds) == ("availability", 1000.0, 3)


def test_a_row_gets_the_playbooks_that_apply_and_the_reasons_of_the_others() -> None:
    catalogue, _ = Catalogue.load([SHIPPED])
    offers, reasons = catalogue.proposals("availability", FACTS)
    assert [(playbook.name, inputs) for playbook, inputs in offers] == [
        (
            "restart-registry",
            {
                "container": "registry",
                "url": "http://127.0.0.1:5000",
                "runtime": "podman",
                "runtime_env": {"CONTAINERS_CONF": "/etc/containers.conf"},
            },
        )
    ]
    assert reasons[1:] == [
        "restart-registry-process does not apply: input pidfile has no value; set registry.process.pidfile"
    ]
    assert reasons[0].startswith("renew-certificate does not apply: input url does not match https://")
    offers, reasons = catalogue.proposals("storage_capacity", FACTS)
    assert offers == []
    assert reasons == [
        "collect-garbage does not apply: input config_file has no value; set registry.repairs.config_file",
        "harbor-gc does not apply: input username has no value; set registry.harbor.username",
        "protect-disk does not apply: input config_file has no value; set registry.repairs.config_file",
    ]


def test_a_default_stands_in_for_a_fact_that_is_not_known() -> None:
    catalogue, _ = Catalogue.load([SHIPPED])
    [(_, inputs)], _ = catalogue.proposals("availability", {**FACTS, "runtime": None, "runtime_env": None})
    assert (inputs["runtime"], inputs["runtime_env"]) == ("auto", {})


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("container", "a b; reboot", "input container does not match"),
        ("container", "{{ lookup('pipe', 'id') }}", "input container holds a line break or a template"),
        ("container", "a\nb", "input container holds a line break or a template"),
        ("container", 7, "input container is not of type string"),
        ("container", "", "input container is not of type string"),
        ("url", "ftp://127.0.0.1", "input url is not of type url"),
        ("url", "http://user:pw@127.0.0.1", "input url is not of type url"),
        ("runtime", "containerd", "input runtime is not one of auto, podman, docker"),
        ("runtime_env", {"A": 1}, "input runtime_env is not of type map"),
        ("runtime_env", {"A": "{{ x }}"}, "input runtime_env holds a line break or a template"),
    ],
)
def test_a_bad_input_makes_the_playbook_not_applicable(key: str, value: Any, reason: str) -> None:
    inputs, why = load_playbook(SHIPPED / "restart-registry").resolve({**FACTS, key: value})
    assert inputs is None
    assert reason in why


@pytest.mark.parametrize(
    ("spec", "value", "fault"),
    [
        ("{type: integer, minimum: 1, maximum: 9}", 0, "is below 1"),
        ("{type: integer, minimum: 1, maximum: 9}", 10, "is above 9"),
        ("{type: integer}", True, "is not of type integer"),
        ("{type: integer}", 5, None),
        ("{type: boolean}", 1, "is not of type boolean"),
        ("{type: boolean}", False, None),
        ("{type: path}", "etc/passwd", "is not of type path"),
        ("{type: path}", "/srv/../etc", "is not of type path"),
        ("{type: path}", "/srv/registry", None),
        ("{type: list, minimum: 1}", [], "is below 1"),
        ("{type: list, pattern: '[a-z]+'}", ["a", "B"], "does not match [a-z]+"),
        ("{type: list}", [["nested"]], "is not of type list"),
        ("{type: string, maximum: 3}", "abcd", "is above 3"),
    ],
)  # fmt: skip
def test_types_and_bounds_of_inputs(extra: Path, spec: str, value: Any, fault: str | None) -> None:
    edit(extra / "mine" / "action.yaml", "inputs:\n", f"inputs:\n  it: {spec}\n")
    assert load_playbook(extra / "mine").inputs["it"].fault(value) == fault


@pytest.mark.parametrize(
    ("file", "old", "new", "at", "finding", "remedy"),
    [
        (
            "action.yaml",
            "cooldown: 10m",
            "cooldwon: 10m",
            "cooldwon",
            "unknown key 'cooldwon'",
            "'cooldown'?",
        ),
        (
            "action.yaml",
            "cooldown: 10m",
            "timeout: 10m",
            "timeout: 3m",
            "duplicate key 'timeout'",
            "keep one",
        ),
        ("action.yaml", "cooldown: 10m", "cooldown: ten", "cooldown: ten", "cooldown is 'ten'", "10s, 5m"),
        (
            "action.yaml",
            "risk: low",
            "risk: lowish",
            "risk:",
            "risk is 'lowish'",
            "'low', 'medium' or 'high'",
        ),
        ("action.yaml", "risk: low\n", "", "name: mine", "key 'risk' is missing", "add 'risk'"),
        (
            "action.yaml",
            "rounds: 3",
            "rounds: 0",
            "rounds:",
            "verify.rounds is 0",
            "greater than or equal to 1",
        ),
        ("action.yaml", "type: url", "type: uri", "type: uri", "inputs.url.type is 'uri'", "'url'"),
        (
            "action.yaml",
            "default: auto",
            "default: cri",
            "default: cri",
            "inputs.runtime.default is not one of",
            "default",
        ),
        (
            "action.yaml",
            "from: registry.url",
            "from: secrets.url",
            "from: secrets",
            "inputs.url.from",
            "match pattern",
        ),
        ("action.yaml", "name: mine", "name: other", "name: other", "the folder is 'mine'", "equal"),
        ("action.yaml", "trigger:", "trigger: [", "inputs:", "broken YAML", "syntax"),
        (
            "action.yaml",
            "  none: A",
            "  playbook: back.yml\n  none: A",
            "undo:",
            "undo",
            "either playbook or none",
        ),
        (
            "action.yaml",
            "  none: A",
            "  playbook: back.yml #",
            "playbook: back.yml",
            "is not in",
            "write it, or",
        ),
        (
            "action.yaml",
            "  none: A",
            "  playbook: playbook.yml #",
            "playbook: playbook.yml #",
            "itself",
            "another",
        ),
        (
            "action.yaml",
            "  none: A",
            "  playbook: ../x.yml #",
            "playbook: ..",
            "undo.playbook",
            "match pattern",
        ),
        ("action.yaml", "  slo: availability", "  signal: x", "trigger:", "trigger", "a signal needs op"),
        (
            "action.yaml",
            "  slo: availability",
            "  slo: a\n  op: '<'",
            "trigger:",
            "trigger",
            "belong to a signal",
        ),
        (
            "action.yaml",
            "type: url",
            "type: url\n    pattern: '('",
            "url:",
            "inputs.url",
            "no regular expression",
        ),
        (
            "action.yaml",
            "default: auto",
            "default: auto\n    required: false",
            "runtime:",
            "inputs.runtime",
            "drop",
        ),
        ("action.yaml", "  url:", "  URL:", "URL:", "inputs.URL is no name", "lower case"),
        ("playbook.yml", "  tasks:", "  tasks: [", "- name: Inspect", "broken YAML", "syntax"),
        (
            "playbook.yml",
            "hosts: registry_servers",
            "hosts: databases",
            "- name: Rest",
            "hosts is 'databases'",
            "hosts:",
        ),
        (
            "playbook.yml",
            "gather_facts: false",
            "vars_prompt: []",
            "- name: Rest",
            "vars_prompt",
            "no vars_prompt",
        ),
    ],
)
def test_a_broken_playbook_is_left_out_and_the_rest_goes_on(
    extra: Path, file: str, old: str, new: str, at: str, finding: str, remedy: str
) -> None:
    edit(extra / "mine" / file, old, new)
    catalogue, [fault] = Catalogue.load([SHIPPED, extra])
    assert catalogue.get("mine") is None
    assert catalogue.get("restart-registry") is not None
    lines = (extra / "mine" / file).read_text().splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.lstrip().startswith(at.lstrip()))
    assert fault.place == f"{extra / 'mine' / file}:{number}"
    assert finding in fault.finding
    assert remedy in fault.remedy


def test_a_playbook_that_is_only_a_word_is_refused(extra: Path) -> None:
    (extra / "mine" / "playbook.yml").write_text("hello\n")
    _, [fault] = Catalogue.load([extra])
    assert fault.finding == "is not a list of plays"


def test_ansible_tags_are_allowed_in_a_playbook(extra: Path) -> None:
    edit(extra / "mine" / "playbook.yml", "  tasks:", "  vars_files: []\n  tags: !unsafe x\n  tasks:")
    catalogue, faults = Catalogue.load([extra])
    assert faults == []
    assert isinstance(catalogue.get("mine"), Playbook)


def test_a_file_that_is_missing_is_told(extra: Path) -> None:
    (extra / "mine" / "playbook.yml").unlink()
    _, [fault] = Catalogue.load([extra])
    assert fault.place.endswith("playbook.yml")
    assert "No such file" in fault.finding


def test_the_same_name_twice_is_refused_and_the_first_stays(extra: Path) -> None:
    shutil.copytree(SHIPPED / "restart-registry", extra / "restart-registry")
    catalogue, [fault] = Catalogue.load([SHIPPED, extra])
    assert "stands in" in fault.finding
    kept = catalogue.get("restart-registry")
    assert kept is not None
    assert kept.folder == (SHIPPED / "restart-registry").resolve()
    assert catalogue.get("mine") is not None


def test_a_missing_folder_of_playbooks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder of playbooks"):
        Catalogue.load([SHIPPED, tmp_path / "none"])


def test_the_content_digest_follows_every_file(extra: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "module.py").write_text("one")
    digests = [content_digest(extra / "mine", library)]
    assert content_digest(extra / "mine", library) == digests[0]
    (extra / "mine" / "vars").mkdir()
    (extra / "mine" / "vars" / "main.yml").write_text("a: 1")
    digests.append(content_digest(extra / "mine", library))
    (extra / "mine" / "vars" / "main.yml").rename(extra / "mine" / "vars" / "other.yml")
    digests.append(content_digest(extra / "mine", library))
    (library / "module.py").write_text("two")
    digests.append(content_digest(extra / "mine", library))
    assert len(set(digests)) == 4


def test_an_undo_is_a_playbook_of_the_same_folder_or_a_reason() -> None:
    restart, quarantine = (load_playbook(SHIPPED / name) for name in ("restart-registry", "quarantine-image"))
    assert restart.undo is None
    assert restart.undo_reason.startswith("A restart leaves nothing to take back")
    assert quarantine.undo == quarantine.folder / "undo.yml"
    assert quarantine.undo_reason == ""


def test_a_repair_may_be_proved_by_a_signal() -> None:
    proof = load_playbook(SHIPPED / "protect-disk").verification(1000.0)
    assert (proof.slo, proof.signal, proof.op, proof.value) == ("", "seawall_storage_used_ratio", "<=", 0.99)


def test_an_input_that_is_not_required_is_left_out(extra: Path) -> None:
    edit(
        extra / "mine" / "action.yaml",
        "inputs:\n",
        "inputs:\n  it: {type: path, from: registry.it, required: false}\n",
    )
    playbook = load_playbook(extra / "mine")
    inputs, _ = playbook.resolve(FACTS)
    assert inputs is not None
    assert "it" not in inputs
    assert (playbook.resolve({**FACTS, "it": "/srv"})[0] or {})["it"] == "/srv"
    assert "input it is not of type path" in playbook.resolve({**FACTS, "it": "srv"})[1]


def test_the_configuration_fills_the_inputs_of_every_shipped_playbook(tmp_path: Path) -> None:
    path = tmp_path / "seawall.yaml"
    path.write_text(
        "registries:\n"
        "- name: main\n  url: https://r.example.com\n  container: r\n"
        "  process: {pidfile: /run/r, command: [registry]}\n"
        "  repairs:\n    config_file: /etc/r.yml\n"
        "    garbage_collect: [registry, garbage-collect, /etc/r.yml]\n"
        "    deny_map: /etc/nginx/seawall-deny.map\n"
        "    certificate: {file: /c, key: /k, new_file: /nc, new_key: /nk, reload: [reload]}\n"
        "- name: harbor\n  kind: harbor\n  url: https://h.example.com\n"
        "  username: robot\n  password_file: p\n"
        "storage:\n- {registry: main, path: /srv/r}\n"
    )
    facts = _facts(configuration.load(path))
    told = {"digest": "sha256:" + 64 * "a", "repository": "team/app"}
    catalogue, _ = Catalogue.load([SHIPPED])
    for playbook in catalogue:
        registry = "harbor" if playbook.name == "harbor-gc" else "main"
        inputs, reason = playbook.resolve(facts[registry], told)
        assert inputs is not None, reason


def test_a_registry_whose_config_is_changed_must_be_restartable(tmp_path: Path) -> None:
    path = tmp_path / "seawall.yaml"
    path.write_text("registries: [{name: r, url: http://r, repairs: {config_file: /etc/r.yml}}]\n")
    with pytest.raises(InputError, match=r"repairs\.config_file needs container or process"):
        configuration.load(path)
