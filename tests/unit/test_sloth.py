"""Sloth's spec and OpenSLO as files that `slos:` may name: read as rows, exported, refused with a remedy."""

import pytest
import yaml
from typer.testing import CliRunner

from alerts import openslo
from alerts.slos import load_rows
from seawall.cli import app as cli
from seawall.core.errors import InputError
from seawall.core.slos import Objective, SloType

# The form of sloth's examples/getting-started.yml, on a counter that Seawall has.
SPEC = """\
version: "prometheus/v1"
service: "registry"
labels: {owner: "ops"}
slos:
  - name: "requests-availability"
    objective: 99.9
    description: "Requests that are answered"
    sli:
      events:
        error_query: sum(rate(seawall_requests_total{handler="manifest",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(seawall_requests_total{handler="manifest"}[{{.window}}]))
    alerting:
      name: RegistryHighErrorRate
      labels: {category: "availability"}
      page_alert: {labels: {severity: pageteam}}
"""


def test_a_spec_is_a_row_of_type_ratio(tmp_path):
    path = tmp_path / "sloth.yaml"
    path.write_text(SPEC)
    [row] = load_rows(path)
    assert (row.name, row.type, row.signal) == (
        "requests_availability",
        SloType.RATIO,
        "seawall_requests_total",
    )
    assert (row.among, row.bad) == ((("handler", "manifest"),), (("code", "(5..|429)"),))
    assert (row.objective, row.window) == (Objective("<=", 0.001), 30 * 86400.0)
    assert (row.alert, row.title) == ("RegistryHighErrorRate", "Requests that are answered")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        (
            'sum(rate(seawall_requests_total{handler="manifest"}',
            "count(rate(x{}",
            11,
            "total_query.*sum of one",
        ),
        ('{handler="manifest"}', '{job="a"}', 11, "asks for job.*take job out"),
        ('{handler="manifest"}', '{handler!="blob"}', 11, "excludes with handler!=.*= or =~"),
        ('{handler="manifest"}', '{handler="blob"}', 10, "does not choose some"),
        ('{handler="manifest"}', "{handler=manifest}", 11, "matchers that cannot be read"),
        (',code=~"(5..|429)"', "", 10, "'requests-availability'.*does not choose some"),
        ("objective: 99.9", "objective: 100", 6, r"slos\[0\].objective"),
        ("      events:", "      raw:", 8, "no sli.events.*write events"),
        ("prometheus/v1", "prometheus/v2", 1, "prometheus/v2.*prometheus/v1"),
    ],
)
def test_what_cannot_be_judged_is_refused_by_file_line_and_remedy(tmp_path, old, new, line, words):
    path = tmp_path / "sloth.yaml"
    assert SPEC.count(old) == 1
    path.write_text(SPEC.replace(old, new))
    with pytest.raises(InputError, match=words) as error:
        load_rows(path)
    assert error.value.place == f"{path}:{line}"


def test_a_folder_of_files_is_one_matrix_and_its_export_is_read_back(tmp_path):
    folder = tmp_path / "slos"
    folder.mkdir()
    (folder / "1.yaml").write_text(SPEC)
    level = "slos:\n  - {name: disk, type: level, signal: seawall_storage_used_ratio, window: 5m,\n"
    level += '     objective: {op: "<=", value: 0.85}, targets: [{labels: {volume: /cache}, value: 0.9}]}\n'
    (folder / "2.yml").write_text(level)
    (tmp_path / "seawall.yaml").write_text("slos: slos\n")
    out = tmp_path / "out"
    command = ["export", "openslo", str(out), "--config", str(tmp_path / "seawall.yaml")]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0
    rows = {row.name: row for row in load_rows(folder)}
    assert {row.name: row for row in load_rows(out)} == rows
    made = yaml.safe_load((out / "requests_availability.yaml").read_text())
    assert made["spec"]["budgetingMethod"] == "Occurrences"
    assert made["spec"]["objectives"][0]["target"] == 0.999
    assert "429" in made["spec"]["indicator"]["spec"]["ratioMetric"]["bad"]["metricSource"]["spec"]["query"]
    (folder / "3.yaml").write_text(level)
    with pytest.raises(InputError, match=r"3\.yaml: slo 'disk' stands twice"):
        load_rows(folder)


def test_a_broken_annotation_and_an_empty_folder_are_told(tmp_path):
    with pytest.raises(InputError, match=r"no \*\.yaml"):
        load_rows(tmp_path)
    path = tmp_path / "a.yaml"
    notes = "seawall/type: ratio, seawall/signal: x_total, seawall/window: 1h, seawall/op: '<='"
    notes += ", seawall/value: '0.1', seawall/bad: '{code'"
    path.write_text(
        f"apiVersion: openslo/v1\nkind: SLO\nmetadata: {{name: x, annotations: {{{notes}}}}}\nspec: {{}}\n"
    )
    with pytest.raises(InputError, match=r"seawall/bad is no JSON"):
        openslo.read(path)
