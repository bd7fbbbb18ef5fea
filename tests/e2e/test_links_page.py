"""A notification's signed link against a running Seawall: login first, then the decision, once."""

import httpx
import pytest

from seawall.core.actions import ActionState
from seawall.identity.confirm import Proof
from seawall.identity.signed_links import SignedLinks
from tests.e2e.console_stand import stand
from tests.e2e.test_console_pages import HTML, client, turn

pytestmark = pytest.mark.e2e


@pytest.fixture
def seawall(tmp_path):
    with stand(tmp_path) as found:
        found.service.links = SignedLinks(b"k" * 32, found.service.records, found.clock, found.url)
        yield found


def test_a_link_asks_for_a_login_opens_the_decision_once_and_approves_nothing(seawall):
    _, action = turn(seawall.sink())
    url = seawall.service.links.url(action)
    # A chat that looks at links before people do does not use it up: strangers get the login.
    assert httpx.get(url, headers=HTML).status_code == 401
    assert httpx.get(url).status_code == 401
    viewer = client(seawall, "viewer").get(url)
    assert viewer.status_code == 403 and "this link is for the role approver" in viewer.text
    person = client(seawall, "approver")
    answer = person.get(url)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/actions/{action.id}#decide")
    assert person.get(f"/actions/{action.id}").status_code == 200
    again = person.get(url)
    assert again.status_code == 403 and "this link was used before" in again.text
    assert seawall.service.records.action(action.id).state is ActionState.AWAITING_APPROVAL
    assert person.get(url[:-2]).status_code == 400
    seawall.service.approve(action.id, _boss(seawall), "", None, Proof())
    late = person.get(seawall.service.links.url(action))
    assert late.status_code == 409 and "there is nothing to approve any more" in late.text


def _boss(seawall):
    found = seawall.service.by_token(seawall.token("boss", "approver"))
    assert found is not None
    return found
