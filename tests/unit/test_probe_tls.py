"""TLS: whom the probe trusts, what it shows of itself and to whom, and the words for each refusal."""

import json

import pytest
from cryptography import x509

from collectors.exchange import TlsFiles, tls_context
from collectors.pulling.dial import Route
from seawall.core.errors import InputError
from tests.certificates import Authority, server_context
from tests.scripted import answering, pulled, registry, serving


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "tls")


def trusting(authority: Authority, *client, http2: bool = False) -> TlsFiles:
    return TlsFiles(str(authority.ca), *map(str, client), http2=http2)


async def test_tls_is_a_phase_and_its_authority_is_configured(authority):
    async with serving(registry, tls=server_context(authority.issue("server"))) as server:
        trusted = await pulled(server.url, tls=trusting(authority))
        untrusted = await pulled(server.url)
    assert trusted.ok and trusted.seconds_by_phase()["tls"] > 0
    assert (untrusted.phase, untrusted.reason) == ("tls", "certificate signed by an unknown authority")


@pytest.mark.parametrize(
    ("begin", "end", "san", "reason"),
    [
        (-9, -1, None, "certificate expired"),
        (1, 9, None, "certificate not yet valid"),
        (-1, 9, x509.DNSName("registry.example.com"), "certificate is for another address"),
    ],
)
async def test_a_bad_certificate_is_told_in_words(authority, begin, end, san, reason):
    files = authority.issue("server", begin, end, *([san] if san else []))
    async with serving(registry, tls=server_context(files)) as server:
        pull = await pulled(server.url, tls=trusting(authority))
    assert not pull.ok and (pull.phase, pull.reason) == ("tls", reason)


async def test_the_name_is_checked_and_not_only_the_address(authority):
    files = authority.issue("server", san=x509.DNSName("registry.example.com"))
    async with serving(registry, tls=server_context(files)) as server:
        pull = await pulled(server.url.replace("127.0.0.1", "localhost"), tls=trusting(authority))
    assert (pull.phase, pull.reason) == ("tls", "certificate is for another name")


async def test_plain_http_on_a_tls_port_is_said_to_be(authority):
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", asked=b"") as url:
        pull = await pulled(url.replace("http:", "https:"), tls=trusting(authority))
    assert (pull.phase, pull.reason) == ("tls", "the other side does not speak TLS")


async def test_a_client_certificate_opens_a_registry_that_demands_one(authority, tmp_path):
    strangers = Authority(tmp_path / "strangers")
    demanding = server_context(authority.issue("server"), clients=authority.ca)
    async with serving(registry, tls=demanding) as server:
        known = await pulled(server.url, tls=trusting(authority, *authority.issue("client")))
        none = await pulled(server.url, tls=trusting(authority))
        wrong = await pulled(server.url, tls=trusting(authority, *strangers.issue("client")))
    assert known.ok and not known.note
    assert not none.ok and not wrong.ok


async def test_a_renewed_client_certificate_is_used_without_a_restart(authority):
    demanding = server_context(authority.issue("server"), clients=authority.ca)
    files = authority.issue("client", -9, -1)
    tls = trusting(authority, *files)
    async with serving(registry, tls=demanding) as server:
        expired = await pulled(server.url, tls=tls)
        assert authority.issue("client") == files
        renewed = await pulled(server.url, tls=tls)
    assert not expired.ok
    assert renewed.ok and not renewed.note


async def test_the_client_certificate_is_not_shown_to_a_host_that_a_redirect_names(authority):
    optional = server_context(authority.issue("storage"))
    optional.load_verify_locations(authority.ca)
    optional.verify_mode = 1  # ssl.CERT_OPTIONAL: asks, and takes what it gets
    files = authority.issue("server"), authority.issue("client")
    async with serving(registry, tls=optional) as storage:

        def moved(request):
            if "/blobs/" in request.path:
                return 307, {"location": f"{storage.url}{request.path}"}, b""
            return registry(request)

        async with serving(moved, tls=server_context(files[0], clients=authority.ca)) as server:
            pull = await pulled(server.url, tls=trusting(authority, *files[1]))
    assert pull.ok and not pull.note
    assert storage.peers == [None, None] and all(server.peers)


@pytest.mark.parametrize("name", ["missing.pem", "nonsense.pem"])
def test_a_file_that_is_no_certificate_is_refused_by_its_name(tmp_path, name):
    (tmp_path / "nonsense.pem").write_text("nonsense")
    with pytest.raises(InputError, match=f"{name}.*PEM"):
        tls_context(str(tmp_path / name))
    with pytest.raises(InputError, match=f"{name}.*PEM"):
        tls_context(None, str(tmp_path / name))


def test_the_key_of_another_certificate_is_refused(authority):
    first, second = authority.issue("first"), authority.issue("second")
    with pytest.raises(InputError, match="no certificate with its key"):
        tls_context(None, str(first[0]), str(second[1]))


def test_a_context_is_made_once(authority):
    assert tls_context(str(authority.ca)) is tls_context(str(authority.ca))
    assert tls_context(str(authority.ca)) is not tls_context(str(authority.ca), http2=True)


async def test_a_registry_without_http2_is_asked_over_http1(authority):
    async with serving(registry, tls=server_context(authority.issue("server"), alpn=["http/1.1"])) as server:
        pull = await pulled(server.url, tls=trusting(authority, http2=True))
    assert pull.ok and not pull.note and json.dumps(pull.digests) == '{"verified": 3}'


async def test_tls_goes_through_a_proxy_that_sees_only_the_host(authority, proxy):
    async with serving(registry, tls=server_context(authority.issue("server"))) as server:
        pull = await pulled(server.url, tls=trusting(authority), route=Route(proxy=proxy.url))
    assert pull.ok and not pull.note and "tls" in pull.seconds_by_phase()
    assert set(proxy.asked) == {f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"}
