"""The collector of verdicts on pulls over a small registry behind real HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from collectors.pull_signatures import PullSignatures
from collectors.pulls.looks import is_artifact
from collectors.signatures.lookups import Manifest
from collectors.signatures.trust import Trust, TrustedKey, Trusts
from seawall.core.errors import InputError
from seawall.core.signals import Batch, Event
from seawall.stores.memory import MemoryEvents
from tests.pulling import Stock, T, looks_at, told
from tests.signing import NOTATION, OCI_MANIFEST, artifact, descriptor, digest


class Stand:
    """Events told, collected and kept as the cycle does; `now` moves with each turn."""

    def __init__(self, stock: Stock, url: str, trusts: Callable[[], Trusts], grace: float = 0.0) -> None:
        self.stock, self.url, self.trusts, self.grace = stock, url, trusts, grace
        self.events, self.now = MemoryEvents(), T
        self.restart()

    def restart(self) -> None:
        self.looks = looks_at(self.url, self.trusts)
        self.collector = PullSignatures("main", self.events, self.looks, grace=self.grace)
        self.collector.restore(self.events.checkpoint(self.collector.source))

    async def turn(self, *events: Event, after: float = 2.0, stored: bool = True) -> Batch:
        self.events.append(events, {})
        self.now += after
        batch = await self.collector.collect(self.now)
        if stored:
            self.events.append(batch.events, batch.checkpoints)
            await self.collector.stored()
        return batch

    async def told(self, *events: Event) -> list[Event]:
        """Every verdict after the pulls were told."""
        await self.turn(*events)
        return self.verdicts()

    def verdicts(self) -> list[Event]:
        found = self.events.recent("main", T - 1e6, T + 1e6, 1000)
        return [event for event in found if event.fields["event.dataset"] == "seawall.pull"][::-1]

    def signatures(self) -> list[str]:
        return [event.fields["seawall.signature"] for event in self.verdicts()]


@pytest.fixture
def stock():
    return Stock()


@pytest.fixture
def trusts(stock):
    made = stock.trusts()
    return lambda: made


@pytest.fixture
def stand(stock, trusts):
    with stock.served() as url:
        yield Stand(stock, url, trusts)


async def test_a_verdict_tells_everything_about_the_pull(stock, stand):
    image = stock.image()
    stock.sign(image)
    (event,) = await stand.told(told(image, user__name="alice"))
    assert event.at == T
    assert dict(event.fields) == {
        "@timestamp": "2026-09-21T14:13:20.000Z",
        "client.ip": "10.0.0.1",
        "event.action": "pull",
        "event.created": event.fields["event.created"],
        "event.dataset": "seawall.pull",
        "event.outcome": "success",
        "event.provider": "distribution.notification",
        "registry.digest": digest(image),
        "registry.name": "main",
        "registry.reference": "1.0",
        "registry.repository": "team/app",
        "seawall.code": "trusted",
        "seawall.reason": "signed by release.pub",
        "seawall.signature": "signed",
        "seawall.signer": "release.pub",
        "user.name": "alice",
        "user_agent.original": "containerd/1.7.24",
    }
    assert stand.collector.pulls == {"signed": 1}


async def test_an_image_is_looked_up_once_for_many_pulls_and_again_when_unsigned(stock, stand):
    signed, bare = stock.image(b"a", "a"), stock.image(b"b", "b")
    stock.sign(signed)
    clients = [f"10.0.0.{n}" for n in range(50)]
    await stand.turn(*(told(it, client__ip=client) for it in (signed, bare) for client in clients))
    assert stand.looks.made == 2 and sorted(set(stand.signatures())) == ["signed", "unsigned"]
    assert len(stand.verdicts()) == 100
    await stand.turn(*(told(it, T + 20, client__ip="10.1.0.1") for it in (signed, bare)), after=20)
    assert stand.looks.made == 2
    stock.sign(bare)
    await stand.turn(*(told(it, T + 90, client__ip="10.1.0.2") for it in (signed, bare)), after=70)
    assert stand.looks.made == 3
    assert stand.signatures()[-2:] == ["signed", "signed"]
    assert stand.collector.pulls == {"signed": 53, "unsigned": 51}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_an_index_and_its_image_are_one_pull_signed_by_the_index(stock, stand, order):
    child = stock.image(b"amd64", None)
    index = stock.index(child, stock.image(b"arm64", None))
    stock.sign(index)
    pulls = [told(index), told(child, T + 1, tag=None)]
    (event,) = await stand.told(*(pulls[n] for n in order))
    assert event.fields["registry.digest"] == digest(index)
    assert event.fields["seawall.signature"] == "signed"


async def test_an_index_without_a_tag_is_known_by_its_pull_also_when_that_is_told_second(stock, stand):
    child = stock.image(b"amd64", None)
    index = stock.index(child, tag=None)
    stock.sign(index)
    await stand.turn(told(child, tag=None))
    await stand.turn(told(index))
    await stand.turn(after=5)
    (event,) = stand.verdicts()
    assert (event.fields["registry.digest"], event.fields["seawall.signature"]) == (digest(index), "signed")


async def test_an_image_that_is_pulled_alone_counts_as_its_signed_index(stock, stand):
    child = stock.image(b"amd64", None)
    index = stock.index(child)
    stock.sign(index)
    (event,) = await stand.told(told(child, tag=None))
    assert event.fields["registry.digest"] == digest(index)
    assert event.fields["registry.image_digest"] == digest(child)
    assert digest(index) in event.fields["seawall.reason"]


async def test_an_index_that_is_not_signed_signs_nothing(stock, stand):
    child = stock.image(b"amd64", None)
    stock.index(child, tag="0.9")
    await stand.turn(told(child, tag=None))
    (event,) = stand.verdicts()
    assert event.fields["seawall.signature"] == "unsigned"


async def test_a_signed_image_in_an_unsigned_index_is_signed(stock, stand):
    child = stock.image(b"amd64", None)
    stock.index(child)
    stock.sign(child)
    await stand.told(told(child, tag=None))
    assert stand.signatures() == ["signed"]


async def test_signatures_attestations_and_what_has_a_subject_are_no_images(stock, stand):
    image = stock.image()
    signature = stock.sign(image)
    subject = stock.keep(artifact(NOTATION, [], descriptor(OCI_MANIFEST, image)))
    attestation = stock.image(b"a", None, layers=[descriptor("application/vnd.in-toto+json", b"{}")])
    tagged = told(b"whatever", tag=f"sha256-{'0f' * 32}.att")
    await stand.turn(*map(told, (signature, subject, attestation)), tagged)
    assert stand.verdicts() == [] and stand.collector.pulls == {}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json"}, True),
        ({"config": {"mediaType": "application/vnd.cncf.notary.signature"}}, True),
        ({"layers": [{"mediaType": "application/vnd.cyclonedx+json"}]}, True),
        ({"layers": [{"mediaType": "application/spdx+json"}, 1]}, True),
        ({"subject": {"digest": "sha256:1"}}, True),
        ({"config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}, False),
        ({"manifests": []}, False),
        ({"layers": 1, "config": [], "subject": "x"}, False),
    ],
)
def test_what_is_an_artifact(document, expected):
    assert is_artifact(Manifest("sha256:1", "", b"", document)) is expected


async def test_what_two_sources_tell_is_counted_once(stock, stand):
    image = stock.image()
    line = {
        "event__dataset": "distribution.app",
        "registry__digest": None,
        "http__response__status_code": 200,
    }
    await stand.turn(told(image), told(image, T + 0.2, **line))
    await stand.turn(told(image, T + 400, **line), told(image, T + 399.9), after=400)
    assert len(stand.verdicts()) == 2


async def test_a_log_alone_is_asked_for_by_tag_and_a_moved_tag_is_seen(stock, stand):
    line = {"event__dataset": "distribution.access", "registry__digest": None}
    first = stock.image(b"a")
    stock.sign(first)
    await stand.turn(told(first, **line))
    second = stock.image(b"b")
    await stand.turn(told(second, T + 61, **line), after=61)
    found = [(it.fields["registry.digest"], it.fields["seawall.signature"]) for it in stand.verdicts()]
    assert found == [(digest(first), "signed"), (digest(second), "unsigned")]


async def test_own_scanners_and_heads_do_not_count(stock, stand):
    image = stock.image()
    await stand.turn(
        told(image, user_agent__original="seawall-probe/0.1.0"), told(image, http__request__method="HEAD")
    )
    assert stand.verdicts() == [] and stand.looks.made == 0


async def test_a_pull_within_the_grace_waits_and_is_looked_at_again(stock, trusts):
    with stock.served() as url:
        stand = Stand(stock, url, trusts, grace=120.0)
        late, never = stock.image(b"a", "a"), stock.image(b"b", "b")
        for image in (late, never):
            await stand.turn(told(image, push=True), told(image, T + 30))
        for _ in range(4):
            await stand.turn(after=20)
        assert stand.verdicts() == []
        stock.sign(late)
        await stand.turn(after=60)
        assert stand.signatures() == ["signed", "unsigned"]
        await stand.turn(told(never, T + 500), after=400)
        assert stand.signatures() == ["signed", "unsigned", "unsigned"]


async def test_a_restart_within_the_grace_forgets_neither_the_pull_nor_the_push(stock, trusts):
    with stock.served() as url:
        stand = Stand(stock, url, trusts, grace=120.0)
        image = stock.image()
        await stand.turn(told(image, push=True))
        await stand.turn(told(image, T + 10))
        stand.restart()
        await stand.turn()
        assert stand.verdicts() == []
        stock.sign(image)
        await stand.turn(after=130)
        assert stand.signatures() == ["signed"]


async def test_a_verdict_that_could_not_be_stored_is_told_again_and_a_restart_doubles_nothing(stock, stand):
    image = stock.image()
    lost = await stand.turn(told(image), stored=False)
    assert len(lost.events) == 1 and stand.collector.pulls == {}
    await stand.turn(told(image, T + 30))
    assert stand.signatures() == ["unsigned"]
    stand.restart()
    await stand.turn(told(image, T + 200), told(image, T - 200))
    assert stand.signatures() == ["unsigned"]


async def test_a_kill_before_the_commit_loses_nothing(stock, stand):
    image = stock.image()
    await stand.turn(told(image), stored=False)
    stand.restart()
    await stand.turn()
    assert stand.signatures() == ["unsigned"]


async def test_a_failed_look_up_is_unknown_and_settled_later_also_after_a_restart(stock, stand):
    images = [stock.image(b"a", "a"), stock.image(b"b", "b")]
    stock.sign(images[0])
    stock.down = True
    await stand.turn(*(told(it, T + n) for n, it in enumerate(images)))
    assert stand.verdicts() == []
    for _ in range(3):
        await stand.turn(after=5)
    assert stand.signatures() == ["unknown", "unknown"]
    assert "503" in stand.verdicts()[0].fields["seawall.reason"]
    asked = stock.asked.total()
    for _ in range(10):
        await stand.turn()
    assert stock.asked.total() - asked <= 8, "a registry that is down is asked less and less"
    stock.down = False
    stand.restart()
    await stand.turn()
    await stand.turn()
    counts = stand.events.pull_counts("main", T - 10, T + 10, T + 1e6)
    assert (counts.signed, counts.unsigned, counts.unknown) == (1, 1, 0)
    settled = [it.fields["seawall.settles"] for it in stand.verdicts() if "seawall.settles" in it.fields]
    assert len(settled) == 2
    await stand.turn(after=100)
    assert len(stand.verdicts()) == 4


async def test_other_trust_makes_other_verdicts(stock, stand):
    image = stock.image()
    stock.sign(image)
    await stand.turn(told(image))
    stand.collector._looks._trusts = lambda: stock_of_nobody
    stock_of_nobody = Trusts(Trust([TrustedKey("other.pub", Stock().key.public_key())]))
    await stand.turn(told(image, T + 400), after=400)
    assert stand.signatures() == ["signed", "unsigned"]


async def test_a_key_that_ends_is_not_believed_longer_than_it_counts(stock):
    now = datetime.now(UTC).timestamp()
    ending = Trusts(Trust([TrustedKey("release.pub", stock.key.public_key(), not_after=now + 1e9)]))
    with stock.served() as url:
        stand = Stand(stock, url, lambda: ending)
        stand.now = now + 1e9 - 30
        image = stock.image()
        stock.sign(image)
        await stand.turn(told(image, stand.now))
        look = stand.looks.get(("team/app", digest(image)))
        assert look.until == pytest.approx(now + 1e9, abs=0.01)


async def test_an_old_pull_is_no_news(stock, stand):
    await stand.turn(told(stock.image(), T - 100_000))
    assert stand.looks.made == 0


def test_a_broken_checkpoint_is_told(stand):
    for broken in ("{", '{"position": "x", "sources": {}}', "[]", '{"position": 1}'):
        with pytest.raises(InputError, match="checkpoint of pulls:main"):
            stand.collector.restore(broken)
