"""Taking an approval back in the console, and where a reason must be given."""

import re

import pytest

from seawall.core.actions import ActionState
from tests.e2e.console_stand import stand
from tests.e2e.test_console_pages import client, turn

pytestmark = pytest.mark.e2e


@pytest.fixture
def seawall(tmp_path):
    with stand(tmp_path) as found:
        yield found


def field(page: str) -> str:
    """The reason's input, and the buttons beside it."""
    return " ".join(re.findall(r"<(?:input id=\"reason\"|button)[^>]*>[^<]*", page))


def test_a_waiting_approval_is_taken_back_with_a_reason_and_nothing_runs(seawall):
    _, action = turn(seawall.sink())
    person = client(seawall, "approver")
    page = field(person.get(f"/actions/{action.id}").text)
    assert " required" in page and "formnovalidate>Approve and run" in page  # only a rejection needs one
    submit, seawall.service.repair._submit = seawall.service.repair._submit, lambda *_: None  # it waits
    answer = person.post(
        f"/actions/{action.id}/approve", data={"digest": action.preview.digest, "reason": ""}
    )
    assert answer.status_code == 303
    seawall.service.repair._submit = submit
    page = person.get(f"/actions/{action.id}").text
    assert f'action="/actions/{action.id}/revoke"' in page and "Take the approval back" in page
    assert " required" in field(page)
    refused = person.post(f"/actions/{action.id}/revoke", data={"reason": " "})
    assert refused.status_code == 400 and "a revocation needs one" in refused.text
    assert person.post(f"/actions/{action.id}/revoke", data={"reason": "wrong one"}).status_code == 303
    after = seawall.service.records.action(action.id)
    assert after.state is ActionState.REJECTED and "approval revoked: wrong one" in after.reason
    assert seawall.runner.runs == []
    viewer = client(seawall, "viewer").post(f"/actions/{action.id}/revoke", data={"reason": "x"})
    assert viewer.status_code == 403
