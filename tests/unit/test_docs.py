"""The pages keep up with the code, both ways: what exists is documented, what is documented exists."""

import inspect
import json
import re
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import typer
import yaml
from fastapi.routing import APIRoute
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from alerts import slos
from alerts.prometheus_rules import COMMON
from collectors.formats import parse_line
from collectors.harbor_audit import parse_entry
from collectors.harbor_webhooks import parse_harbor
from collectors.notifications import parse_distribution
from collectors.trivy import parse_report
from remediation import policy
from remediation.catalogue import SHIPPED, Catalogue, Playbook, load_playbook
from seawall import config, shapes
from seawall.api.gate import AUTH, OPEN, WEBHOOKS
from seawall.app import CHOICES, build_app, build_service
from seawall.cli import app as cli
from seawall.core.actions import Action, ActionState, Approval, Preview, Risk, Run, Verification
from seawall.core.foresight import Anomaly, Forecast, Part, Sight, Verdict
from seawall.core.incidents import Incident, IncidentState, Severity
from seawall.core.ports import Score
from seawall.core.signals import PROBE_DURATION, SIGNALS, Batch, Event, Sample, labels
from seawall.core.slos import SloStatus, Status
from seawall.core.times import parse_duration
from seawall.statefolder import StateFolder
from seawall.stores.sql import SqlRecords
from seawall.telemetry import Telemetry
from tests.fakes import T

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OURS = ("seawall", "collectors", "models", "alerts", "remediation", "dashboards")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *SHIPPED.rglob("*.md")])
SOURCE = {path: path.read_text(encoding="utf-8") for one in OURS for path in (ROOT / one).rglob("*.py")}
VERBS = typer.main.get_command(cli)
RUNBOOK = ("What it means", "How to look", "What to do by hand", "What Seawall proposes")
HEADING = re.compile(r"^(#+) (.*)$", re.M)


# reading a page --------------------------------------------------------------------------------


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of the same or a higher level."""
    text = without_code(page(name))
    found = next(it for it in HEADING.finditer(text) if it[2] == heading)
    rest = text[found.end() :]
    end = next((it.start() for it in HEADING.finditer(rest) if len(it[1]) <= len(found[1])), len(rest))
    return rest[:end]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row whose first cell begins with code."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]


def table(name: str, heading: str) -> dict[str, list[str]]:
    """First name in code of each row -> the row's other cells; no name stands twice."""
    found = [(cells[0].split("`")[1], cells[1:]) for cells in rows(section(name, heading))]
    double = [key for key, count in Counter(key for key, _ in found).items() if count > 1]
    assert not double, f"{name}, {heading}: documented twice: {double}"
    return dict(found)


def same(where: str, documented: Any, existing: Any) -> None:
    documented, existing = set(documented), set(existing)
    assert not existing - documented, f"{where} does not document {sorted(existing - documented)}"
    assert not documented - existing, f"{where} documents what is not there: {sorted(documented - existing)}"


def blocks(path: Path, language: str) -> Iterator[tuple[int, str]]:
    """(line, text) of the fenced code blocks of a language."""
    text = path.read_text(encoding="utf-8")
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S):
        yield text[: found.start()].count("\n") + 2, found[1]


# configuration.md ------------------------------------------------------------------------------


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, field) of everything that the file may say."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        found = list(inner_models(field.annotation))
        if not found:
            yield key, field
        for suffix, inner in found:
            yield from keys(inner, f"{key}{suffix}.")


