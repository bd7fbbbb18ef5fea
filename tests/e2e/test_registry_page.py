"""The page of one registry tells what stores count: failing repositories, slowest pulls, unsigned pulls."""

import re
from dataclasses import replace

import pytest

from seawall.core.slos import Status
from tests.contract.test_unsigned_stores import verdict
from tests.e2e.console_stand import HARBOUR
from tests.e2e.test_console_pages import client, seawall, turn

__all__ = ["seawall"]  # the fixture
pytestmark = pytest.mark.e2e


def section(page: str, name: str) -> str:
    """The text of a section, without its markup."""
    found = re.search(rf'id="{name}" data-live>(.*?)</section>', page, re.S)
    assert found, page
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[1]))


def test_a_calm_registry_has_slow_pulls_and_neither_errors_nor_unsigned_ones(seawall):
    turn(seawall.live(2))
    seawall.clock.move(1.0)
    page = client(seawall, "viewer").get(f"/registries/{HARBOUR}").text
    assert "No request failed in the last hour." in section(page, "failing")
    assert "Not known: no trust configured." in section(page, "unsigned")
    slow = section(page, "slow")
    took = [float(it) for it in re.findall(r"(\d+) ms", slow)]
    assert len(took) == 5 and took == sorted(took, reverse=True)
    assert "team/app-" in slow and "10.0.0." in slow
    assert "Of 18 requests of the last hour." in section(page, "top")


def test_a_registry_whose_log_told_nothing_is_not_called_well(seawall):
    page = client(seawall, "viewer").get(f"/registries/{HARBOUR}").text
    assert "Not known: no request of a client was told in the last hour." in section(page, "failing")
    assert "0 %" not in section(page, "golden")


def test_a_judged_row_without_unsigned_pulls_says_so(seawall):
    turn(seawall.live(2))
    status = next(it for it in seawall.service.statuses(HARBOUR) if it.name == "unsigned_pulls")
    known = replace(status, status=Status.OK, value=0.0)
    seawall.service.cycle.statuses[HARBOUR] = [known]
    page = client(seawall, "viewer").get(f"/registries/{HARBOUR}").text
    assert "None was found in 24 h." in section(page, "unsigned")


def test_failures_and_unsigned_pulls_are_told_by_whom_they_concern(seawall):
    turn(seawall.sink())
    seawall.clock.move(1.0)
    now = seawall.clock.now()
    pulls = [verdict(f"p{n}", "unsigned", now - 60 - n, client__ip="10.0.0.9") for n in range(3)]
    seawall.service.events.append([replace(it, registry=HARBOUR) for it in pulls], {})
    page = client(seawall, "viewer").get(f"/registries/{HARBOUR}").text
    for number in range(3):
        assert f"team/app-{number} : 9 answers of 5xx in the last hour" in section(page, "failing")
    assert "10.0.0.9: 3 in 24 h" in section(page, "unsigned")
    assert f'href="/logs?registry={HARBOUR}&amp;q=team/app-0&amp;failed=1"' in page
