"""Is it signed, and by whom: verify."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seawall.cli.base import ConfigFlag, JsonFlag, app, say

if TYPE_CHECKING:
    from collectors.signatures.verdicts import Verdict

KeysFlag = Annotated[list[Path] | None, typer.Option("--key", help="PEM public key; may be repeated.")]
RootsFlag = Annotated[
    list[Path] | None, typer.Option("--keyless-roots", help="PEM of Fulcio: root, intermediates; repeatable.")
]
RekorFlag = Annotated[
    list[Path] | None, typer.Option("--rekor-key", help="PEM key of the transparency log; may be repeated.")
]
CtFlag = Annotated[
    list[Path] | None, typer.Option("--ct-key", help="PEM key of the certificates' own log; may be repeated.")
]
IdentityFlag = Annotated[
    list[str] | None, typer.Option("--identity", help="Who may sign, `*` for any text; may be repeated.")
]
IssuerFlag = Annotated[
    str | None, typer.Option("--issuer", help="Who vouches for --identity, word for word.")
]
RevokedFlag = Annotated[
    list[str] | None, typer.Option("--revoked", help="Key file or sha256:<hex> that counts no more.")
]


@app.command()
def verify(
    image: Annotated[str, typer.Argument(help="registry.example.com:5000/team/app:1.0")],
    key: KeysFlag = None,
    trust_store: Annotated[Path | None, typer.Option(help="Folder of authorities' certificates.")] = None,
    keyless_roots: RootsFlag = None,
    rekor_key: RekorFlag = None,
    ct_key: CtFlag = None,
    identity: IdentityFlag = None,
    issuer: IssuerFlag = None,
    revoked: RevokedFlag = None,
    config: ConfigFlag = None,
    plain_http: Annotated[bool, typer.Option(help="Plain HTTP elsewhere than on loopback.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds for all look-ups.", min=0.1, max=600)] = 20.0,
    ca_file: Annotated[Path | None, typer.Option(help="PEM file; else as configured.")] = None,
    username: Annotated[str | None, typer.Option(help="With --password-file; else as configured.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="File of mode 0600.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say whether an image is signed by somebody who is trusted: signed, unsigned or unknown, and why."""
    from collectors.signatures.verdicts import SIGNED
    from seawall.verifying import Question, keyless_asked, verify_once

    trusted = tuple(key or ()), trust_store, tuple(revoked or ())
    keyless = keyless_asked(keyless_roots, rekor_key, ct_key, identity, issuer)
    question = Question(image, timeout, *trusted, plain_http, ca_file, username, password_file, keyless)
    verdict = asyncio.run(verify_once(question, config))
    if as_json:
        say(_shape(image, verdict))
    else:
        typer.echo(f"{verdict.signature}: {verdict.reason}\n{image}: {verdict.digest or 'no digest known'}")
    raise typer.Exit(0 if verdict.signature == SIGNED else 1)


def _shape(image: str, verdict: "Verdict") -> dict[str, Any]:
    return {
        "image": image,
        "digest": verdict.digest or None,
        "signature": verdict.signature,
        "reason": verdict.reason,
    }
