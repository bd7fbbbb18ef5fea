"""Bad configuration is told with file, line, key and remedy, and the exit codes of the contract."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seawall import config as configuration
from seawall.core.errors import InputError

GOOD = """\
registries:
  - name: main
    url: http://127.0.0.1:5000
probe: {interval: 10s, timeout: 2s}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "seawall.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_with_durations_in_seconds(tmp_path):
    config = configuration.load(write(tmp_path, GOOD))
    assert (config.registries[0].url, config.probe.interval) == ("http://127.0.0.1:5000", 10.0)


def test_relative_paths_are_relative_to_the_file(tmp_path):
    config = configuration.load(write(tmp_path, GOOD + "policy: policy.yaml\n"))
    assert config.policy == tmp_path / "policy.yaml"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (GOOD + "regsitries: []\n", 5, "regsitries"),
        (GOOD + "probe: {interval: 5s}\n", 5, "probe"),
        (GOOD.replace("url:", "uri:"), 3, "uri"),
        (GOOD.replace("10s", "ten"), 4, "interval"),
        (GOOD.replace("http://127", "ftp://127"), 3, "url"),
        (GOOD.replace("http://127", "http://me:secret@127"), 3, "url"),
        (GOOD + "slos: !!python/object:os.system {}\n", 5, "tag"),
        (GOOD + "server: {port: 99999}\n", 5, "port"),
        ("registries:\n  - name: main\n   url: x\n", 3, "YAML"),
    ],
)
def test_a_fault_names_file_line_and_key(tmp_path, text, line, words):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as told:
        configuration.load(path)
    assert told.value.place == f"{path}:{line}"
    assert words in str(told.value)
    assert told.value.remedy


def test_a_password_in_a_url_is_never_repeated(tmp_path):
    with pytest.raises(InputError) as told:
        configuration.load(write(tmp_path, GOOD.replace("http://127", "http://me:hunter2@127")))
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("timeout: 2s", "timeout: 20s"), "does not fit"),
        (GOOD + "storage: [{registry: other, path: /}]\n", "no registry is named 'other'"),
        (GOOD.replace("probe", "  - {name: main, url: 'http://127.0.0.1:1'}\nprobe"), "stands twice"),
        (GOOD.replace("    url", "    username: ada\n    url"), "needs username together with"),
    ],
)
def test_contradictions_are_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        configuration.load(write(tmp_path, text))


def test_a_named_file_that_is_missing_is_misuse(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        configuration.load(tmp_path / "nothing.yaml")


def test_precedence_is_flag_then_environment_then_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configuration.locate(None, {})[0] is None
    write(tmp_path, GOOD)
    assert configuration.locate(None, {})[0] == Path("seawall.yaml")
    assert configuration.locate(None, {"SEAWALL_CONFIG": "/e.yaml"})[0] == Path("/e.yaml")
    assert configuration.locate(Path("/f.yaml"), {"SEAWALL_CONFIG": "/e.yaml"})[0] == Path("/f.yaml")


def test_a_secret_file_open_to_others_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("x\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="open to other users"):
        configuration.read_secret(path, "here")
    path.chmod(0o600)
    assert configuration.read_secret(path, "here") == "x"


# the verb ------------------------------------------------------------------------------------


def check(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, object], str]:
    command = [sys.executable, "-m", "seawall", "check", "--json", *arguments]
    env = {key: value for key, value in os.environ.items() if key != "SEAWALL_CONFIG"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_check_without_a_file_is_fine(tmp_path):
    code, answer, _ = check(tmp_path)
    assert (code, answer["ok"]) == (0, True)
    assert all(set(one) == {"name", "ok", "found", "remedy"} for one in answer["checks"])


def test_check_says_2_for_a_wrong_file(tmp_path):
    code, answer, _ = check(tmp_path, "--config", str(write(tmp_path, GOOD + "nonsense: 1\n")))
    assert (code, answer["ok"]) == (2, False)
    fault = next(one for one in answer["checks"] if not one["ok"])
    assert "seawall.yaml:5" in fault["found"] and fault["remedy"]


def test_check_says_2_for_a_missing_file(tmp_path):
    assert check(tmp_path, "--config", "nothing.yaml")[0] == 2


def test_check_says_1_for_an_unreachable_registry(tmp_path):
    path = write(tmp_path, GOOD.replace(":5000", ":1"))
    code, answer, _ = check(tmp_path, "--config", str(path))
    assert code == 1
    fault = next(one for one in answer["checks"] if not one["ok"])
    assert fault["name"] == "registry main" and "refused" in fault["found"] and fault["remedy"]


def test_check_says_2_for_a_broken_playbook_and_looks_at_the_rest(tmp_path):
    folder = tmp_path / "books" / "mine"
    folder.mkdir(parents=True)
    (folder / "action.yaml").write_text("name: mine\n  broken: [\n")
    path = write(tmp_path, GOOD.replace(":5000", ":1") + "playbooks: books\n")
    code, answer, _ = check(tmp_path, "--config", str(path))
    assert code == 2
    names = [one["name"] for one in answer["checks"]]
    assert "registry main" in names and "playbook restart-registry" in names
    assert any("action.yaml:2" in one["found"] for one in answer["checks"] if not one["ok"])
