"""Broken and hostile metrics pages and API answers: no crash, no lost neighbour; longer in a soak."""

import json
import math
import os
import random
import time
from pathlib import Path

import pytest

from collectors.distribution import RULES, Rising, samples_of_vars
from collectors.harbor import RULES as HARBOR
from collectors.harbor_api import FACTS
from collectors.harbor_facts import health, progress, running_collection
from collectors.pages import Target, read_page
from collectors.rules import apply_rules
from seawall.core.errors import InputError

GOLDEN = Path(__file__).parent.parent / "golden"
PAGES = [path.read_text() for kind in ("*.prom", "*metrics.txt") for path in sorted(GOLDEN.rglob(kind))]
ANSWERS = json.loads((GOLDEN / "reconstructed/harbor-api.json").read_text())
DOCUMENTS = [json.dumps(document) for document in (*ANSWERS.values(), ANSWERS)]
DOCUMENTS += [path.read_text() for path in GOLDEN.rglob("*vars.json")]
SECONDS = 600 if os.environ.get("SEAWALL_SOAK") else 0
ROUNDS = 300  # at least
TABLES = [RULES, *HARBOR.values()]
GUARD = "harbor_guard_total 5\n"
PIECES = [
    "{", "}", '"', "\\", ",", "=", " ", "\t", "\r", "\x00", "\n", "#", " # {", "NaN", "-Inf", "1e999",
    "0x1p3", "_", "9" * 400,
    "\ufffd", "\u2028", "# TYPE x", "# HELP", "# EOF\n", "[", "]", ":", "null", "true", "-1", "1e400", '"":',
    "99999999999999999999999", "[9/0]", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60Z",
]  # fmt: skip


def mutated(text: str, rng: random.Random) -> str:
    """A text with up to eight cuts, doublings or strange pieces."""
    for _ in range(rng.randint(1, 8)):
        a = rng.randint(0, len(text))
        b = min(len(text), a + rng.choice((1, 3, 20, 200)))
        match rng.randrange(4):
            case 0:
                text = text[:a] + text[b:]
            case 1:
                text = text[:b] + text[a:]
            case 2:
                text = text[:a] + rng.choice(PIECES) + text[b:]
            case _:
                text = text[:a] + rng.choice(PIECES) + text[a:]
    return text


def check_page(text: str) -> None:
    """What is read is finite, and the series after the page is read whatever stands before it."""
    for rules in TABLES:
        names = {rule.source for rule in rules} | {"harbor_guard_total"}
        page = read_page(f"{text}\n{GUARD}", names, Target("here", "mend it"))
        guards = [one for one in page.series["harbor_guard_total"] if not one.labels]
        assert [one.value for one in guards][-1] == 5
        samples = apply_rules(rules, page, "reg", 1.0)
        assert all(math.isfinite(sample.value) for sample in samples)
        assert len({(s.signal, s.labels) for s in samples}) == len(samples)
        assert page.broken >= len(page.findings) <= 5


def check_answer(text: str) -> None:
    """Any JSON is read without a fault, whoever reads it."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        list(progress(text, "reg", 1.0))
        return
    samples = list(samples_of_vars(document, "reg", 1.0, Rising()))
    running_collection(document)
    for fact in FACTS:
        samples += fact.read(document, "reg", 1.0).samples
    try:
        samples += health(document, "reg", 1.0).samples
    except InputError as error:
        assert "no component" in error.finding
    assert all(math.isfinite(sample.value) for sample in samples)


@pytest.mark.soak
@pytest.mark.timeout(2 * SECONDS + 300)
@pytest.mark.parametrize(("corpus", "check"), [(PAGES, check_page), (DOCUMENTS, check_answer)])
def test_mutated_pages_and_answers(corpus, check):
    seed = random.randrange(2**32) if SECONDS else 1
    rng, end, rounds = random.Random(seed), time.monotonic() + SECONDS, 0
    while rounds < ROUNDS or time.monotonic() < end:
        text = mutated(rng.choice(corpus), rng)
        try:
            check(text)
        except Exception as error:
            pytest.fail(f"seed {seed}, round {rounds}, {text!r}: {error!r}")
        rounds += 1
