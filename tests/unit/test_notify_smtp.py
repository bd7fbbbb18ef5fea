"""Mail to a real SMTP server on loopback, and the verbs `notify --test` and `silence`."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from typer.testing import CliRunner

from alerts.channels import Address, Message, NotSent, send
from seawall.cli import app as cli
from seawall.core.errors import InputError, SeawallError
from seawall.core.times import parse_time
from tests.certificates import Authority, server_context
from tests.serving import free_port

MESSAGE = Message(
    "inc-1:opened:1",
    "opened",
    "page",
    "main",
    "inc-1",
    "main is down",
    "nobody can pull ✓",
    "https://s/i",
    "https://r/x",
)


class Post:
    """Keeps what a real server was given: (sender, recipients, mail). `answer` refuses where it is set."""

    def __init__(self) -> None:
        self.got: list[tuple[str, list[str], object]] = []
        self.answer, self.secure, self.who = "", False, ""

    async def handle_DATA(self, server, session, envelope) -> str:
        if self.answer:
            return self.answer
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self.got.append((envelope.mail_from, envelope.rcpt_tos, mail))
        self.secure = server.transport.get_extra_info("sslcontext") is not None
        return "250 taken"

    def login(self, server, session, envelope, mechanism, data) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.who = data.login.decode()
        right = (data.login, data.password) == (b"seawall", b"s3cret")
        return AuthResult(success=right, handled=False)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def mail_server(post, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """{mode: host:port} of real servers: without TLS, with STARTTLS (and a login), and with TLS at once."""
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    context = server_context(authority.issue("mail"))
    login = {
        "tls_context": context,
        "require_starttls": True,
        "authenticator": post.login,
        "auth_required": True,
    }
    kinds = {"none": {}, "starttls": login, "tls": {"ssl_context": context}}
    running = {
        mode: Controller(post, hostname="127.0.0.1", port=free_port(), **more) for mode, more in kinds.items()
    }
    for one in running.values():
        one.start()
    yield {mode: f"127.0.0.1:{one.port}" for mode, one in running.items()}
    for one in running.values():
        one.stop()


def mailbox(smtp: str, tls: str, password: str = "s3cret") -> Address:
    return Address(
        "post", "email", ("page",), lambda: "", lambda: password, smtp, tls, "seawall@example.com",
        ("ops@example.com", "duty@example.com"), "seawall" if tls == "starttls" else None,
    )  # fmt: skip


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_mail_arrives_whole_and_with_the_same_id_at_every_attempt(mail_server, post, tls):
    for _ in range(2):
        send(mailbox(mail_server[tls], tls), MESSAGE)
    (sender, to, mail), (_, _, again) = post.got
    assert (sender, to) == ("seawall@example.com", ["ops@example.com", "duty@example.com"])
    assert (mail["Subject"], mail["Message-ID"]) == ("main is down", again["Message-ID"])
    text = mail.get_body(("plain",)).get_content()
    assert text.splitlines() == ["nobody can pull ✓", "https://s/i", "https://r/x"]
    assert (post.secure, post.who) == (tls != "none", "seawall" if tls == "starttls" else "")
    send(mailbox(mail_server[tls], tls), replace(MESSAGE, id="inc-1:resolved:1"))
    assert post.got[2][2]["Message-ID"] != mail["Message-ID"]


def test_a_mail_has_the_picture_of_the_signal_beside_the_text(mail_server, post):
    picture = '<svg xmlns="http://www.w3.org/2000/svg"><title>main ✓</title></svg>'
    send(mailbox(mail_server["none"], "none"), replace(MESSAGE, picture=picture))
    [(_, _, mail)] = post.got
    [attached] = list(mail.iter_attachments())
    assert (attached.get_content_type(), attached.get_filename()) == ("image/svg+xml", "signal.svg")
    assert attached.get_content().decode() == picture
    assert "https://s/i" in mail.get_body(("plain",)).get_content()


def test_what_the_server_says_is_told_without_the_password(mail_server, post):
    with pytest.raises(NotSent, match="SMTPAuthenticationError 535") as error:
        send(mailbox(mail_server["starttls"], "starttls", "wr0ng"), MESSAGE)
    assert "wr0ng" not in str(error.value)
    post.answer = "452 mailbox is full"
    with pytest.raises(NotSent, match="SMTPDataError 452"):
        send(mailbox(mail_server["none"], "none"), MESSAGE)
    with pytest.raises(NotSent, match="ConnectionRefused"):
        send(mailbox(f"127.0.0.1:{free_port()}", "none"), MESSAGE)
    with pytest.raises(NotSent, match="post: SMTPNotSupportedError"):
        send(mailbox(mail_server["none"], "starttls"), MESSAGE)
    assert post.got == []


def test_a_server_whose_certificate_nobody_signed_gets_nothing(mail_server, post, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    for tls in ("starttls", "tls"):
        with pytest.raises(NotSent, match="SSLCertVerificationError"):
            send(mailbox(mail_server[tls], tls), MESSAGE)
    assert post.got == []


# the verbs -------------------------------------------------------------------------------------


@pytest.fixture
def hook() -> Iterator[tuple[str, list[tuple[str, object]]]]:
    """(URL, what it was sent): answers 500 below /broken, and as Alertmanager does."""
    got: list[tuple[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            got.append((self.path, json.loads(body) if body else None))
            answer = b'{"silenceID": "s-1"}' if self.path.endswith("silences") else b"{}"
            self.send_response(500 if "broken" in self.path else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET = _answer

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def configured(folder: Path, text: str) -> list[str]:
    (folder / "seawall.yaml").write_text(text)
    return ["--config", str(folder / "seawall.yaml")]


def test_notify_test_says_of_each_channel_whether_it_took_the_message(tmp_path, mail_server, post, hook):
    url, got = hook
    config = f"""