def inner_models(kind: Any, suffix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield suffix, kind
    origin = get_origin(kind)
    step = {tuple: "[]", Mapping: ".NAME"}.get(origin, "") if origin else ""
    for argument in get_args(kind):
        yield from inner_models(argument, suffix + step)


def default_is(told: str, field: Any) -> bool:
    """Does the cell tell the field's default? `required`, `none`, `empty`, or the value in code."""
    if field.is_required():
        return told == "required"
    value, text = field.get_default(call_default_factory=True), told.strip("`")
    if value is None or (isinstance(value, tuple | dict | str) and not value):
        return told == ("none" if value is None else "empty")
    if isinstance(value, Path):
        return text == str(value.relative_to(ROOT))
    if isinstance(value, tuple):
        return text == ", ".join(map(str, value))
    if isinstance(value, float) and re.search(r"[a-z]$", text):
        return parse_duration(text) == value
    return text == str(value)


FILES: dict[str, type[BaseModel]] = {
    "seawall.yaml": config.Config,
    "slos.yaml": slos._Matrix,
    "windows.yaml": slos._Windows,
    "policy.yaml": policy.Policy,
    "action.yaml": Playbook,
}


@pytest.mark.parametrize("file", FILES)
def test_every_key_of_every_file_is_documented_with_its_default(file):
    told, real = table("configuration.md", file), dict(keys(FILES[file]))
    same(f"configuration.md, {file}", told, real)
    wrong = [key for key, field in real.items() if not default_is(told[key][1], field)]
    assert not wrong, f"configuration.md, {file}: another default: {wrong}"


def load_example(file: str, text: str, folder: Path) -> None:
    """Through the loader that Seawall itself uses."""
    folder.mkdir(parents=True)
    path = folder / file
    path.write_text(text)
    if file == "action.yaml":
        hosts = yaml.safe_load(text)["targets"]
        play = {"name": "x", "hosts": hosts, "tasks": [{"ansible.builtin.debug": {"msg": "x"}}]}
        (folder / "playbook.yml").write_text(yaml.safe_dump([play]))
        load_playbook(path.parent)
    else:
        loaders: dict[str, Any] = {
            "seawall.yaml": config.load,
            "slos.yaml": slos.load_rows,
            "windows.yaml": slos.load_windows,
            "policy.yaml": policy.load_policy,
        }
        loaders[file](path)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_yaml_example_is_read_by_its_loader(path, tmp_path):
    """The first line of an example of ours names the file that it is for; others are just YAML."""
    for number, (line, text) in enumerate(blocks(path, "yaml")):
        file = text.splitlines()[0].removeprefix("# ")
        try:
            assert yaml.safe_load(text)
            if file in FILES:
                name = yaml.safe_load(text).get("name", "x")
                load_example(file, text, tmp_path / str(number) / name)
        except Exception as error:
            pytest.fail(f"{path.relative_to(ROOT)}:{line}: {error}")


def test_every_file_has_an_example():
    firsts = [text.splitlines()[0] for _, text in blocks(DOCS / "configuration.md", "yaml")]
    same("configuration.md's examples", {first.removeprefix("# ") for first in firsts}, FILES)


def test_every_environment_variable_is_documented():
    text = "".join(SOURCE.values()) + (ROOT / "Makefile").read_text()
    same(
        "configuration.md", table("configuration.md", "Environment"), re.findall(r"\bSEAWALL_[A-Z]+\b", text)
    )


def test_every_store_is_documented():
    real = {
        scheme: {kind for kind, s in CHOICES.items() if scheme in s} for s in CHOICES.values() for scheme in s
    }
    told = table("configuration.md", "Store URLs")
    assert {scheme: set(cells[0].split(", ")) for scheme, cells in told.items()} == {
        f"{scheme}:": kinds for scheme, kinds in real.items()
    }


# cli.md and commands ---------------------------------------------------------------------------


def test_every_verb_and_option_is_documented():
    told = set(re.findall(r"^## `seawall (\w+)", page("cli.md"), re.M))
    same("cli.md", told, VERBS.commands)


@pytest.mark.parametrize("verb", VERBS.commands)
def test_every_option_of_a_verb_is_documented(verb):
    heading = next(it[2] for it in HEADING.finditer(page("cli.md")) if it[2].startswith(f"`seawall {verb}"))
    told = {name.split()[0] for name in table("cli.md", heading)}
    real = {
        parameter.opts[0] if parameter.param_type_name == "option" else (parameter.name or "").upper()
        for parameter in VERBS.commands[verb].params
    }
    same(f"cli.md, {verb}", told, real)


def commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(where, words) of each simple command in a page's shell examples, without assignments before it."""
    for first, text in blocks(path, "sh"):
        waiting = ""
        for number, line in enumerate(text.replace("\\\n", "  ").splitlines()):
            waiting += line + "\n"
            try:
                parts = simple_commands(waiting)
            except ValueError:  # a quotation goes on in the next line
                continue
            yield from ((f"{path.relative_to(ROOT)}:{first + number}", words) for words in parts if words)
            waiting = ""
        assert not waiting, f"{path.relative_to(ROOT)}:{first}: a quotation has no end"


def simple_commands(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.wordchars += ":,@%+{}$"
    parts: list[list[str]] = [[]]
    for token in lexer:
        if set(token) <= set(";&|()<>"):
            parts.append([])
        elif parts[-1] or "=" not in token:
            parts[-1].append(token)
    return parts


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_of_ours_in_an_example_is_one(path):
    makefile = (ROOT / "Makefile").read_text()
    for where, words in commands(path):
        program, arguments = words[0].rpartition("/")[2], words[1:]
        if program == "seawall" and arguments[0] not in ("--help", "--version"):
            assert arguments[0] in VERBS.commands, where
            try:
                VERBS.commands[arguments[0]].make_context(arguments[0], arguments[1:])
            except typer.TyperException as error:
                pytest.fail(f"{where}: {error}")
        if program == "make":
            for target in (word for word in arguments if "=" not in word and not word.startswith("-")):
                assert re.search(rf"^{target}:", makefile, re.M), where


def test_every_target_of_the_makefile_is_documented():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    told = {name.removeprefix("make ") for name in table("../CONTRIBUTING.md", "Make targets")}
    same("CONTRIBUTING.md", told, targets)


def test_every_marker_is_documented():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    same("testing.md", table("testing.md", "Markers"), {it.partition(":")[0] for it in settings["markers"]})


# api.md ----------------------------------------------------------------------------------------


def asked_role(route: APIRoute) -> str:
    if route.path.startswith(WEBHOOKS):
        return "its own token"
    if route.path in OPEN or route.path.startswith(AUTH):
        return "anybody"
    calls = [found.call for part in route.dependant.dependencies for found in (part, *part.dependencies)]
    return next(
        role
        for call in calls
        if inspect.isfunction(call) and (role := inspect.getclosurevars(call).nonlocals.get("role"))
    )


def test_every_route_is_documented_with_the_role_that_it_needs(tmp_path):
    stores = config.Stores(samples="memory:", events="memory:", records="memory:")
    service, opened = build_service(config.Config(stores=stores), StateFolder(tmp_path / "state"))
    app = build_app(service)
    spec = app.openapi()["paths"]
    told = table("api.md", "Routes")
    same("api.md", told, {f"{verb.upper()} {path}" for path, verbs in spec.items() for verb in verbs})
    for route in all_routes(app.routes):
        for verb in route.methods if route.include_in_schema else ():
            assert told[f"{verb} {route.path_format}"][0] == asked_role(route), f"{verb} {route.path}"
    opened.records.close()


def all_routes(found: Any) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from all_routes(getattr(getattr(route, "original_router", None), "routes", ()))


SLO = SloStatus(
    "availability", "main", Status.OK, True, 0.0, "s", 300.0, (T, T + 60), 1, 1.0, 0.0, None, "", T
)  # fmt: skip
INCIDENT = Incident("inc-1", IncidentState.OPEN, Severity.PAGE, "main", "availability", "t", "e", T)
PREVIEW = Preview("d", "diff", 1, (), "manual", T)
APPROVED = Action(
    "act-1", "inc-1", "restart-registry", "main", ActionState.APPROVED, Risk.LOW, "seawall", {}, T,
    preview=PREVIEW, approvals=(Approval("ada", T + 9, T + 99, "d"),), run=Run("1-run", T),
    verification=Verification("availability", T), version=1,
)  # fmt: skip


SCORE = Score(1.0, 0.5, 1.5, 0.1, "", "seasonal")
LOSSES = {"lstm": 1.0, "seasonal": 2.0, "running_mean": 3.0}
BOUNDS = {"seasonal": -0.5, "running_mean": -1.0}
VERDICT = Verdict("main x", T, "lstm-1", True, "", 1000, T, LOSSES, BOUNDS, 0, 1)
ANOMALY = Anomaly("main", "x", "seasonal", T, T, None, 3.0, 1.0, 0.5, 1.5, 0.9, parts=(Part("y", 0.8),))
FORECAST = Forecast("availability", "main", T, 3600.0, 0.1, "budget", "")


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Dotted paths of a JSON value's leaves."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        yield from paths(value[0], f"{prefix}[]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix


@pytest.mark.parametrize(
    ("heading", "shape"),
    [
        ("A row of the matrix", shapes.slo(SLO)),
        ("An incident", shapes.incident(INCIDENT)),
        ("An action", shapes.action(APPROVED)),
        ("A signal", shapes.signal("main", "x", (T, 1.0, SCORE), SCORE, VERDICT)),
        ("An anomaly", shapes.anomaly(ANOMALY)),
        ("A forecast", shapes.forecast(FORECAST)),
    ],
)
def test_every_field_of_an_answer_is_documented(heading, shape):
    same(f"api.md, {heading}", table("api.md", heading), paths(shape))


# signals.md ------------------------------------------------------------------------------------


class Followed:
    """What Telemetry reads of a collector."""

    name, registry, interval, timeout = "logs", "main", 5.0, 5.0
    lines: Mapping[str, int] = {"distribution.access": 1}
    broken = 1
    site, digests, pulls, waiting = "local", Counter(verified=1), {"unsigned": 1}, 1

    async def collect(self, now: float) -> Batch:
        return Batch()

    async def stored(self) -> None:
        return None


MANIFEST_GET = {
    "event.duration": 1e6,
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "registry.operation": "manifest",
}


def exposed() -> Iterator[tuple[str, str, set[str]]]:
    """(name, type, labels) of /metrics once everything has been observed."""
    records = SqlRecords("memory:")
    telemetry = Telemetry(records)
    telemetry.queues["webhooks"] = lambda: 1
    series = [item for signal in SIGNALS.values() for item in signal.series().items()]
    pairs = [{label: "+Inf" if label == "le" else "x" for label in names} for _, names in series]
    samples = [Sample("main", n, T, 1.0, labels(**p)) for (n, _), p in zip(series, pairs, strict=True)]
    samples.append(Sample("main", PROBE_DURATION, T, 1.0, labels(site="x", phase="x")))
    events = [Event("1", T, "main", MANIFEST_GET)]
    telemetry.kept(Followed(), Batch(samples, events), 1, 0.1)
    telemetry.judged([SLO], 0.1)
    telemetry.scored("main", {"x": Score(1.0, 0.5, 1.5, 0.1, "")}, {"x": 1.0}, T)
    telemetry.foreseen("main", Sight({"x": SCORE}, {"x": SCORE}, [FORECAST], [ANOMALY]))
    telemetry.action(APPROVED)
    telemetry.action(
        replace(
            APPROVED,
            state=ActionState.VERIFYING,
            run=Run("1-run", T, outcome="successful"),
            history=((T, "seawall", "running: run 1-run"), (T, "seawall", "verifying: it ended")),
        )
    )
    telemetry.count_incidents()
    text = generate_latest(telemetry.registry).decode()
    records.close()
    for family in text_string_to_metric_families(text):
        if not family.name.endswith("_created"):
            name = family.name + ("_total" if family.type == "counter" else "")
            assert family.samples, name
            yield name, family.type, {label for it in family.samples for label in it.labels} - {"le"}


def test_every_metric_is_documented_with_type_and_labels():
    told = table("signals.md", "On /metrics")
    real = {name: (kind, found) for name, kind, found in exposed()}
    same("signals.md", told, real)
    for name, (kind, found) in real.items():
        assert (told[name][0], set(re.findall(r"`(\w+)`", told[name][1]))) == (kind, found), name


def test_every_row_of_the_matrix_is_documented():
    told = table("signals.md", "The SLO matrix")
    real = {row.name: [row.alert, row.signal] for row in slos.load_rows()}
    same("signals.md", told, real)
    assert {name: [cell.strip("`") for cell in cells[:2]] for name, cells in told.items()} == real


def golden_events(golden: Path) -> Iterator[Event]:
    """What the JSON samples of notifications, webhooks, audit entries and reports become."""
    for path in golden.rglob("*notification.json"):
        yield from parse_distribution(path.read_bytes(), "main")
    for form in json.loads((golden / "reconstructed/harbor-webhooks.json").read_text()).values():
        for delivery in form:
            yield from parse_harbor(json.dumps(delivery).encode(), "main")
    for api, entries in json.loads((golden / "reconstructed/harbor-audit.json").read_text()).items():
        yield from (event for entry in entries if (event := parse_entry(entry, "main", api)))
    report = golden / "reconstructed/trivy-report.json"
    yield parse_report(report.read_bytes(), report.name, T).event("main")


def test_every_event_field_is_documented():
    golden = ROOT / "tests" / "golden"
    found = {"@timestamp", "event.id", "registry.name"}
    for path in [*golden.rglob("*.log"), *golden.rglob("*.jsonl")]:
        found |= {key for line in path.read_text().splitlines() for key in parse_line(line) or {}}
    found |= {key for event in golden_events(golden) for key in event.fields}
    told = table("signals.md", "Event fields")
    assert not found - set(told), f"signals.md does not document {sorted(found - set(told))}"
    text = "".join(SOURCE.values())
    assert not [key for key in told if f'"{key}"' not in text]


# playbooks, runbooks, names, links ----------------------------------------------------------------


def test_every_playbook_is_documented():
    catalogue, broken = Catalogue.load([SHIPPED])
    assert not broken
    told = {
        name: [it.strip("`") for it in cells[:2]] for name, cells in table("playbooks.md", "Shipped").items()
    }
    assert told == {it.name: [it.trigger.slo, it.risk.value] for it in catalogue}


def test_every_state_of_an_action_is_documented():
    same("playbooks.md", table("playbooks.md", "States"), {state.value for state in ActionState})


def test_every_alert_has_its_runbook():
    rows_, (catalogue, _) = slos.load_rows(), Catalogue.load([SHIPPED])
    same(
        "docs/runbooks",
        {path.stem for path in (DOCS / "runbooks").glob("*.md")},
        {row.alert for row in rows_} | set(COMMON),
    )
    for name in COMMON:
        text = without_code(page(f"runbooks/{name}.md"))
        assert [it[2] for it in HEADING.finditer(text) if it[1] == "##"] == list(RUNBOOK), name
    for row in rows_:
        text = page(f"runbooks/{row.alert}.md")
        assert [it[2] for it in HEADING.finditer(without_code(text)) if it[1] == "##"] == list(RUNBOOK), (
            row.alert
        )
        offered = {it.name for it in catalogue if it.trigger.slo == row.name}
        named = {it.name for it in catalogue if f"`{it.name}`" in text}
        assert offered == named, f"{row.alert} names {named}, but {offered} answer {row.name}"


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_names_a_metric_or_alert_that_is_not_there(path):
    text = path.read_text(encoding="utf-8")
    alerts = {row.alert for row in slos.load_rows()} | set(COMMON)
    classes = set(re.findall(r"^class (\w+)", "".join(SOURCE.values()), re.M))
    assert not set(re.findall(r"\bSeawall[A-Z]\w+", text)) - alerts - classes
    known = "".join(SOURCE.values()) + " ".join(name for name, _, _ in exposed())
    names = {name.removesuffix("_bucket") for name in re.findall(r"\bseawall_[a-z_]+[a-z]", text)}
    assert not {name for name in names if name not in known}


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = [it[2] for it in HEADING.finditer(without_code(path.read_text(encoding="utf-8")))]
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path):
    text = without_code(path.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), f"{path.relative_to(ROOT)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.relative_to(ROOT)}: {link}"


def test_every_page_is_reached_from_the_index():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for path in DOCS.rglob("*.md"):
        if path.name != "index.md" and path.parent.name != "adr":
            assert f"({path.relative_to(DOCS)})" in index, path
