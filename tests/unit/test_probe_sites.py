"""Sites: source addresses, proxies, other URLs; and no site or registry delays another."""

import asyncio
import socket

import pytest

from alerts.minutes import classify
from collectors.pulling import names
from collectors.pulling.address import Url, is_inner, parse_url
from collectors.pulling.dial import Dialler, Route
from collectors.pulling.faults import Broken
from collectors.pulling.phases import LIMITS, Steps, Timeline
from seawall.config import Config
from seawall.core.signals import PROBE_SUCCESS
from seawall.sources import build_collectors
from seawall.stores.memory import MemoryEvents, MemorySamples
from tests.fakes import T
from tests.scripted import pulled, registry, serving

BLACK_HOLE = "192.0.2.1"  # RFC 5737: nobody is there


async def test_a_site_reaches_out_from_its_own_address():
    async with serving(registry) as server:
        pull = await pulled(server.url, route=Route(source="127.0.0.2"))
    assert pull.ok and not pull.note and set(server.sources) == {"127.0.0.2"}


async def test_a_source_address_that_is_not_here_is_said_to_be():
    async with serving(registry) as server:
        pull = await pulled(server.url, route=Route(source=BLACK_HOLE))
        other = await pulled(server.url, route=Route(source="::1"))
    assert (pull.phase, pull.reason) == ("connect", "the source address is not one of this machine")
    assert other.phase == "connect" and "no address of the kind" in other.reason


async def test_plain_http_goes_through_a_proxy_with_the_whole_url(proxy):
    async with serving(registry) as server:
        pull = await pulled(server.url, route=Route(proxy=proxy.url))
    assert pull.ok and not pull.note
    assert proxy.asked[0] == f"GET {server.url}/v2/team/app/manifests/1.0 HTTP/1.1"


async def test_a_proxy_that_refuses_is_the_failure(proxy):
    proxy.refuses = True
    pull = await pulled("https://registry.example.com", route=Route(proxy=proxy.url))
    assert (pull.phase, pull.reason) == ("connect", "the proxy answered 403")


async def test_each_site_is_a_collector_and_half_of_them_make_a_minute_bad():
    async with serving(registry) as server, serving(lambda r: (503, {}, b"")) as ill:

        def minute(*urls: str):
            return asyncio.gather(*(round_of(urls_of(server.url, urls), at) for at in (T, T + 10)))

        def urls_of(url: str, others: tuple[str, ...]) -> Config:
            sites = [
                {"name": f"s{n}", "source": f"127.0.0.{n + 2}", "urls": {"main": other}}
                for n, other in enumerate(others)
            ]
            return Config.model_validate(
                {
                    "registries": [{"name": "main", "url": url}],
                    "probe": {"image": "team/app:1.0", "sites": sites},
                }
            )

        async def round_of(config: Config, at: float):
            collectors = build_collectors(config, MemoryEvents())
            batches = await asyncio.gather(*(collector.collect(at) for collector in collectors))
            return [collector.name for collector in collectors], [s for b in batches for s in b.samples]

        one_of_three = await minute(server.url, server.url, ill.url)
        two_of_three = await minute(server.url, ill.url, ill.url)
    assert one_of_three[0][0] == ["probe@s0", "probe@s1", "probe@s2"]
    assert set(server.sources) == {"127.0.0.2", "127.0.0.3"}
    assert bad_minutes(one_of_three) == 0 and bad_minutes(two_of_three) == 1


def bad_minutes(rounds) -> int:
    store = MemorySamples()
    for _, samples in rounds:
        store.append(samples)
    return len(classify(store.slices("main", PROBE_SUCCESS, T - 60, T + 60), []).bad)


async def test_fifty_dead_registries_delay_no_healthy_one():
    """Black holes, paused listeners and names that are not answered, all at once beside a healthy one."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(64)
        dead = [f"http://{BLACK_HOLE}:{1000 + n}" for n in range(20)]
        dead += [f"http://127.0.0.1:{deaf.getsockname()[1]}"] * 20
        dead += [f"http://no-such-host-{n}.invalid" for n in range(10)]
        async with serving(registry) as server:
            alone = await pulled(server.url)
            tasks = [asyncio.create_task(pulled(url, deadline=1)) for url in dead]
            await asyncio.sleep(0)
            healthy = [await pulled(server.url) for _ in range(5)]
            assert not all(task.done() for task in tasks), "the dead ones were not waited for"
            failed = await asyncio.gather(*tasks)
    assert alone.ok and all(pull.ok and not pull.note for pull in healthy)
    assert {pull.phase for pull in failed} <= {"connect", "manifest_index", "dns"}
    assert not any(pull.ok for pull in failed)


async def test_a_name_server_that_is_silent_holds_up_its_own_names_only(monkeypatch):
    """The system's resolver blocks its thread; sixty names wait in it, and another one is answered."""
    released, found = asyncio.Event(), socket.getaddrinfo
    loop = asyncio.get_running_loop()

    def silent(host, *args, **kwargs):
        if host.startswith("dead"):
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result()
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return found(host, *args, **kwargs)

    monkeypatch.setattr(names.socket, "getaddrinfo", silent)
    dead = [asyncio.create_task(names.resolve(f"dead-{n % 60}.example")) for n in range(120)]
    await asyncio.sleep(0)
    assert await names.resolve("localhost")
    assert not any(task.done() for task in dead)
    released.set()
    outcomes = await asyncio.gather(*dead, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {socket.gaierror}


async def test_a_name_that_is_not_there_is_no_such_host():
    pull = await pulled("http://no-such-host.invalid", deadline=20)
    assert not pull.ok and pull.phase == "dns"
    assert pull.reason in ("no such host", "the name server does not answer")


@pytest.mark.parametrize(
    ("address", "inner"),
    [
        ("127.0.0.1", True), ("::1", True), ("169.254.169.254", True), ("fe80::1", True), ("0.0.0.0", True),
        ("::ffff:127.0.0.1", True), ("224.0.0.1", True), ("10.0.0.1", False), ("192.0.2.1", False),
        ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_inner_addresses_are_known(address, inner):
    assert is_inner(address) is inner


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_registry_elsewhere_cannot_send_the_probe_to_this_machine(host):
    """Also by a name that leads here: the address is looked at, and it is the one that is connected to."""
    async with serving(registry) as server:
        async with asyncio.timeout(None) as alarm:
            steps = Steps(Timeline(), "x", LIMITS, alarm)
            with pytest.raises(Broken, match="an inner address of this machine; not followed"):
                url = parse_url(server.url.replace("127.0.0.1", host))
                await Dialler("registry.example.com").open(url, None, steps)
    assert not server.sources


async def test_an_inner_address_is_not_asked_of_the_proxy_either(proxy):
    async with asyncio.timeout(None) as alarm:
        dialler = Dialler("registry.example.com", Route(proxy=proxy.url))
        with pytest.raises(Broken, match="inner address"):
            metadata = Url("http", "169.254.169.254", 80, "/")
            await dialler.open(metadata, None, Steps(Timeline(), "x", LIMITS, alarm))
    assert not proxy.asked
