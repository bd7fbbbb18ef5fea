"""The certificate's collector: also the certificate that no client accepts is read."""

import socket

import pytest
from cryptography.x509 import load_pem_x509_certificate

from collectors.certificates import DAY, Certificate, RegistryCertificate, parse_certificate
from collectors.exchange import TlsFiles
from collectors.pulling.exchange import Endpoint
from seawall.core.errors import SeawallError
from tests.certificates import Authority, server_context
from tests.fakes import T
from tests.scripted import answering, registry, serving


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "tls")


@pytest.mark.parametrize(("begin", "end"), [(-9, 90), (-9, -1), (1, 9)])
async def test_begin_and_end_are_read_from_any_certificate(authority, begin, end):
    files = authority.issue("server", begin, end)
    real = load_pem_x509_certificate(files[0].read_bytes())
    async with serving(registry, tls=server_context(files)) as server:
        batch = await RegistryCertificate("reg", Endpoint(server.url)).collect(T)
    assert [(s.signal, s.value, s.at) for s in batch.samples] == [
        ("seawall_certificate_not_after_timestamp_seconds", real.not_valid_after_utc.timestamp(), T),
        ("seawall_certificate_not_before_timestamp_seconds", real.not_valid_before_utc.timestamp(), T),
    ]
    assert not server.requests


async def test_a_server_that_demands_a_client_certificate_shows_its_own(authority):
    demanding = server_context(authority.issue("server"), clients=authority.ca)
    files = TlsFiles(str(authority.ca), *map(str, authority.issue("client")))
    async with serving(registry, tls=demanding) as server:
        batch = await RegistryCertificate("reg", Endpoint(server.url, tls=files)).collect(T)
    assert len(batch.samples) == 2


@pytest.mark.parametrize(
    ("now", "trouble"),
    [
        (T - 3 * DAY, "the certificate is valid only in 3 days"),
        (T, ""),
        (T + 86 * DAY, ""),
        (T + 87 * DAY, "the certificate expires in 13 days"),
        (T + 99.5 * DAY, "the certificate expires in 12 hours"),
        (T + 103 * DAY, "the certificate expired 3 days ago"),
    ],
)
def test_what_is_wrong_with_its_time_is_said(now, trouble):
    assert Certificate(T, T + 100 * DAY, "CN=x").trouble(now) == trouble


@pytest.mark.parametrize(
    ("days", "told"), [(90, ""), (366, ""), (825, "issued for 825 days, which is over one year")]
)
def test_a_lifetime_over_one_year_is_said(days, told):
    assert Certificate(T, T + days * DAY, "CN=x").lifetime() == told


async def test_where_there_is_no_tls_the_reason_is_said():
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", asked=b"") as url:
        collector = RegistryCertificate("reg", Endpoint(url.replace("http:", "https:")))
        with pytest.raises(SeawallError, match=r"^tls: the other side does not speak TLS$"):
            await collector.collect(T)
    with pytest.raises(SeawallError, match=r"^connect: connection refused$"):
        await collector.collect(T)


async def test_a_server_that_is_silent_is_left_at_the_limit():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(SeawallError, match=r"^tls: no answer in time$"):
            await RegistryCertificate("reg", Endpoint(url, limits={"tls": 0.2})).collect(T)


@pytest.mark.parametrize("der", [b"", b"\x30\x03nonsense", b"\x00" * 99])
def test_what_is_no_certificate_is_refused(der):
    with pytest.raises(SeawallError, match="cannot be read"):
        parse_certificate(der)
