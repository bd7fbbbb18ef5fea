"""The notebooks run from top to bottom, on their samples and on a folder of one's own; what they keep is
small and of a whole run."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from typer.testing import CliRunner

from notebooks.harbour import recorded
from notebooks.month import MONTH, month
from seawall.cli import app
from seawall.stores.sql import SqlRecords

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SAID = {
    "a_week_of_pulls": "the store says the same",
    "a_months_slo_report": "bad minutes in the report",
    "an_incident_taken_apart": "the samples say recovered",
    "choosing_thresholds_and_policies": "checked with 5 thresholds",
    "how_the_lstm_decides": "min before the breach",
}
MOST_BYTES, MOST_RECORDED = 50_000, 400_000
REPORT = "REPORT "


def executed(path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    """What it said, in a kernel of its own; the first cell that raises fails with its traceback."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [new_code_cell(text) for text in more]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [it.get("data", {}).get("text/markdown", "") for it in outputs]
    return "".join([*(it.get("text", "") for it in outputs), *shown])


def test_each_has_a_test_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SAID)


@pytest.mark.parametrize("name", sorted(set(SAID) - {"a_months_slo_report"}))
def test_it_runs_on_its_sample(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAWALL_STATE", raising=False)
    said = executed(ROOT / "notebooks" / f"{name}.ipynb", monkeypatch)
    assert SAID[name] in said
    assert " nan" not in said


def test_the_months_report_is_that_of_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAWALL_STATE", raising=False)
    path = ROOT / "notebooks" / "a_months_slo_report.ipynb"
    said = executed(path, monkeypatch, f"import json; print({REPORT!r} + json.dumps(made))")
    assert SAID[path.stem] in said
    [told] = [line.removeprefix(REPORT) for line in said.splitlines() if line.startswith(REPORT)]
    config = month(tmp_path)
    options = ["--month", MONTH, "--config", str(config), "--state", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, ["report", "slo", *options], catch_exceptions=False)
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == 1 and report["rows"] and report["incidents"]
    assert json.loads(told) == report


@pytest.mark.parametrize("name", sorted(set(SAID) - {"a_months_slo_report", "how_the_lstm_decides"}))
def test_it_runs_on_a_folder_of_ones_own(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path)
    monkeypatch.setenv("SEAWALL_STATE", str(tmp_path))
    said = executed(ROOT / "notebooks" / f"{name}.ipynb", monkeypatch, "print('from', harbour.state)")
    assert f"from {tmp_path}" in said


def test_the_recorded_incidents_are_whole_and_keep_no_secret(tmp_path: Path) -> None:
    recorded(tmp_path)
    records = SqlRecords(f"sqlite:{tmp_path / 'records.sqlite'}")
    try:
        checked, wrong = records.audit_verify()
        states = {action.state.value for action in records.actions(limit=200)[0]}
        tokens = records.token_count()
    finally:
        records.close()
    assert checked > 20 and wrong is None
    assert {"succeeded", "rejected", "expired"} <= states
    raw = (tmp_path / "records.sqlite").read_bytes()
    assert tokens == 0 and b"$argon2" not in raw and str(ROOT).encode() not in raw
    kept = (ROOT / "notebooks" / "sample").rglob("*.gz")
    assert sum(path.stat().st_size for path in kept) < MOST_RECORDED


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_asks_and_answers(path: Path) -> None:
    """It begins with its question, and ends with what to do about it."""
    cells = nbformat.read(path, as_version=4).cells
    headings = [cell.source.splitlines()[0] for cell in cells if cell.cell_type == "markdown"]
    assert cells[0].source.startswith("# ") and "**The question:**" in cells[0].source
    assert any("what to do about it" in heading.lower() for heading in headings[-2:])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_it_keeps_is_small_and_in_order(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert path.stat().st_size < MOST_BYTES
    assert str(ROOT) not in path.read_text(encoding="utf-8")
