"""Metrics pages of zot, Quay and Nexus 3, as far as they say what Seawall asks: requests by status code.

What they cannot say, and why, stands in docs/collectors.md. None of them has run here: the names are those of
their sources and of dashboards that people use.
"""

from collectors.rules import Rule
from seawall.core.signals import REQUESTS

_JETTY = (
    "org_eclipse_jetty_webapp_WebAppContext",
    "org_eclipse_jetty_ee8_nested_ContextHandler_CoreContextHandler",
)
RULES = {
    "zot": (Rule("zot_http_requests_total", REQUESTS, keep={"code": "code"}, fixed={"handler": "all"}),),
    # The namespace is a label of this histogram; its count, summed over namespaces, is the requests.
    "quay": (
        Rule("quay_request_duration_seconds_count", REQUESTS, keep={"handler": "route", "code": "status"}),
    ),
    "nexus": tuple(
        Rule(f"{jetty}_{code}_responses_total", REQUESTS, fixed={"handler": "all", "code": code})
        for jetty in _JETTY
        for code in ("1xx", "2xx", "3xx", "4xx", "5xx")
    ),
}
REMEDIES = {
    "zot": "enable extensions.metrics, and give its URL as metrics_url",
    "quay": "open its metrics port (9091), and give its URL as metrics_url",
    "nexus": "give /service/metrics/prometheus as metrics_url, and an account with nexus:metrics:read",
}
