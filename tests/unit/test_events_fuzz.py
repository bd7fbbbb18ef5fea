"""Broken and hostile notifications, webhooks, audit entries, reports and logs; longer in a soak."""

import asyncio
import json
import os
import random
import tempfile
import time
from pathlib import Path

import pytest

from collectors.harbor_audit import parse_entry
from collectors.harbor_webhooks import parse_harbor
from collectors.logs import FollowedLog
from collectors.notifications import parse_distribution
from collectors.trivy import parse_report
from seawall.core.errors import InputError

GOLDEN = Path(__file__).parent.parent / "golden"
SECONDS = 600 if os.environ.get("SEAWALL_SOAK") else 0
ROUNDS = 300  # at least
HOOKS = json.loads((GOLDEN / "reconstructed/harbor-webhooks.json").read_text())
ENTRIES = json.loads((GOLDEN / "reconstructed/harbor-audit.json").read_text())
NOTICES = json.loads((GOLDEN / "captured/distribution-2.8.2-notifications.json").read_text())
REPORT = (GOLDEN / "reconstructed/trivy-report.json").read_bytes()
LOGS = b"".join(path.read_bytes() for path in sorted(GOLDEN.rglob("*.log")))
PIECES = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b",", b":", b"\n", b"\r", b"\x00", b"\xff",
    b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 400, b"\xe2\x80\xa8", b"[" * 2000,
    b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:60+23:59", b"sha256:", b" stdout P ", b"<34>1 ",
]  # fmt: skip


def mutated(body: bytes, rng: random.Random) -> bytes:
    """A body with up to eight cuts, doublings or strange pieces."""
    for _ in range(rng.randint(1, 8)):
        a = rng.randint(0, len(body))
        b = min(len(body), a + rng.choice((1, 3, 20, 200)))
        body = body[:a] + rng.choice((b"", body[a:b] * 2, rng.choice(PIECES))) + body[b:]
    return body


def check_deliveries(rng: random.Random) -> None:
    """Understood, with fields that every store takes, or refused with a remedy."""
    notice = json.dumps(rng.choice(NOTICES)).encode()
    hook = json.dumps(rng.choice(HOOKS[rng.choice(list(HOOKS))])).encode()
    for parse, body in ((parse_distribution, notice), (parse_harbor, hook)):
        try:
            events = parse(mutated(body, rng), "reg")
        except InputError as refused:
            assert refused.remedy
            continue
        for event in events:
            storable(event)
    try:
        storable(parse_report(mutated(REPORT, rng), "report", 1.0).event("reg"))
    except InputError as refused:
        assert refused.remedy


def check_entry(rng: random.Random) -> None:
    """An entry is an event, nothing of ours, or has no id or time."""
    api = rng.choice(list(ENTRIES))
    try:
        entry = json.loads(mutated(json.dumps(rng.choice(ENTRIES[api])).encode(), rng))
        event = parse_entry(entry, "reg", api)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return
    if event:
        storable(event)


def storable(event) -> None:
    text = json.dumps(dict(event.fields), ensure_ascii=False)
    assert "\0" not in text and text.encode()


def check_log(path: Path, rng: random.Random) -> None:
    """A guard line after anything is read, once, whatever the size of a round."""
    noise = mutated(LOGS[(at := rng.randrange(len(LOGS))) : at + 2000], rng).rstrip(b"\n")
    path.write_bytes(noise + b"\nlevel=info msg=guard\n")
    log, messages = FollowedLog("reg", str(path), max_round=rng.choice((64, 1000, 1 << 20))), []

    async def read() -> None:
        for _ in range(200):
            batch = await log.collect(1000.0)
            for event in batch.events:
                storable(event)
                messages.append(event.fields.get("message"))
            await log.stored()
            if not log.backlog:
                return
        raise AssertionError(noise)

    asyncio.run(read())
    assert messages.count("guard") == 1


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("check", [check_deliveries, check_entry, check_log])
def test_whatever_comes_is_understood_or_refused_and_loses_no_neighbour(check, record_property):
    seed = random.randrange(2**32) if SECONDS else 1
    record_property("seed", seed)
    rng, end, rounds = random.Random(seed), time.monotonic() + SECONDS / 3, 0
    with tempfile.TemporaryDirectory() as folder:
        while rounds < ROUNDS or time.monotonic() < end:
            check(*((Path(folder) / "x.log",) if check is check_log else ()), rng)
            rounds += 1
