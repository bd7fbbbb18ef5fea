"""Metrics pages: picked, parsed, and what is broken spoils nothing beside it."""

import gzip
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.pages import MAX_PAGE, Target, fetch, read_page
from collectors.rules import MetricsPage, Rule
from seawall.core.errors import InputError, SeawallError
from seawall.core.signals import REQUESTS, labels
from tests.scripted import serving

HERE = Target("http://here/metrics", "mend it")
GOOD = 'wanted_total{a="x"} 1\nother_total 7\nsecond_total 3\n'


def values(text, *names):
    page = read_page(text, names, HERE)
    return {name: [one.value for one in page.of(name)] for name in names}, page


def test_only_the_wanted_names_are_read():
    text = 'wanted_total{a="x"} 1\nwanted_total_more 5\nwanted 6\n# wanted_total 9\n'
    assert values(text, "wanted_total")[0] == {"wanted_total": [1]}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("wanted_total 5", 5),
        ("wanted_total\t5", 5),
        ("wanted_total 5 1700000000000", 5),
        ('wanted_total{a="}{ ,\\"\\\\\\n"} +5.0e0', 5),
        ('wanted_total{a="x"} 5 # {trace_id="abc"} 0.5 1700000000.1', 5),
        ("wanted_total{} 5 # {} 0.5", 5),
        ("wanted_total +Inf", math.inf),
    ],
)
def test_the_forms_of_a_line(line, value):
    found, page = values(f"{line}\n", "wanted_total")
    assert found == {"wanted_total": [value]} and page.findings == []


def test_a_family_that_stands_in_two_places_is_one():
    text = 'wanted_total{a="x"} 1\nother 1\nwanted_total{a="y"} 2\n'
    assert values(text, "wanted_total")[0] == {"wanted_total": [1, 2]}


def test_a_series_that_stands_twice_counts_once_and_is_told():
    found, page = values('wanted_total{a="x",b="y"} 1\nwanted_total{b="y",a="x"} 2\n', "wanted_total")
    assert found == {"wanted_total": [1]}
    assert str(page.findings[0]).startswith("http://here/metrics, line 2: a second line 'wanted_total")


@pytest.mark.parametrize(
    "line", ['wanted_total{a="x" 1', "wanted_total", "wanted_total ", "wanted_total x", "wanted_total{a=x} 1"]
)
def test_a_broken_line_spoils_its_own_series_and_no_other(line):
    found, page = values(f'second_total 3\nwanted_total{{a="y"}} 4\n{line}\n', "wanted_total", "second_total")
    assert found == {"wanted_total": [], "second_total": [3]}
    assert page.broken == 1
    assert str(page.findings[0]) == (
        f"http://here/metrics, line 3: broken line {line!r}; "
        "wanted_total is unknown until that line is mended"
    )


def test_a_page_that_ends_within_a_line_is_cut_off_there():
    found, page = values("second_total 3\nwanted_total 12", "wanted_total", "second_total")
    assert found == {"wanted_total": [], "second_total": [3]} and "cut off" in str(page.findings[0])


def test_a_thousand_broken_lines_are_counted_and_five_told():
    _, page = values("wanted_total x\n" * 1000, "wanted_total")
    assert page.broken == 1000 and len(page.findings) == 5


def test_openmetrics_is_read_too():
    text = (
        '# TYPE wanted counter\n# UNIT wanted bytes\nwanted_total{a="x"} 4 1700000000.5 # {id="1"} 1.0\n'
        'wanted_created{a="x"} 1700000000.5\n# EOF\n'
    )
    assert values(text, "wanted_total")[0] == {"wanted_total": [4]}


@pytest.mark.parametrize("text", ["", "\n", "<html>hello</html>", "{}", "# EOF\n", "wanted_nothing\n"])
def test_what_is_no_page_of_metrics_is_told(text):
    with pytest.raises(InputError, match="no page of Prometheus metrics; mend it"):
        read_page(text, ("wanted_total",), HERE)


async def test_a_packed_page_is_unpacked():
    headers = {"content-encoding": "gzip"}
    async with serving(lambda request: (200, headers, gzip.compress(GOOD.encode()))) as server:
        assert await fetch(Target(server.url, "")) == GOOD


async def test_a_packed_page_that_bursts_is_left():
    bomb = gzip.compress(b"a" * (MAX_PAGE + 1))
    async with serving(lambda request: (200, {"content-encoding": "gzip"}, bomb)) as server:
        with pytest.raises(InputError, match=f"a page of more than {MAX_PAGE} bytes"):
            await fetch(Target(server.url, "mend it"))


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        ((200, {"content-length": "99", "connection": "close"}, b"half"), "mend it"),
        ((200, {"content-encoding": "gzip"}, b"no gzip"), "mend it"),
        ((302, {"location": "/elsewhere"}, b""), "answered 302; mend it"),
        ((401, {}, b""), "answered 401; mend it"),
    ],
)
async def test_what_cannot_be_had_is_told_with_the_remedy(answer, finding):
    async with serving(lambda request: answer) as server:
        with pytest.raises(SeawallError, match=finding):
            await fetch(Target(server.url, "mend it"))


async def test_the_password_is_sent_where_one_is_configured():
    async with serving(lambda request: (200, {}, GOOD.encode())) as server:
        await fetch(Target(server.url, "", login=lambda: ("ada", "secret")))
        await fetch(Target(server.url, ""))
    assert [it.headers.get("authorization") for it in server.requests] == ["Basic YWRhOnNlY3JldA==", None]


async def test_sums_that_are_not_finite_are_unknown():
    text = 'w_total{code="200",m="a"} 1\nw_total{code="200",m="b"} NaN\nw_total{code="404",m="a"} 2\n'
    async with serving(lambda request: (200, {}, text.encode())) as server:
        page = MetricsPage("reg", Target(server.url, ""), [Rule("w_total", REQUESTS, keep={"code": "code"})])
        batch = await page.collect(1.0)
    assert {sample.labels: sample.value for sample in batch.samples} == {labels(code="404"): 2}


LINES = st.one_of(
    st.sampled_from(GOOD.splitlines()),
    st.text(max_size=60),
    st.text(alphabet='wanted_total{}=",\\ 0123.eNaInf#-', max_size=40),
    st.builds(lambda tail: "wanted_total" + tail, st.text(max_size=40)),
)


@given(st.lists(LINES, max_size=30))
def test_nothing_crashes_and_no_neighbour_is_lost(lines):
    text = "\n".join([*lines, "second_total 3", ""]).replace("\r", " ")
    page = read_page(text, ("wanted_total", "neighbour_total", "second_total"), HERE)
    if not any(line.startswith("second_total") for line in "\n".join(lines).split("\n")):
        assert [one.value for one in page.of("second_total")] == [3]
    assert page.of("neighbour_total") == []
    assert len(page.findings) <= 5
