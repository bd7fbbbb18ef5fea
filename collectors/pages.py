"""Pages of Prometheus metrics: fetched with a limit, the wanted series' lines picked, then parsed.

The text format is https://prometheus.io/docs/instrumenting/exposition_formats/. The parser of
prometheus-client takes about 20 µs a line, so that only lines that are wanted are given to it. A page in
OpenMetrics form differs, for a plain series, in the exemplar at the end of a line and in `# EOF`.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

from collectors.exchange import USER_AGENT, reason_of, tls_context
from seawall.core.errors import InputError, SeawallError

MAX_PAGE = 32 << 20  # bytes, unpacked
_SHOWN, _TOLD = 120, 5  # characters of a broken line that are told, and how many such lines
_METRIC_LINE = re.compile(r"^[a-zA-Z_:][\w:]*(?:\{.*\})? [-+]?(?:\d|\.\d|NaN|Inf)", re.MULTILINE)
_EXEMPLAR = re.compile(r" # \{[^{}]*\} \S+(?: \S+)?$")


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a page: the series' labels and its value, which may be NaN or infinite."""

    labels: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Page:
    """The wanted series by name. `spoiled` names the series of which a line is broken: what is left of them
    is not the whole. `findings` tells of the first broken lines; `broken` counts them all."""

    place: str
    series: dict[str, list[Series]] = field(default_factory=dict)
    spoiled: set[str] = field(default_factory=set)
    findings: list[InputError] = field(default_factory=list)
    broken: int = 0

    def of(self, name: str) -> list[Series]:
        """The lines of one name; empty if the page has none, or one of them is broken."""
        return [] if name in self.spoiled else self.series.get(name, [])


@dataclass(frozen=True, slots=True)
class Target:
    """Where a page is: `remedy` says what to do when it cannot be had; `timeout` is in seconds; `login` asks
    for user name and password at use, of a page that wants them."""

    url: str
    remedy: str
    ca_file: str | None = None
    timeout: float = 5.0
    login: Callable[[], tuple[str, str]] | None = field(default=None, repr=False)


async def fetch(target: Target, accept: str = "text/plain;version=0.0.4,*/*;q=0.1") -> str:
    """The page's text (gzip is unpacked). SeawallError if it cannot be had, InputError if it is not answered
    with 200 or is larger than `MAX_PAGE` bytes."""
    headers = {"user-agent": USER_AGENT, "accept": accept}
    try:
        async with (
            httpx.AsyncClient(
                verify=tls_context(target.ca_file),
                auth=target.login() if target.login else None,
                trust_env=False,
                timeout=target.timeout,
                headers=headers,
            ) as client,
            client.stream("GET", target.url) as response,
        ):
            return await _body(response, target)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SeawallError(f"{target.url}: {reason_of(error)}; {target.remedy}") from error


async def _body(response: httpx.Response, target: Target) -> str:
    if response.status_code != 200:
        raise InputError(target.url, f"answered {response.status_code}", target.remedy)
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_PAGE:
            raise InputError(target.url, f"a page of more than {MAX_PAGE} bytes", target.remedy)
    return body.decode("utf-8", "replace")


def read_page(text: str, wanted: Collection[str], target: Target) -> Page:
    """The series named in `wanted` (`x_total`, `x_bucket`, ...).

    A broken line spoils its own series and no other; a series that stands twice counts once, by its first
    line, as Prometheus has it. InputError if `text` is no page of metrics at all.
    """
    page, seen = Page(target.url), set[tuple[str, frozenset[tuple[str, str]]]]()
    for number, line, ended in _lines(text, wanted):
        name = _name(line)
        try:
            found = _parsed(line) if ended else None
        except (ValueError, OverflowError):
            found = None
        if found is None:
            _spoil(page, number, line, name, "cut off" if not ended else "broken")
            continue
        key = name, frozenset(found.labels.items())
        if key in seen:
            _spoil(page, number, line, None, "a second")
        else:
            page.series.setdefault(name, []).append(found)
        seen.add(key)
    if not page.series and not page.broken and not _METRIC_LINE.search(text):
        raise InputError(target.url, "no page of Prometheus metrics", target.remedy)
    return page


def _lines(text: str, wanted: Collection[str]) -> Iterator[tuple[int, str, bool]]:
    """(number, line, did it end) of the wanted lines. The last line of a whole page ends with a newline."""
    prefixes, lines = tuple(wanted), text.split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith(prefixes) and _name(line) in wanted:
            yield number, line, number < len(lines)


def _name(line: str) -> str:
    return line.partition("{")[0].partition(" ")[0].partition("\t")[0]


def _parsed(line: str) -> Series:
    if " # {" in line:
        line = _EXEMPLAR.sub("", line)
    family = next(iter(text_string_to_metric_families(line)))
    sample = family.samples[0]
    return Series(sample.labels, float(sample.value))


def _spoil(page: Page, number: int, line: str, name: str | None, what: str) -> None:
    page.broken += 1
    if name is not None:
        page.spoiled.add(name)
    if len(page.findings) < _TOLD:
        remedy = f"{name} is unknown until that line is mended" if name else "the first of the two counts"
        finding = f"{what} line {line[:_SHOWN]!r}"
        page.findings.append(InputError(f"{page.place}, line {number}", finding, remedy))
