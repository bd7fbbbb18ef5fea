#!/usr/bin/python
"""Ansible module: put a renewed certificate and its key in place, proved before and after."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: certificate_file
short_description: Replace a server's certificate and key, with check mode and diff
description:
  - C(renewed) does nothing while the certificate in place fits its key and is good for C(renew_before_days).
  - It runs C(renew) where one is given, then takes C(new_certificate) and C(new_key), and refuses them unless
    the key fits, the chain leads to C(ca_file) (else to the system's authorities), the name is C(url)'s,
    and they are good for C(renew_before_days). Then it replaces both, reloads, and waits until the server
    shows the new one.
  - If the reload or the look fails, the old pair comes back and the module fails.
  - The old pair stays beside the new one (C(.seawall-old), mode 0600); C(restored) puts it back.
  - Needs the openssl program. No key is ever in a diff.
options:
  certificate: {description: "Absolute path, with its chain.", type: path, required: true}
  key: {type: path, required: true}
  new_certificate: {type: path, required: true}
  new_key: {type: path, required: true}
  renew: {description: Program and arguments that make the new pair., type: list, elements: str, default: []}
  reload: {description: Program and arguments., type: list, elements: str, required: true}
  ca_file: {type: path}
  url: {description: Where the server answers., type: str, required: true}
  renew_before_days: {type: int, default: 30}
  state: {type: str, choices: [renewed, restored], required: true}
"""
RETURN = r"""
not_after: {description: End of the certificate in place as openssl prints it., type: str}
"""
_OLD, _WAIT_SECONDS = ".seawall-old", 15
_URL = re.compile(r"https://(\[[0-9a-fA-F:]+\]|[^/:@]+)(?::(\d+))?(?:/.*)?")


class Unfit(Exception):
    """What is wrong with a pair."""


def openssl(*arguments):
    """Its standard output. Unfit if it fails."""
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        wrong = next((line for line in said if line.startswith("error ")), said[-1] if said else "no word")
        raise Unfit(f"openssl {arguments[0]}: {wrong}")
    return done.stdout


def where(module):
    """(host, port) of the URL. Fails the module if it is none of https."""
    found = _URL.fullmatch(module.params["url"])
    if not found:
        module.fail_json(msg=f"{module.params['url']!r} is no https:// URL")
    return found[1].strip("[]"), int(found[2] or 443)


def facts(certificate):
    """What the diff shows of a certificate: subject, end, fingerprint."""
    if not Path(certificate).exists():
        return f"file: {certificate}\ncertificate: missing\n"
    try:
        told = openssl(
            "x509",
            "-in",
            certificate,
            "-noout",
            "-subject",
            "-issuer",
            "-serial",
            "-enddate",
            "-fingerprint",
            "-sha256",
        )
    except Unfit as error:
        return f"file: {certificate}\ncertificate: unreadable ({error})\n"
    return f"file: {certificate}\n{told}"


def end_of(certificate):
    """As openssl prints it."""
    return openssl("x509", "-in", certificate, "-noout", "-enddate").strip().partition("=")[2]


def check(module, certificate, key, chain=True):
    """Unfit unless the key fits, the time is left, and (with `chain`) name and authority are right."""
    days = module.params["renew_before_days"]
    for path in (certificate, key):
        if not Path(path).is_file():
            raise Unfit(f"{path} is missing")
    public = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    if openssl("pkey", "-in", key, "-pubout", "-passin", "pass:") != public:
        raise Unfit(f"{key} is not the key of {certificate}")
    try:
        openssl("x509", "-in", certificate, "-noout", "-checkend", str(days * 86400))
    except Unfit:
        raise Unfit(f"{certificate} ends at {end_of(certificate)}: less than {days} days are left") from None
    if chain:
        host, _ = where(module)
        name = (
            "-verify_ip" if re.fullmatch(r"[\d.]+|[0-9a-fA-F:]*:[0-9a-fA-F:]*", host) else "-verify_hostname"
        )
        authority = ["-CAfile", module.params["ca_file"]] if module.params["ca_file"] else []
        # No partial chains: the leaf in the file is checked, the rest of the file helps.
        openssl("verify", name, host, *authority, "-untrusted", certificate, certificate)