alertmanager: {{url: "{url}"}}
notify:
  heartbeat: {{url: "{url}/beat"}}
  channels:
    - {{name: good, kind: webhook, url: "{url}/good"}}
    - {{name: bad, kind: webhook, url: "{url}/broken"}}
    - {{name: post, kind: email, smtp: "{mail_server["none"]}", tls: none,
       sender: s@example.com, to: [o@example.com]}}
"""
    flags = configured(tmp_path, config)
    done = CliRunner().invoke(cli, ["notify", "--test", "--json", *flags], catch_exceptions=False)
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"]) == (1, False)
    found = {it["name"]: (it["ok"], it["found"]) for it in told["channels"]}
    assert found.pop("bad") == (False, "bad: HTTP 500")
    assert found == dict.fromkeys(("good", "post", "alertmanager", "heartbeat"), (True, "taken"))
    assert {path for path, _ in got} == {"/good", "/broken", "/api/v2/alerts", "/beat"}
    assert post.got[0][2]["Subject"] == "Seawall: test message"
    done = CliRunner().invoke(
        cli, ["notify", "--test", *configured(tmp_path, config.replace("/broken", "/ok"))]
    )
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "ok      good: taken")


def test_notify_without_channels_or_without_the_flag_is_no_success(tmp_path):
    flags = configured(tmp_path, "notify: {channels: []}\n")
    done = CliRunner().invoke(cli, ["notify", "--test", *flags])
    assert (done.exit_code, "no channel is configured" in done.stdout) == (1, True)
    assert isinstance(CliRunner().invoke(cli, ["notify", *flags]).exception, InputError)


def test_silence_asks_alertmanager_for_the_registry_and_the_span(tmp_path, hook):
    url, got = hook
    text = 'registries: [{name: main, url: "http://127.0.0.1:9"}]\n'
    flags = configured(tmp_path, text + f'alertmanager: {{url: "{url}"}}\n')
    command = ["silence", "main", "--for", "2h", "--reason", "disk swap", "--json", *flags]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert (done.exit_code, json.loads(done.stdout)["id"]) == (0, "s-1")
    [(path, body)] = got
    assert path == "/api/v2/silences"
    assert body["matchers"] == [{"name": "registry", "value": "main", "isRegex": False, "isEqual": True}]
    assert body["comment"] == "disk swap"
    assert parse_time(body["endsAt"]) - parse_time(body["startsAt"]) == pytest.approx(7200, abs=1)
    for change, words in [(("main", "other"), "known: main"), (("2h", "soon"), "--for")]:
        wrong = CliRunner().invoke(cli, [change[1] if it == change[0] else it for it in command])
        assert isinstance(wrong.exception, InputError)
        assert words in str(wrong.exception)
    wrong = CliRunner().invoke(
        cli, ["silence", "main", "--for", "2h", "--reason", "x", *configured(tmp_path, text)]
    )
    assert "alertmanager.url" in str(wrong.exception)
    broken = configured(tmp_path, text + f'alertmanager: {{url: "{url}/broken"}}\n')
    wrong = CliRunner().invoke(cli, ["silence", "main", "--for", "2h", "--reason", "x", *broken])
    assert isinstance(wrong.exception, SeawallError)
    assert len(got) == 2
