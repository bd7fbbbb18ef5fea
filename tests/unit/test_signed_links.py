"""Signed links: made by the notifier, opened once, void for another preview; real records and notifier."""

from dataclasses import replace

import pytest

from alerts.notify import Links, Notifier
from alerts.outbox import Outbox
from alerts.slos import load_rows
from remediation.policy import Escalation, Policy
from seawall.core.actions import ActionState as S
from seawall.core.errors import Conflict, InputError, Refused
from seawall.identity.signed_links import KEY, SignedLinks, key_of
from seawall.statefolder import StateFolder
from seawall.stores.sql import SqlRecords
from tests.unit.test_lifecycle import Bench
from tests.unit.test_notify import Listener, address

CONSOLE = "https://seawall.example"
CHAIN = (Escalation(after="10m", notify="second line"), Escalation(after="20m", notify="duty"))


@pytest.fixture
def bench(tmp_path):
    records = SqlRecords(f"sqlite:{tmp_path / 'records.sqlite'}")
    yield Bench(tmp_path, Policy(escalation=CHAIN), records)
    records.close()


@pytest.fixture
def state(tmp_path):
    return StateFolder(tmp_path)


def links_of(bench, state) -> SignedLinks:
    return SignedLinks(key_of(state), bench.records, bench.clock, CONSOLE)


def token_of(url: str) -> str:
    assert url.startswith(f"{CONSOLE}/links/")
    return url.removeprefix(f"{CONSOLE}/links/")


def test_a_link_opens_its_action_once_also_after_a_restart_and_is_audited(bench, state):
    action = bench.awaiting()
    token = token_of(links_of(bench, state).url(action))
    assert links_of(bench, state).open(token, "ada").id == action.id
    with pytest.raises(Refused, match="used before"):
        links_of(bench, state).open(token, "bob")
    [entry] = [it for it in bench.records.audit_entries()[0] if it["event"] == "link.opened"]
    assert (entry["actor"], entry["subject"]) == ("ada", action.id)
    assert bench.records.audit_verify()[1] is None
    assert bench.records.action(action.id).approvals == ()  # it has approved nothing
    assert (state.path / KEY).stat().st_mode & 0o777 == 0o600


def test_a_link_that_was_changed_or_made_with_another_key_is_refused(bench, state):
    action, links = bench.awaiting(), links_of(bench, state)
    token = token_of(links.url(action))
    later = token.replace(f".{int(action.expires_at)}.", f".{int(action.expires_at) + 9999}.")
    foreign = token_of(SignedLinks(b"x" * 32, bench.records, bench.clock, CONSOLE).url(action))
    other = token.replace("act-1.", "act-2.", 1)
    for wrong in (later, foreign, other, token[:-1], "", "....", "a" * 5000, "é.é.é.é.é"):
        with pytest.raises(InputError, match="not signed it"):
            links.open(wrong, "mallory")
    assert links.open(token, "ada").id == action.id


def test_a_link_ends_with_its_question(bench, state):
    action, links = bench.awaiting(), links_of(bench, state)
    token = token_of(links.url(action))
    bench.clock.move(action.expires_at - bench.clock.now())
    with pytest.raises(Refused, match="ended at"):
        links.open(token, "ada")


def test_a_link_is_for_its_preview_and_while_somebody_is_asked(bench, state):
    action, links = bench.awaiting(), links_of(bench, state)
    first, second = token_of(links.url(action)), token_of(links.url(action))
    assert first != second
    moved = replace(action, preview=replace(action.preview, digest="0" * 64))
    bench.records.transition(action, moved, "test", bench.clock.now(), {})
    with pytest.raises(Conflict, match="another preview"):
        links.open(first, "ada")
    bench.cycle.reject(action.id, "bob", "not now")
    with pytest.raises(Conflict, match="is rejected"):
        links.open(second, "ada")


def test_a_key_file_that_was_damaged_is_told(state):
    state.write_secret(KEY, "not hex")
    with pytest.raises(InputError, match="64 hex digits; delete it"):
        key_of(state)


# the notifier ---------------------------------------------------------------------------------


@pytest.fixture
def listeners():
    made = [Listener(), Listener()]
    yield made
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def notifier(bench, state, own, named=()) -> Notifier:
    links = Links(CONSOLE, "", links_of(bench, state).url)
    outbox = Outbox(state.path / "outbox.sqlite")
    return Notifier(bench.records, outbox, own, load_rows(), bench.clock, links, named=named)


def sent(listener: Listener, kind: str) -> list[dict]:
    return [body for _, _, body in listener.got if body["kind"] == kind]


def test_each_channel_gets_a_link_of_its_own_and_a_new_preview_is_told_again(bench, state, listeners):
    action = bench.awaiting()
    one = notifier(bench, state, [address(listeners[0], name="a"), address(listeners[1], name="b")])
    for _ in range(2):
        one.look()
        one.deliver()
    wanted = [sent(it, "approval_wanted") for it in listeners]
    assert [len(it) for it in wanted] == [1, 1]
    tokens = [token_of(it[0]["url"]) for it in wanted]
    assert tokens[0] != tokens[1]
    for token in tokens:  # each may be opened, by whoever reads that channel
        assert links_of(bench, state).open(token, "ada").id == action.id
    moved = replace(action, preview=replace(action.preview, digest="1" * 64))
    bench.records.transition(action, moved, "test", bench.clock.now(), {})
    one.look()
    one.deliver()
    assert len(sent(listeners[0], "approval_wanted")) == 2


def test_a_step_of_the_chain_goes_out_once_to_the_channel_that_it_names_and_into_the_story(
    bench, state, listeners
):
    action = bench.awaiting()
    duty = replace(address(listeners[1], name="duty"), severities=())
    one = notifier(bench, state, [address(listeners[0], name="chat")], named=[duty])
    for seconds in (600, 1, 600, 1):
        bench.clock.move(seconds)
        bench.cycle.expire(bench.clock.now())
        one.look()
        one.deliver()
    [first] = sent(listeners[0], "escalation")
    assert first["title"] == "main: nobody has decided on restart-registry; step 1: second line"
    [second] = sent(listeners[1], "escalation")  # `duty` is a channel's name: it alone is told
    assert "step 2: duty" in second["title"]
    assert links_of(bench, state).open(token_of(second["url"]), "ada").id == action.id
    story = [line.text for line in bench.records.incident(action.incident).timeline]
    assert f"{action.id}: nobody decided within 10m: step 1, tell second line" in story
    assert f"{action.id}: nobody decided within 20m: step 2, tell duty" in story
    assert sent(listeners[1], "approval_wanted") == []


def test_a_question_that_was_decided_is_not_escalated_by_message(bench, state, listeners):
    action = bench.awaiting()
    bench.clock.move(600)
    bench.cycle.expire(bench.clock.now())
    bench.cycle.reject(action.id, "ada", "no")
    assert bench.records.action(action.id).state is S.REJECTED
    one = notifier(bench, state, [address(listeners[0])])
    one.look()
    one.deliver()
    assert listeners[0].kinds() == ["opened"]  # the incident itself is told, the question no longer
