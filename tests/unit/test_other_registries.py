"""Requests of zot, Quay and Nexus, from lines with the names of their sources."""

import pytest

from collectors.other_registries import RULES
from collectors.pages import Target, read_page
from collectors.rules import apply_rules
from seawall.core.signals import REQUESTS, labels

PAGES = {
    "zot": (
        'zot_http_requests_total{code="200",method="GET"} 5\n'
        'zot_http_requests_total{code="200",method="HEAD"} 2\n'
        'zot_http_requests_total{code="500",method="GET"} 1\nzot_repo_downloads_total{repo="a"} 9\n',
        {labels(handler="all", code="200"): 7, labels(handler="all", code="500"): 1},
    ),
    "quay": (
        "".join(
            f'quay_request_duration_seconds_count{{method="GET",namespace_name="{namespace}",'
            f'route="v2.fetch_manifest_by_tag",status="200"}} {count}\n'
            for namespace, count in (("a", 3), ("b", 4))
        ),
        {labels(handler="v2.fetch_manifest_by_tag", code="200"): 7},
    ),
    "nexus": (
        "org_eclipse_jetty_webapp_WebAppContext_2xx_responses_total 8.0\n"
        "org_eclipse_jetty_webapp_WebAppContext_5xx_responses_total 1.0\n",
        {labels(handler="all", code="2xx"): 8, labels(handler="all", code="5xx"): 1},
    ),
    "nexus, newer Jetty": (
        "org_eclipse_jetty_ee8_nested_ContextHandler_CoreContextHandler_2xx_responses_total 8.0\n",
        {labels(handler="all", code="2xx"): 8},
    ),
}


@pytest.mark.parametrize("kind", PAGES)
def test_requests_are_counted_by_code(kind):
    (text, expected), rules = PAGES[kind], RULES[kind.partition(",")[0]]
    page = read_page(text, {rule.source for rule in rules}, Target("here", "mend it"))
    samples = apply_rules(rules, page, "reg", 1.0)
    assert {sample.labels: sample.value for sample in samples} == expected
    assert {sample.signal for sample in samples} == {REQUESTS}
