"""Channels that reach people: webhook JSON, Slack, DingTalk, WeCom, PagerDuty, SMTP.

One function a kind; each returns when the other side has taken the message and raises `NotSent` with its
words otherwise. Secrets are read at each use and are never part of an error.
"""

import base64
import hashlib
import hmac
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote_plus

import httpx

from seawall.core.errors import SeawallError

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
TIMEOUT = 10.0


class NotSent(SeawallError):
    """The other side did not take it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell. `id` is the same at every attempt; `kind`: opened, approval_wanted, escalation,
    escalated, resolved or test; `severity`: page or ticket; links are "" where there is none; `picture` is
    the signal as SVG, or ""; `anchor` is the newest entry of the audit log then, or ""."""

    id: str
    kind: str
    severity: str
    registry: str
    incident: str
    title: str
    text: str
    url: str = ""
    runbook: str = ""
    picture: str = ""
    anchor: str = ""

    @property
    def body(self) -> str:
        """Text with its links and the anchor, one a line."""
        return "\n".join(line for line in (self.text, self.url, self.runbook, self.anchor) if line)


@dataclass(frozen=True, slots=True)
class Address:
    """A channel with its secrets as questions: `url` and `secret` are read at each use. InputError."""

    name: str
    kind: str
    severities: Sequence[str]
    url: Callable[[], str]
    secret: Callable[[], str | None]
    smtp: str = ""
    tls: str = "starttls"
    sender: str = ""
    to: Sequence[str] = ()
    username: str | None = None


def send(address: Address, message: Message) -> None:
    """Blocks until it is taken. NotSent, InputError."""
    try:
        _KINDS[address.kind](address, message)
    except httpx.HTTPError as error:
        raise NotSent(f"{address.name}: {type(error).__name__}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{address.name}: {_smtp_words(error)}") from error


def _smtp_words(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else f"{type(error).__name__}: {error}"[:200]


def _post(
    address: Address, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> Any:
    with httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client:
        answer = client.post(url, json=body, headers=dict(headers or {}))
    if not answer.is_success:
        raise NotSent(f"{address.name}: HTTP {answer.status_code}")
    try:
        return answer.json()
    except ValueError:
        return None


def _webhook(address: Address, it: Message) -> None:
    headers = {"Idempotency-Key": it.id}
    if secret := address.secret():
        headers["Authorization"] = f"Bearer {secret}"
    _post(address, address.url(), asdict(it), headers)


def _slack(address: Address, it: Message) -> None:
    _post(address, address.url(), {"text": f"*{it.title}*\n{it.body}"})


def _dingtalk(address: Address, it: Message) -> None:
    """A robot of DingTalk; with a secret, its signature of time (docs of custom robots)."""
    url = address.url()
    if secret := address.secret():
        stamp = str(round(time.time() * 1000))
        digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        url += f"{'&' if '?' in url else '?'}timestamp={stamp}&sign={quote_plus(base64.b64encode(digest))}"
    markdown = {"title": it.title, "text": f"### {it.title}\n\n" + it.body.replace("\n", "\n\n")}
    _accepted(address, _post(address, url, {"msgtype": "markdown", "markdown": markdown}))


def _wecom(address: Address, it: Message) -> None:
    content = f"**{it.title}**\n{it.body}".encode()[:4000].decode(errors="ignore")
    body = {"msgtype": "markdown", "markdown": {"content": content}}
    _accepted(address, _post(address, address.url(), body))


def _accepted(address: Address, answer: Any) -> None:
    """These two answer 200 to everything and tell the truth in `errcode`."""
    code = answer.get("errcode") if isinstance(answer, dict) else None
    if code != 0:
        raise NotSent(f"{address.name}: errcode {code!r}")


def _pagerduty(address: Address, it: Message) -> None:
    event: dict[str, Any] = {
        "routing_key": address.secret(),
        "event_action": "resolve" if it.kind == "resolved" else "trigger",
        "dedup_key": it.incident,
        "payload": {
            "summary": it.title[:1024],
            "source": it.registry or "seawall",
            "severity": "critical" if it.severity == "page" else "warning",
            "custom_details": {"text": it.text, "audit": it.anchor},
        },
    }
    event["links"] = [{"href": link, "text": link} for link in (it.url, it.runbook) if link]
    _post(address, address.url() or PAGERDUTY, event)


def _email(address: Address, it: Message) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = it.title, address.sender, ", ".join(address.to)
    mail["Message-ID"] = f"<{hashlib.sha256(it.id.encode()).hexdigest()[:32]}@seawall>"
    mail.set_content(it.body)
    if it.picture:
        mail.add_attachment(it.picture.encode(), "image", "svg+xml", filename="signal.svg")
    host, _, port = address.smtp.rpartition(":")
    context = ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, int(port), timeout=TIMEOUT, context=context)
        if address.tls == "tls"
        else smtplib.SMTP(host, int(port), timeout=TIMEOUT)
    )
    with server:
        if address.tls == "starttls":
            server.starttls(context=context)
        if address.username:
            server.login(address.username, address.secret() or "")
        server.send_message(mail)


_KINDS: dict[str, Callable[[Address, Message], None]] = {
    "webhook": _webhook,
    "slack": _slack,
    "dingtalk": _dingtalk,
    "wecom": _wecom,
    "pagerduty": _pagerduty,
    "email": _email,
}
