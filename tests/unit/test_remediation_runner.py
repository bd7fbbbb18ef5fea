"""What the worker makes of ansible-runner's events: bounded, masked, and never raising."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.runner import Record

CREATED = "2026-11-24T03:00:00.500000+00:00"


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record(tmp_path, frozenset({"swordfish"}), check=True)
    yield record
    record.close()


def feed(record: Record, kind: str, stdout: str = "", created: str = CREATED, **data: Any) -> None:
    data = {"host": "h", "task": "T", "task_uuid": "u", **data}
    assert record.handle({"event": kind, "stdout": stdout, "created": created, "event_data": data}) is False


def test_times_are_those_of_the_task_that_first_changed_something(record: Record) -> None:
    for second, uuid, changed in ((1, "a", False), (2, "b", True), (3, "c", True)):
        created = f"2026-11-24T03:00:0{second}+00:00"
        feed(record, "playbook_on_task_start", created=created, task_uuid=uuid)
        feed(record, "runner_on_ok", created="2026-11-24T03:00:09Z", task_uuid=uuid, res={"changed": changed})
    assert record.first_change_at is not None
    assert record.first_change_at - record.first_task_at == 1  # type: ignore[operator]
    assert len(record.changes()) == 2


def test_a_hidden_result_still_counts_as_a_change(record: Record) -> None:
    feed(record, "runner_on_ok", stdout="changed: [h]", res={"censored": "hidden"})
    assert [(change.host, change.task, change.diff) for change in record.changes()] == [("h", "T", "")]


def test_a_diff_that_is_told_twice_is_shown_once(record: Record) -> None:
    diff = [{"before": "a\n", "after": "b\n"}]
    feed(record, "runner_on_file_diff", diff=diff)
    feed(record, "runner_item_on_ok", res={"changed": True, "diff": diff})
    feed(record, "runner_on_ok", res={"changed": True})
    [change] = record.changes()
    assert change.diff.count("+b") == 1


@pytest.mark.parametrize(
    ("result", "reported"),
    [
        ({"msg": "Command would have run if not in check mode"}, True),
        ({"msg": "remote module (x) does not support check mode"}, True),
        ({"false_condition": "not ansible_check_mode"}, True),
        ({"false_condition": "a == 'b'", "skip_reason": "Conditional result was False"}, False),
        ({"skipped_reason": "No items in the list"}, False),
        ({"msg": "All items skipped"}, False),
    ],
)
def test_only_what_check_mode_skips_cannot_be_previewed(
    record: Record, result: dict[str, Any], reported: bool
) -> None:
    feed(record, "runner_on_skipped", stdout=f"skipping: [h] => {json.dumps(result, indent=4)}")
    assert list(record.skipped) == (["T"] if reported else [])


def test_a_flood_of_output_is_cut_and_says_so(record: Record, tmp_path: Path) -> None:
    for number in range(2000):
        feed(record, "playbook_on_task_start", task=f"{number} " + "x" * 5000, task_uuid=str(number))
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert sum(map(len, lines)) < 1.1 * (1 << 20)
    assert json.loads(lines[-1])["line"] == "(further lines are left out)"


def test_secrets_do_not_reach_lines_or_messages(record: Record, tmp_path: Path) -> None:
    feed(record, "playbook_on_task_start", task="use swordfish")
    feed(record, "runner_on_failed", res={"msg": "bad swordfish", "stderr": "token=abc"})
    assert record.said() == "h: T: bad **** - token=****"
    assert "swordfish" not in (tmp_path / "events.jsonl").read_text()


def test_an_event_that_is_not_understood_is_noted_and_passed_over(
    record: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record.handle({"event": "playbook_on_task_start", "created": CREATED, "event_data": {}}) is False
    assert record.handle({}) is False
    assert capsys.readouterr().err.count("not understood") == 2
    feed(record, "playbook_on_task_start")
    assert record.first_task_at == 1795489200.5
