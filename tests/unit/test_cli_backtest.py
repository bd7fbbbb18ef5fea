"""`seawall backtest` as its user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.test_cli_detect import recording


def seawall(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seawall", "backtest", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_figures_page_and_pictures(tmp_path: Path) -> None:
    paths = [recording(tmp_path / "a" / "x.csv"), recording(tmp_path / "b" / "x.csv", 200, 1, columns=2)]
    out = tmp_path / "out"
    done = seawall(*paths, "--objective", "<= 5", "--horizon", "10m", "--out", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told == json.loads((out / "backtest.json").read_text())
    assert [(it["name"], it["samples"]) for it in told["items"]] == [
        ("x.csv", 300), ("x.csv: value", 200), ("x.csv: value1", 200),
    ]  # fmt: skip
    assert list(told["summary"]) == ["lstm", "seasonal", "running_mean"]
    assert told["summary"]["seasonal"]["breaches"] == 3
    page = (out / "backtest.html").read_text()
    assert page.count("<svg") == 4
    pictures = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert pictures == ["a/x.png", "b/x-value.png", "b/x-value1.png", "reliability.png"]


def test_without_out_it_only_tells(tmp_path: Path) -> None:
    path = recording(tmp_path / "x.csv")
    done = seawall(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "pinball loss (seasonal = 1)" in done.stdout
    assert "Brier" not in done.stdout
    assert [one.name for one in tmp_path.iterdir()] == ["x.csv"]


def test_a_bad_file_is_told_and_the_others_are_tested(tmp_path: Path) -> None:
    good, bad = recording(tmp_path / "good.csv"), tmp_path / "bad.csv"
    bad.write_text("nothing\n")
    done = seawall(bad, good, "--json")
    assert done.returncode == 1
    assert done.stderr.startswith(f"seawall: {bad}:1: the header is 'nothing'")
    assert [it["name"] for it in json.loads(done.stdout)["items"]] == ["good.csv"]
    assert seawall(bad).returncode == 1


@pytest.mark.parametrize(
    ("flags", "finding"),
    [
        (["--objective", "0.5"], "--objective: '0.5' is none; give one such as '<= 0.5'"),
        (["--objective", "<= fast"], "--objective: '<= fast' is none"),
        (["--objective", "<= 1e"], "--objective: '<= 1e' is none"),
        (["--horizon", "soon"], "--horizon: 'soon' is not a duration"),
        (["gone.csv"], "gone.csv: there is no such file"),
    ],
)
def test_misuse(tmp_path: Path, flags: list[str], finding: str) -> None:
    done = seawall(recording(tmp_path / "x.csv", 100), *flags)
    assert done.returncode == 2
    assert finding in done.stderr
