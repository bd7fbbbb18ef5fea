"""The boards without a server: Grafana's own types, PromQL that parses, names that exist, rows' promises."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from jsonschema import Draft7Validator

from alerts.slos import load_rows
from dashboards.build import BOARDS, build, marks, panels, queries, searches
from dashboards.provision import LONGEST_UID
from seawall.config import Config
from seawall.core.slos import Objective
from seawall.exports import KINDS, Options
from seawall.stores.elasticsearch_templates import ECS, OURS

ROOT = Path(__file__).parents[2]
CONSOLE = "https://seawall.example.com"
ROWS = load_rows()
FILES = build(ROWS, CONSOLE)
SCHEMAS = json.loads(gzip.decompress((ROOT / "tests/golden/grafana/dashboard.schema.json.gz").read_bytes()))
ALL = pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
# What the SDK writes of a variable or an annotation and Grafana's published types lack; Grafana reads both.
ALLOWED = {"auto", "auto_count", "auto_min", "expr", "titleFormat"}
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$registry": "main", "$signal": "x"}


def filled(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


def pruned(board: Any) -> Any:
    """Without what the types lack, where it is known to be."""
    for it in (*board["templating"]["list"], *board["annotations"]["list"]):
        for name in ALLOWED & it.keys():
            del it[name]
    return board


def faults(board: Any) -> list[str]:
    found = [("Dashboard", pruned(board))]
    for panel in board["panels"]:
        kind = panel["type"]
        if kind != "row":
            options = panel.get("options", {})
            if kind == "table":
                options.pop("footer", None)  # of Grafana 12 and before
            found.append((f"{kind} Options", options))
            found.append((f"{kind} FieldConfig", panel["fieldConfig"]["defaults"].get("custom", {})))
    return [
        f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for name, part in found
        if name in SCHEMAS
        for error in Draft7Validator(SCHEMAS[name]).iter_errors(part)
    ]


@ALL
def test_a_board_is_as_grafana_types_it(text):
    assert faults(json.loads(text)) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("panels", 1, "gridPos", "w"), "wide"),
        (("panels", 1, "fieldConfig", "defaults", "unti"), "s"),
        (("panels", 1, "options"), {"legend": 1}),
        (("templating", "list", 0, "type"), "datasauce"),
        (("links", 0, "targetBlank"), "yes"),
    ],
)
def test_the_schemas_see_a_mistake(place, value):
    board = json.loads(FILES["seawall-golden-signals.json"])
    at = board
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    assert faults(board)


@ALL
def test_every_query_parses_and_asks_only_for_documented_metrics_and_labels(text):
    told = {
        cells[1].strip(" `"): set(re.findall(r"`(\w+)`", cells[3]))
        for cells in (line.split("|") for line in (ROOT / "docs/signals.md").read_text().splitlines())
        if len(cells) > 4 and cells[1].strip().startswith("`seawall_")
    }
    asked = [*queries(text), *marks(text)]
    assert asked
    for title, expr in asked:
        parsed = promql_parser.parse(filled(expr))
        for selector in re.findall(r"\b(seawall_\w+)(?:\{([^}]*)\})?", str(parsed.prettify())):
            metric = re.sub(r"_(bucket|sum|count)$", "", selector[0])
            metric = selector[0] if selector[0] in told else metric
            assert metric in told, (title, selector[0])
            used = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector[1])) - {"le"}
            assert used <= told[metric], (title, metric, used)


@ALL
def test_every_variable_that_is_used_exists(text):
    board = json.loads(text)
    names = {it["name"] for it in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"labels"}
    assert used <= names
    assert {"datasource", "registry", "console"} <= names


@ALL
def test_boards_link_to_each_other_and_into_the_console(text):
    board = json.loads(text)
    assert "seawall" in board["tags"]
    others, console = board["links"]
    assert (others["type"], others["tags"], others["includeVars"]) == ("dashboards", ["seawall"], True)
    assert console["url"] == "${console}/"
    (address,) = (it["query"] for it in board["templating"]["list"] if it["name"] == "console")
    assert address == CONSOLE


@ALL
def test_a_series_leads_to_its_registry_where_it_has_one(text):
    for panel in panels(text):
        links = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
        assert all(it["url"] == "${console}/registries/${__field.labels.registry}" for it in links)
        assert not links or all('registry=~"$registry"' in it["expr"] for it in panel["targets"])


@ALL
def test_every_panel_has_a_title_a_query_and_a_place_of_its_own(text):
    taken: dict[tuple[int, int], str] = {}
    for panel in panels(text):
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])):  # fmt: skip
            assert taken.setdefault(cell, panel["title"]) == panel["title"]


def test_there_are_nine_boards_and_each_has_an_address_of_its_own():
    uids = [json.loads(text)["uid"] for text in FILES.values()]
    assert len(set(uids)) == len(BOARDS) == 9
    assert [f"{uid}.json" for uid in uids] == list(FILES)
    assert all(len(uid) <= LONGEST_UID for uid in uids)


def thresholds(files: dict[str, str], board: str, title: str) -> list[float | None]:
    (panel,) = (
        it for it in panels(files[f"{board}.json"]) if it.get("title") == title and it["type"] != "row"
    )
    return [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_a_changed_promise_moves_its_lines_on_every_board():
    changed = [
        replace(row, objective=Objective("<=", 0.25)) if row.unit in ("s", "ratio") else row for row in ROWS
    ]
    files = build(changed, CONSOLE)
    for board, title in (
        ("seawall-slo-matrix", "Image pull latency P99"),
        ("seawall-pull-latency", "Quantiles"),
        ("seawall-golden-signals", "Manifests of real clients"),
        ("seawall-golden-signals", "Disk used"),
        ("seawall-storage", "Used"),
    ):
        assert thresholds(files, board, title) == [None, 0.25] != thresholds(FILES, board, title)


def test_nothing_is_tolerated_so_that_the_first_unsigned_pull_is_red():
    assert thresholds(FILES, "seawall-security", "Pulls of unsigned images") == [None, 1]


def test_a_matrix_without_rows_still_gives_boards():
    for text in build([], CONSOLE).values():
        for _, expr in (*queries(text), *marks(text)):
            promql_parser.parse(filled(expr))


def test_searches_ask_for_mapped_fields_only():
    mapped = {name for names in (*ECS.values(), *OURS.values()) for name in names.split()}
    asked = list(searches(FILES["seawall-security.json"]))
    assert len(asked) == 9
    for title, it in asked:
        named = set(re.findall(r"([\w.]+):", it["query"])) | {group["field"] for group in it["bucketAggs"]}
        assert named <= mapped | {"@timestamp"}, title


# provisioning ------------------------------------------------------------------------------------


def provisioned() -> dict[str, Any]:
    made = KINDS["grafana-provisioning"](Config(), Options())
    return {name: yaml.safe_load(text) for name, text in made.items()}


def test_the_committed_provisioning_is_what_is_generated_now():
    folder = ROOT / "dashboards/provisioning"
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.yaml")}
    assert found == KINDS["grafana-provisioning"](Config(), Options())


def test_alerts_ask_the_provisioned_source_and_end_in_their_condition():
    made = provisioned()
    sources = {it["uid"]: it["type"] for it in made["datasources/seawall.yaml"]["datasources"]}
    (group,) = made["alerting/seawall.yaml"]["groups"]
    rules = group["rules"]
    assert {row.alert for row in ROWS} < {rule["title"] for rule in rules}
    assert len({rule["uid"] for rule in rules}) == len(rules)
    for rule in rules:
        asked, above = rule["data"]
        assert sources[asked["datasourceUid"]] == "prometheus"
        promql_parser.parse(asked["model"]["expr"])
        assert (above["datasourceUid"], above["model"]["expression"]) == ("__expr__", asked["refId"])
        assert rule["condition"] == above["refId"] and rule["noDataState"] == "NoData"
        assert len(rule["uid"]) <= LONGEST_UID


def test_the_sources_are_those_that_the_boards_choose_from():
    made = provisioned()
    types = {it["type"] for it in made["datasources/seawall.yaml"]["datasources"]}
    wanted = {
        it["query"]
        for text in FILES.values()
        for it in json.loads(text)["templating"]["list"]
        if it["type"] == "datasource"
    }
    assert wanted == {"prometheus", "elasticsearch"} < types
