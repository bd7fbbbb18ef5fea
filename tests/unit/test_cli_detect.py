"""`seawall detect` as its user runs it: a process of its own, real files, exit codes."""

import csv
import os
import pty
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.streaming import GRACE

HEAD = ["timestamp", "value", "expected", "lower", "upper", "score", "anomaly", "alert_score"]


def seawall(
    *arguments: str | Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", "detect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, preexec_fn=before)


def recording(path: Path, count: int = 300, seed: int = 0, columns: int = 1) -> Path:
    """A wave a minute apart that jumps for ten rows near its end."""
    noise = np.random.default_rng(seed).normal(0, 0.1, (count, columns))
    wave = np.sin(np.arange(count) / 10)[:, None] + noise
    wave[-30:-20] += 8
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["timestamp", *(f"value{k}" if k else "value" for k in range(columns))])
        out.writerows([1.7e9 + 60 * i, *row] for i, row in enumerate(wave.tolist()))
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_file_has_its_answer(tmp_path: Path) -> None:
    paths = [recording(tmp_path / f"{i}.csv", 300 - 50 * i, i) for i in range(3)]
    done = seawall(*paths, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for path in paths:
        given, found = rows(path), rows(tmp_path / "out" / path.name)
        assert list(found[0]) == HEAD
        assert [(row["timestamp"], row["value"]) for row in found] == [
            (row["timestamp"], row["value"]) for row in given
        ]
        assert all(row["score"] == "0.0" and row["anomaly"] == "0" for row in found[:GRACE])
        scores = [float(row["score"]) for row in found]
        assert max(scores[-30:-20]) > max(scores[:-30])
        assert {row["anomaly"] for row in found} <= {"0", "1"}


def test_files_know_nothing_of_one_another(tmp_path: Path) -> None:
    paths = [recording(tmp_path / f"{i}.csv", 200 + 40 * i, i) for i in range(3)]
    seawall(*paths, "--out", tmp_path / "all")
    seawall(paths[1], "--out", tmp_path / "one")
    together, alone = rows(tmp_path / "all" / "1.csv"), rows(tmp_path / "one" / "1.csv")
    for name in ("expected", "lower", "upper", "score", "alert_score"):
        wanted = [float(row[name] or "nan") for row in alone]
        assert [float(row[name] or "nan") for row in together] == pytest.approx(
            wanted, rel=1e-5, abs=1e-5, nan_ok=True
        )


def test_rows_that_repeat_or_step_back_are_kept_and_silent(tmp_path: Path) -> None:
    times = [1.7e9 + 60 * i for i in range(100)]
    times = times[:90] + times[88:90] + times[40:41] + times[90:]
    path = tmp_path / "a.csv"
    path.write_text("timestamp,value\n" + "".join(f"{at},{i % 7}\n" for i, at in enumerate(times)))
    assert seawall(path, "--out", tmp_path / "out").returncode == 0
    found = rows(tmp_path / "out" / "a.csv")
    assert [row["timestamp"] for row in found] == [str(at) for at in times]
    assert [row["score"] for row in found[90:93]] == ["0.0"] * 3


def test_blanks_are_allowed_and_nan_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("timestamp,value\n" + "".join(f"{i},{i % 5 if i % 3 else ''}\n" for i in range(200)))
    assert seawall(path, "--out", tmp_path / "out").returncode == 0
    text = (tmp_path / "out" / "a.csv").read_text()
    assert "nan" not in text.lower()
    assert [row["value"] == "" for row in rows(tmp_path / "out" / "a.csv")] == [
        i % 3 == 0 for i in range(200)
    ]


def test_several_columns_have_one_score(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.csv", columns=3)
    assert seawall(path, "--out", tmp_path / "out").returncode == 0
    found = rows(tmp_path / "out" / "a.csv")
    assert list(found[0]) == ["timestamp", "value", "value1", "value2", *HEAD[2:]]
    scores = [float(row["score"]) for row in found]
    assert max(scores[-30:-20]) > max(scores[:-30])


def test_a_bad_file_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    good, bad = recording(tmp_path / "good.csv"), tmp_path / "bad.csv"
    bad.write_text("timestamp,value\n1,2\n2,two\n")
    done = seawall(bad, good, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr == (
        f"seawall: {bad}:3: value is 'two'; give a number such as 1.5, or leave it blank\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.csv"]


@pytest.mark.parametrize(
    "case", ["missing", "folder", "twice", "input", "out", "detector", "ablation", "none"]
)
def test_misuse_is_refused_before_anything_is_done(tmp_path: Path, case: str) -> None:
    good, out = recording(tmp_path / "good.csv"), tmp_path / "out"
    arguments: dict[str, tuple[list[str | Path], str]] = {
        "missing": ([good, tmp_path / "gone.csv", "--out", out], "there is no such file"),
        "folder": ([good, tmp_path, "--out", out], "is a folder; name CSV files"),
        "twice": ([good, good, "--out", out], "name it once"),
        "input": ([good, "--out", tmp_path], "is an input"),
        "out": ([good, "--out", good], "is no folder"),
        "detector": ([good, "--out", out, "--detector", "oracle"], "'oracle' is none; choose one of lstm"),
        "ablation": ([good, "--out", out, "--detector", "seasonal", "--without-lstm"], "has no network"),
        "none": (["--out", out], "Missing argument"),
    }
    given, finding = arguments[case]
    done = seawall(*given)
    assert done.returncode == 2
    assert finding in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_a_full_disk_is_told_and_leaves_nothing_half(tmp_path: Path) -> None:
    long, short = recording(tmp_path / "long.csv", 2000), recording(tmp_path / "short.csv", 100)

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = seawall(long, short, "--out", tmp_path / "out", before=little_room)
    assert done.returncode == 1
    assert "long.csv: cannot be written: File too large; make room" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["short.csv"]


@pytest.mark.parametrize(("flags", "shown"), [([], True), (["--quiet"], False)])
def test_progress_is_shown_on_a_terminal(tmp_path: Path, flags: list[str], shown: bool) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "seawall", "detect", str(recording(tmp_path / "a.csv")), *flags]
    with subprocess.Popen([*command, "--out", str(tmp_path / "out")], stdout=-1, stderr=follower) as process:
        os.close(follower)
        told = b"" if shown else None
        try:
            while chunk := os.read(leader, 4096):
                told = (told or b"") + chunk
        except OSError:  # the terminal's last user has gone
            pass
        assert process.wait(30) == 0
    os.close(leader)
    assert (told is not None and b"scoring" in told and b"100%" in told) == shown


def test_the_ablation_is_the_same_without_the_network(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.csv")
    seawall(path, "--out", tmp_path / "with")
    done = seawall(path, "--out", tmp_path / "without", "--without-lstm")
    assert (done.returncode, done.stderr) == (0, "")
    whole, part = rows(tmp_path / "with" / "a.csv"), rows(tmp_path / "without" / "a.csv")
    assert [row["expected"] for row in whole[100:]] != [row["expected"] for row in part[100:]]
    scores = [float(row["score"]) for row in part]
    assert max(scores[-30:-20]) > max(scores[GRACE:-30])


def test_the_threshold_decides_what_alerts(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.csv")
    seawall(path, "--out", tmp_path / "never", "--threshold", "1.1")
    seawall(path, "--out", tmp_path / "always", "--threshold", "0")
    assert {row["anomaly"] for row in rows(tmp_path / "never" / "a.csv")} == {"0"}
    assert {row["anomaly"] for row in rows(tmp_path / "always" / "a.csv")} == {"1"}
