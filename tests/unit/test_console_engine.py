"""What the engine writes, in Chinese: real texts of a running cycle, every form, and what stays as it is."""

import asyncio
import re

import pytest

from alerts.evaluate import _told
from alerts.latency import _raw
from alerts.minutes import Minutes
from alerts.slos import load_rows, load_windows
from seawall.console import words
from seawall.console.engine import engine, forms
from seawall.core.incidents import Finding
from seawall.core.stages import Indicator
from tests.e2e.console_stand import HARBOUR, STEP, Tide, build
from tests.fakes import FakeClock, FakeRunner, T

CHINESE = re.compile(r"[一-鿿]")


@pytest.fixture
def chinese():
    token = words.LOOK.set(words.Look("zh"))
    yield
    words.LOOK.reset(token)


@pytest.fixture
def service(tmp_path):
    clock = FakeClock(T)
    found = build(tmp_path, clock, FakeRunner(clock), Tide())
    yield found
    found.records.close()


async def live(service, tide, rounds):
    for _ in range(rounds):
        service.clock.move(STEP)
        await service.cycle.collect(tide)
        service.cycle.turn([HARBOUR])


def parts(text):
    return text.split("；")


def test_titles_and_reasons_of_a_running_cycle_are_chinese(service, chinese):
    tide = service.cycle.collectors[0]
    seen = []
    for up, rounds in ((True, 30), (False, 4)):
        tide.up = up
        asyncio.run(live(service, tide, rounds))
        seen += [status.reason for status in service.statuses(HARBOUR)]
    seen += [it.title for it in service.records.incidents()[0]]
    assert len(seen) == 9
    english = [text for text in seen for part in parts(engine(text)) if not CHINESE.search(part)]
    assert english == []


def test_every_shipped_row_has_a_chinese_title(chinese):
    for row in load_rows():
        assert CHINESE.search(engine(row.title)), row.title
        for more in ("", " is at risk", ", the month's budget is spent"):
            told = engine(f"main: {row.title}{more}")
            assert told.startswith("main：") and not re.search(r"risk|budget", told)


def test_the_parts_of_a_budget_and_of_a_quantile_are_all_known(chinese):
    minutes = Minutes(watched=10, bad=(T,), excluded=5)
    told = _told(minutes, 300.0, Indicator(True, "probes succeed"), load_windows()[0], 3600.0, 120.0)
    assert len(told) == 6 and all(CHINESE.search(engine(part)) for part in told)
    row = next(it for it in load_rows() if it.name == "pull_latency")
    for count in (5, 5000):
        assert "请求" in engine(_raw(row, count, 0.2, 3600.0).reason)


def test_what_is_not_the_engines_stays_as_it_is_and_is_escaped_by_the_page(chinese):
    for text in (
        "main: a title of our own",
        "{registry}: {0}",
        "",
        "<b>x</b>; y",
        "P99 of nothing over there",
    ):
        assert engine(text) == text
    finding = Finding("x", "f", "main", None, "t", "probes succeed; <script>", T)
    assert engine(finding.reason) == "探测成功；<script>"


def test_a_text_without_end_costs_nothing(chinese):
    long = "P99 " + "x over " * 50_000
    assert engine(long) == long


def test_in_english_nothing_changes():
    assert engine("probes succeed; the next one decides") == "probes succeed; the next one decides"


def test_a_form_keeps_its_places():
    for english, told in forms("zh").items():
        places = [sorted(re.findall(r"\{\w+\}", text)) for text in (english, told)]
        assert places[0] == places[1] and re.search("[一-鿿，：]", told), english
