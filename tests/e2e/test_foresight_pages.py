"""What the models say, as API and console show it: signals, anomalies, forecasts, the incident's page."""

import secrets

import httpx
import pytest

from seawall.core.foresight import Verdict
from seawall.core.times import parse_time
from tests.e2e.console_stand import HARBOUR, stand
from tests.e2e.test_console_pages import client, turn

pytestmark = pytest.mark.e2e
PROBE = "seawall_probe_duration_seconds{site=local}"


@pytest.fixture
def seawall(tmp_path):
    with stand(tmp_path) as found:
        yield found


def api(seawall):
    """The API with a viewer's token."""
    token = seawall.token(f"reader-{secrets.token_hex(4)}", "viewer")
    found = httpx.Client(base_url=f"{seawall.url}/api/v1", headers={"Authorization": f"Bearer {token}"})
    return seawall.leaving.enter_context(found)


def verdict(signal, passed=True):
    losses = {"lstm": 1.0, "seasonal": 2.0, "running_mean": 3.0}
    bounds = {"seasonal": -0.5, "running_mean": -1.0}
    reason = "mean pinball loss 1 against seasonal 2 and running mean 3, surely lower"
    return Verdict(f"{HARBOUR} {signal}", 1.8e9, "lstm-1", passed, reason, 1000, 1.8e9, losses, bounds, 0, 1)


def test_each_signal_tells_who_serves_it_and_why(seawall):
    seawall.service.watch.adopt([verdict(PROBE)])
    turn(seawall.live(70))
    items = {it["signal"]: it for it in api(seawall).get("/signals").json()["items"]}
    assert items[PROBE]["model"] == "lstm" and items[PROBE]["shadow"] is None
    assert items[PROBE]["gate"]["losses"] == {"lstm": 1.0, "seasonal": 2.0, "running_mean": 3.0}
    other = items["slo:pull_latency"]
    assert (other["model"], other["shadow"]["model"], other["gate"]) == ("seasonal", "lstm", None)
    assert other["lower"] <= other["expected"] <= other["upper"]
    assert api(seawall).get("/signals", params={"registry": "elsewhere"}).json()["items"] == []


def test_an_anomaly_is_a_record_and_stands_on_the_page_of_its_incident(seawall):
    turn(seawall.live(120))
    seawall.tide.rounds += 5000  # the disk is suddenly half full again
    incident, _ = turn(seawall.sink())
    found = api(seawall).get("/anomalies").json()
    volume = next(it for it in found["items"] if "volume" in it["signal"])
    assert volume["until"] is None and volume["observed"] > 0.7 > volume["upper"]
    assert parse_time(volume["since"]) <= incident.opened_at
    assert volume["promise"] == "breached"
    page = client(seawall, "viewer").get(f"/incidents/{incident.id}")
    assert "What the models found unusual" in page.text
    assert "Storage used (volume /srv) is unusual since" in page.text


def test_anomalies_come_in_pages(seawall):
    turn(seawall.live(120))
    seawall.tide.rounds += 5000
    turn(seawall.live(2))
    whole = api(seawall).get("/anomalies").json()["items"]
    assert len(whole) >= 2
    first = api(seawall).get("/anomalies", params={"limit": 1}).json()
    rest = api(seawall).get("/anomalies", params={"cursor": first["next"]}).json()
    assert first["items"] + rest["items"] == whole and rest["next"] is None
    wrong = api(seawall).get("/anomalies", params={"cursor": "x"})
    assert wrong.status_code == 400 and "cursor" in wrong.json()["detail"]


def test_forecasts_are_in_the_api_the_matrix_and_the_metrics(seawall):
    turn(seawall.live(130))
    items = {it["slo"]: it for it in api(seawall).get("/forecasts").json()["items"]}
    disk = items["storage_capacity"]
    assert disk["horizon"] == 86400 and 0 <= disk["probability"] <= 1
    rows = {row["name"]: row for row in api(seawall).get("/slos").json()["items"]}
    assert rows["storage_capacity"]["breach_probability"] == disk["probability"]
    assert rows["unsigned_pulls"]["breach_probability"] is None
    text = httpx.get(f"{seawall.url}/metrics").text
    assert f'seawall_forecast_breach_probability{{registry="{HARBOUR}",slo="availability"}}' in text


def test_the_overview_says_why_the_lstm_serves_or_does_not(seawall):
    seawall.service.watch.adopt([verdict("slo:pull_latency"), verdict(PROBE, passed=False)])
    turn(seawall.live(30))
    page = client(seawall, "viewer").get("/").text
    assert "Band: LSTM (mean pinball loss 1 against seasonal 2" in page
    assert "seasonal baseline; LSTM in shadow (mean pinball" in page
