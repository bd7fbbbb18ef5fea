"""Diffs: readable, without secrets, and bound by a digest that ignores what changes by itself."""

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remediation import diffs
from remediation.inventory import inventory_text
from seawall.core.errors import InputError
from seawall.core.ports import Change, Outcome

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIB\nAAKCAQEA\n-----END RSA PRIVATE KEY-----"


def outcome(*changes: Change, skipped: tuple[str, ...] = ()) -> Outcome:
    return Outcome("successful", "", changes, skipped, 1.0, 2.0, 1.5, 1.6)


def test_texts_become_one_unified_diff() -> None:
    diff = {"before": "a\nb\n", "after": "a\nc\n", "before_header": "old", "after_header": "new"}
    assert diffs.unified([diff]) == "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\n-b\n+c"


def test_dictionaries_are_compared_as_sorted_json() -> None:
    text = diffs.unified({"before": {"mode": "0644", "a": 1}, "after": {"a": 1, "mode": "0600"}})
    assert '-  "mode": "0644"' in text
    assert '+  "mode": "0600"' in text
    assert '"a": 1' in text


@pytest.mark.parametrize("nothing", [None, [], [None], {}, {"before": "a", "after": "a"}])
def test_no_diff_is_no_text(nothing: Any) -> None:
    assert diffs.unified(nothing) == ""


def test_a_prepared_diff_and_binary_files_are_shown() -> None:
    assert diffs.unified([{"prepared": "+ one\n"}, {"dst_binary": 1}]) == "+ one\n(binary target)"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password: hunter22", "password: ****"),
        ('"db_password": "two words", "a": 1', '"db_password": ****, "a": 1'),
        ("API_TOKEN=abc123 x", "API_TOKEN=**** x"),
        ("Authorization: Basic dXNlcjpwdw== more", "Authorization: ****"),
        ("curl -H 'bearer abcdefgh12345'", "curl -H 'bearer ****'"),
        ("http://user:pw@host/v2/", "http://user:****@host/v2/"),
        (f"x\n{PEM}\ny", "x\n****\ny"),
        (PEM[:60], "****"),
        ("password_file: /etc/seawall/pw", "password_file: /etc/seawall/pw"),
        ("tokens are counted", "tokens are counted"),
        ("status: running", "status: running"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert diffs.mask(text) == masked


def test_known_values_are_masked_wherever_they_stand() -> None:
    secrets = diffs.secret_values(
        {
            "password": "swordfish",
            "list": [{"api_key": "k-1234"}],
            "password_file": "/etc/pw",
            "pin_token": "ab",
        }
    )
    assert secrets == {"swordfish", "k-1234"}
    assert diffs.mask("saw swordfish and k-1234", secrets) == "saw **** and ****"


def test_a_diff_in_which_only_a_secret_changes_says_so() -> None:
    text = diffs.unified({"before": "password: old-one\n", "after": "password: new-one\n"})
    assert text == "(a masked value changes)"


def test_masking_stays_fast_on_long_lines() -> None:
    begin = time.perf_counter()
    for text in ("a" * 500_000, "-" * 500_000, "a.b-" * 100_000, "pass" * 100_000, "://" * 100_000):
        diffs.stable(diffs.mask(text))
    assert time.perf_counter() - begin < 5


def test_a_long_diff_is_cut_and_its_rest_still_counts() -> None:
    before, after = "".join(f"{n}\n" for n in range(3000)), "".join(f"{n}x\n" for n in range(3000))
    text = diffs.unified({"before": before, "after": after})
    assert len(text.splitlines()) == 2001
    assert "more lines, sha256" in text
    assert text != diffs.unified({"before": before, "after": after.replace("2999x", "2999y")})


def test_the_preview_names_tasks_hosts_and_what_it_cannot_tell() -> None:
    text = diffs.render(
        outcome(Change("a", "Restart", "-x\n+y"), Change("b", "Hide", ""), skipped=("Shell",))
    )
    assert text == (
        "Restart  [a]\n-x\n+y\n\nHide  [b]\n(changes, without a diff)\n\n"
        "Shell\n(check mode cannot preview this task)"
    )
    assert diffs.render(outcome()) == "Nothing would change."


def test_the_digest_is_the_same_for_the_same_world() -> None:
    one = Change(
        "h", "Copy", "+at 2026-11-24T03:00:00Z pid 4711 /root/.ansible/tmp/ansible-tmp-1.2/x 1795491700.66"
    )
    two = Change(
        "h", "Copy", "+at 2026-11-24T03:00:09Z pid 99 /root/.ansible/tmp/ansible-tmp-3.4/y 1795491711.01"
    )
    assert digest(outcome(one)) == digest(replace(outcome(two), started_at=9.0, first_task_at=None))


def test_the_order_in_which_hosts_answer_does_not_count() -> None:
    a, b = Change("a", "T", "x"), Change("b", "T", "y")
    assert digest(outcome(a, b)) == digest(outcome(b, a))


def test_the_digest_binds_content_inputs_inventory_and_diff() -> None:
    base = outcome(Change("h", "T", "+a"))
    others = [
        digest(base, content="d2"),
        digest(base, inputs={"a": 2}),
        digest(base, inventory="j"),
        digest(outcome(Change("h", "T", "+b"))),
        digest(outcome(Change("g", "T", "+a"))),
        digest(outcome(Change("h", "U", "+a"))),
        digest(outcome(Change("h", "T", "+a"), skipped=("S",))),
        digest(outcome()),
    ]
    assert len({digest(base), *others}) == len(others) + 1


def digest(
    result: Outcome, content: str = "d", inputs: dict[str, Any] | None = None, inventory: str = "i"
) -> str:
    return diffs.digest(content, inputs or {"a": 1}, inventory, result)


def test_the_manual_command_is_plain_shell(tmp_path: Path) -> None:
    """What the shell hands to ansible-playbook, shown by a program that takes its place."""
    inputs = {"container": "it's; rm -rf $HOME", "list": ["ü", 1], "password": "swordfish"}
    text = diffs.manual(Path("/srv/play books/p.yml"), inputs, inventory_text("registry_servers"))
    assert "swordfish" not in text
    show = tmp_path / "show"
    show.write_text('#!/bin/sh\ncat "$2"; shift 2; printf "%s\\n" "$@"\n')
    show.chmod(0o700)
    program = next(word for word in text.split() if word.endswith("/ansible-playbook"))
    done = subprocess.run(
        ["sh", "-c", text.replace(program, str(show))], capture_output=True, text=True, check=True
    )
    *inventory, dash, plain, dash_two, hidden, path = done.stdout.splitlines()
    assert inventory == inventory_text("registry_servers").splitlines()
    assert (dash, dash_two, hidden, path) == ("-e", "-e", "password=<password>", "/srv/play books/p.yml")
    assert json.loads(plain) == {"container": inputs["container"], "list": ["ü", 1]}


def test_the_inventory_is_this_machine_or_the_users_file(tmp_path: Path) -> None:
    text = inventory_text("registry_servers")
    assert text.startswith("[registry_servers]\nlocalhost ansible_connection=local")
    assert 'ansible_python_interpreter="{{ ansible_playbook_python }}"' in text
    (tmp_path / "hosts").write_text("[registry_servers]\nr1\n")
    assert inventory_text("registry_servers", tmp_path / "hosts") == "[registry_servers]\nr1\n"
    with pytest.raises(InputError, match="cannot be read"):
        inventory_text("registry_servers", tmp_path / "none")
