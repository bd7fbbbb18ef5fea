"""How the demo tells its story to a person at a terminal of 80 columns, and how it ends there."""

import os
import select
import signal
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from seawall.core.times import rfc3339
from seawall.demo import story
from seawall.demo.story import Options, Story
from tests.unit.test_paint import ROWS

STATE = Path("/tmp/seawall-demo-7osyy1jv/state")
BY_HAND = Options(yes=False, auto=False, process=False, as_json=False)
LONG = "succeeded: 3 good rounds after the run: probes succeed; the last 3 round(s) before the run were bad"


class Plant:
    """Nothing runs; it only knows where Seawall would be."""

    url, state, servers = "http://127.0.0.1:8700", STATE, None

    def __init__(self, *_arguments):
        self.closed = False

    def close(self):
        self.closed = True


class Scripted:
    """A client that gives one answer after another to the same question, the last one for ever."""

    def __init__(self, **answers):
        self._answers = answers

    def get(self, path, **_query):
        left = self._answers[path.strip("/").replace("/", "_").replace("-", "")]
        return left.pop(0) if len(left) > 1 else left[0]


def telling(terminal=True, height=25):
    told = Story(Plant(), BY_HAND)
    told._out = Console(width=80, height=height, file=StringIO(), force_terminal=terminal, color_system=None)
    return told


def lines(told):
    return told._out.file.getvalue().splitlines()


def history(began, *texts):
    return [
        {"at": rfc3339(began + n), "actor": "seawall", "text": text} for n, text in enumerate(texts, start=60)
    ]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(story, "LOOK_EVERY", 0.0)


@pytest.fixture
def terminal(monkeypatch):
    """Standard input and output are a terminal; the other end of it."""
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield ours
    os.close(ours)


# the history -----------------------------------------------------------------------------------


def test_what_happens_after_the_approval_is_one_line_each_with_its_time():
    told = telling()
    begun = history(told._began, "proposed restart-registry", "previewed: 1 change(s)", "running: run 3-run")
    ended = [*begun, *history(told._began + 3, LONG)]
    client = Scripted(
        actions_act1_history=[{"items": begun}, {"items": begun}, {"items": ended}],
        actions_act1=[{"state": "running"}, {"state": "running"}, {"state": "succeeded"}],
    )
    assert told._healed(client, "act-1") == {"state": "succeeded"}
    assert lines(told) == [
        "  62.0 s  seawall: running: run 3-run",
        "  63.0 s  seawall: succeeded: 3 good rounds after the run: probes succeed; the …",
    ]


def test_without_a_terminal_no_word_of_the_history_is_cut():
    told = telling(terminal=False)
    told._tell_history(history(told._began, LONG)[0])
    assert " ".join(" ".join(lines(told)).split()) == f"60.0 s seawall: {LONG}"


# the live picture ------------------------------------------------------------------------------


def test_all_four_rows_are_live_at_80_columns_and_what_is_bad_comes_first():
    told = telling(height=24)
    answers = iter([None, "done"])
    assert told._watch(lambda: next(answers), 60, lambda: story._worst_first(ROWS)) == "done"
    shown = told._out.file.getvalue()
    assert all(f"harbour {row['name']}" in shown for row in ROWS)
    assert shown.index("availability") < shown.index("pull_latency")


def test_a_low_terminal_still_shows_what_is_bad():
    told = telling(height=4)
    answers = iter([None, "done"])
    told._watch(lambda: next(answers), 60, lambda: story._worst_first(ROWS))
    assert "BAD" in lines(told)[0]


def test_nothing_in_time_is_nothing():
    assert telling()._watch(lambda: None, 0.0) is None


# the approval ----------------------------------------------------------------------------------


def test_who_is_asked_reads_where_as_whom_and_a_command_that_can_be_pasted(monkeypatch, tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/seawall", "demo"])
    monkeypatch.setattr(story.getpass, "getuser", lambda: "ada")
    told = telling()
    told._ask_the_person("act-1")
    assert [line.strip() for line in lines(told)[1:]] == [
        "http://127.0.0.1:8700/actions/act-1",
        f"as admin, with the token in {STATE}/admin-token",
        "or here, as ada:",
        f".venv/bin/seawall approve act-1 --state {STATE}",
    ]


@pytest.mark.parametrize(
    ("started", "typed"),
    [
        ("{here}/.venv/bin/seawall", ".venv/bin/seawall"),
        ("{here}/seawall", "./seawall"),
        ("/opt/seawall/bin/seawall", "/opt/seawall/bin/seawall"),
        ("/opt/sea wall/seawall", "'/opt/sea wall/seawall'"),
        ("/opt/seawall/__main__.py", "/usr/bin/python3 -m seawall"),
    ],
)
def test_the_program_is_named_as_its_user_reaches_it(started, typed, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "argv", [started.format(here=tmp_path)])
    assert story._program() == typed


# the end ---------------------------------------------------------------------------------------


def run_a_healed_one(monkeypatch, choose):
    """run() of a story that is healed at once; `choose` stands for what the person does."""
    plants = []

    def plant(*arguments):
        plants.append(Plant(*arguments))
        return plants[-1]

    monkeypatch.setattr(story, "Plant", plant)
    monkeypatch.setattr(Story, "tell", lambda _self: {"healed": True})
    monkeypatch.setattr(Options, "watched", lambda _self: True)
    monkeypatch.setattr(story.select, "select", choose)
    return story.run(BY_HAND), plants[0].closed


def test_enter_ends_the_look_around(monkeypatch, terminal, capsys):
    real = select.select

    def press(*arguments):
        assert arguments[-1] == 600
        os.write(terminal, b"\n")
        return real(*arguments)

    assert run_a_healed_one(monkeypatch, press) == (0, True)
    told = " ".join(capsys.readouterr().err.split())
    assert "stays up at http://127.0.0.1:8700/ for 10m; Enter or Ctrl-C ends it" in told


def test_an_enter_of_before_is_not_meant(monkeypatch, terminal):
    os.write(terminal, b"\n")
    real, waiting = select.select, []

    def nobody(*arguments):
        waiting.append(real(*arguments[:3], 0)[0])
        return [], [], []

    assert run_a_healed_one(monkeypatch, nobody) == (0, True)
    assert waiting == [[]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_the_end_cleans_up_and_the_healed_stay_healed(number, monkeypatch, terminal):
    assert run_a_healed_one(monkeypatch, lambda *_: signal.raise_signal(number)) == (0, True)


def test_only_a_person_in_front_of_a_terminal_is_waited_for(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stdout", sys.stdin)
    monkeypatch.setattr(os, "tcgetpgrp", lambda _file: os.getpgrp())
    assert BY_HAND.watched()
    for told in ({"yes": True}, {"auto": True}, {"as_json": True}):
        assert not Options(
            **{"yes": False, "auto": False, "process": False, "as_json": False} | told
        ).watched()
    monkeypatch.setattr(os, "tcgetpgrp", lambda _file: os.getpgrp() + 1)
    assert not BY_HAND.watched(), "a job in the background"
    monkeypatch.setattr(sys, "stdout", StringIO())
    assert not BY_HAND.watched()