def put(source, target, mode):
    """A copy in place of `target`, whole or not at all, with the owner that it had."""
    target = Path(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(Path(source).read_bytes())
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        known = target.stat()
        os.chown(name, known.st_uid, known.st_gid)
        mode = known.st_mode & 0o777
    Path(name).chmod(mode)
    Path(name).replace(target)


def swap(module, certificate, key):
    """Both files, the key first: a server that starts in between fails instead of serving a wrong pair."""
    put(key, module.params["key"], 0o600)
    put(certificate, module.params["certificate"], 0o644)


def keep(module):
    """The pair in place, beside itself."""
    for name in ("certificate", "key"):
        source = Path(module.params[name])
        if source.exists():
            shutil.copy2(source, f"{source}{_OLD}")
            Path(f"{source}{_OLD}").chmod(0o600)


def served(host, port):
    """The certificate that the server shows, in PEM, or why there is none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only looked at; openssl has judged
    try:
        with socket.create_connection((host, port), 3) as plain:  # noqa: SIM117 - for older Pythons
            with context.wrap_socket(plain, server_hostname=host) as it:
                return ssl.DER_cert_to_PEM_cert(it.getpeercert(binary_form=True)), ""
    except OSError as error:
        return None, str(error)


def first_of(certificate):
    """The leaf of a file in the form of `served`."""
    text = openssl("x509", "-in", certificate)
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text))


def load(module):
    """Reload, and wait until the server shows the certificate in place. Unfit if it does not."""
    code, out, err = module.run_command(module.params["reload"])
    if code:
        said = (err.strip() or out.strip()).splitlines()
        raise Unfit(f"the reload failed: {said[-1] if said else f'code {code}'}")
    wanted, latest = first_of(module.params["certificate"]), time.monotonic() + _WAIT_SECONDS
    while True:
        found, why = served(*where(module))
        if found == wanted:
            return
        if time.monotonic() > latest:
            raise Unfit(f"the server shows another certificate after {_WAIT_SECONDS} s" if found else why)
        time.sleep(0.2)


def renew(module):
    """Make the new pair, prove it, put it in place, prove it again."""
    new, key = module.params["new_certificate"], module.params["new_key"]
    if module.params["renew"]:
        code, out, err = module.run_command(module.params["renew"])
        if code:
            said = (err.strip() or out.strip()).splitlines()
            raise Unfit(f"the renewal failed: {said[-1] if said else f'code {code}'}")
    check(module, new, key)
    keep(module)
    swap(module, new, key)
    settle(module)


def settle(module):
    """Load what is in place, else put the old pair back."""
    try:
        load(module)
    except Unfit as error:
        restore(module)
        module.run_command(module.params["reload"])
        raise Unfit(f"{error}; the old certificate is in place again") from error


def restore(module):
    """The old pair, where there is one."""
    old = [f"{module.params[name]}{_OLD}" for name in ("certificate", "key")]
    if all(Path(path).is_file() for path in old):
        swap(module, *old)


def plan(module):
    """The certificate file that will be in place, and why; (None, why) if nothing is to be done."""
    certificate, key = module.params["certificate"], module.params["key"]
    if module.params["state"] == "restored":
        old = f"{certificate}{_OLD}"
        if not Path(old).is_file():
            return None, "there is no old certificate"
        same = Path(certificate).is_file() and Path(old).read_bytes() == Path(certificate).read_bytes()
        return (None, "the old certificate is in place") if same else (old, "")
    try:
        check(module, certificate, key, chain=False)
    except Unfit as error:
        return module.params["new_certificate"], str(error)
    return None, "the certificate is good"


def after(module, source, why):
    """The side of the diff that is to come."""
    if module.params["state"] == "renewed" and module.params["renew"]:
        made_by = " ".join(module.params["renew"])
        return f"file: {module.params['certificate']}\ncertificate: as made by {made_by}\n"
    return facts(source).replace(source, module.params["certificate"], 1)


def main():
    """Look, prove, replace, reload, prove."""
    module = AnsibleModule(
        argument_spec={
            "certificate": {"type": "path", "required": True},
            "key": {"type": "path", "required": True, "no_log": False},
            "new_certificate": {"type": "path", "required": True},
            "new_key": {"type": "path", "required": True, "no_log": False},
            "renew": {"type": "list", "elements": "str", "default": []},
            "reload": {"type": "list", "elements": "str", "required": True},
            "ca_file": {"type": "path"},
            "url": {"type": "str", "required": True},
            "renew_before_days": {"type": "int", "default": 30},
            "state": {"type": "str", "required": True, "choices": ["renewed", "restored"]},
        },
        supports_check_mode=True,
    )
    module.get_bin_path("openssl", required=True)
    where(module)
    source, why = plan(module)
    if source is None:
        module.exit_json(changed=False, msg=why)
    certificate, renewing = module.params["certificate"], module.params["state"] == "renewed"
    diff = {
        "before_header": certificate,
        "after_header": certificate,
        "before": facts(certificate),
        "after": after(module, source, why),
    }
    try:
        if module.check_mode:
            if renewing and not module.params["renew"]:
                check(module, source, module.params["new_key"])
        elif renewing:
            renew(module)
        else:
            restore(module)
            load(module)
        module.exit_json(changed=True, msg=why, not_after=end_of(certificate), diff=diff)
    except (OSError, Unfit) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
