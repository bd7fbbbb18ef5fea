"""Runs in trouble, with the real ansible-runner: floods of output, secrets in it, sudo that asks, a target
that vanishes, inventories of every kind, a real SSH server whose key is not known."""

import getpass
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from remediation.archive import is_packed, pack
from remediation.inventory import inventory_text, reach
from remediation.output import lines
from remediation.runs import AnsibleRunner, ssh_folder
from seawall.core.errors import InputError, RunFailed
from seawall.core.ports import Target
from tests.integration.test_runner import HEAD, left_over
from tests.serving import free_port, until

pytestmark = pytest.mark.integration
RUNNER = AnsibleRunner()
SECRET = "hunter2-of-the-harbour"
LOCAL = 'ansible_connection=local ansible_python_interpreter="{{ ansible_playbook_python }}"'


@pytest.fixture
def target(tmp_path: Path) -> Callable[..., Target]:
    def make(tasks: str, inputs: dict[str, Any] | None = None, **changes: Any) -> Target:
        playbook = tmp_path / "playbook" / "playbook.yml"
        playbook.parent.mkdir(exist_ok=True)
        playbook.write_text(HEAD + tasks)
        folder = tmp_path / "act-1" / "1-run"
        made = Target(folder, playbook, inputs or {}, inventory_text("registry_servers"), 120)
        return replace(made, **changes)

    return make


def size(folder: Path) -> int:
    return sum(it.stat().st_size for it in folder.rglob("*") if it.is_file())


def everything(folder: Path) -> str:
    return "".join(it.read_text(errors="replace") for it in folder.rglob("*") if it.is_file())


# floods --------------------------------------------------------------------------------------


def test_a_gigabyte_of_output_is_bounded_in_memory_and_on_disk(target) -> None:
    """One task says it: Ansible would hold all of it, several times over."""
    it = target("    - ansible.builtin.debug: {msg: \"{{ 'x' * 1073741824 }}\"}\n")
    outcome = AnsibleRunner(memory=512 << 20).run(it, "d")
    assert outcome.status == "failed"
    assert "took more than 512 MiB of memory (runs.memory)" in outcome.message
    assert size(it.folder) < 4 << 20
    until(lambda: not left_over(it.folder), 5)


def test_a_command_that_prints_a_gigabyte_ends_with_its_time_limit(target) -> None:
    """Ansible takes minutes to read that much from a pipe, in little memory: the limit is that of time."""
    it = target("    - ansible.builtin.shell: head -c 1073741824 /dev/zero | tr '\\0' x\n", timeout=6.0)
    outcome = RUNNER.run(it, "d")
    assert (outcome.status, outcome.message) == ("timeout", "stopped at its time limit")
    assert size(it.folder) < 4 << 20
    until(lambda: not left_over(it.folder), 5)


def test_a_hundred_megabytes_in_pieces_pass_and_leave_a_bounded_log(target) -> None:
    tasks = "".join(
        f"    - name: Flood {number}\n"
        "      ansible.builtin.shell: head -c 10000000 /dev/zero | tr '\\0' y | fold -w 100\n"
        for number in range(10)
    )
    it = target(tasks)
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "successful", outcome.message
    assert [change.task for change in outcome.changes] == [f"Flood {number}" for number in range(10)]
    assert (it.folder / "events.jsonl").stat().st_size <= (1 << 20) + 200
    assert size(it.folder) < 4 << 20


def test_endless_lines_end_with_a_word_that_some_are_left_out(target) -> None:
    loop = '    - ansible.builtin.debug: {msg: "{{ \'z\' * 1900 }}"}\n      loop: "{{ range(900) | list }}"\n'
    it = target(loop)
    assert RUNNER.run(it, "d").status == "successful"
    said = list(lines(it.folder.parent))
    assert said[-1].text == "(further lines are left out)"
    assert (it.folder / "events.jsonl").stat().st_size <= (1 << 20) + 200


# secrets -------------------------------------------------------------------------------------

LEAKY = f"""    - name: Print it
      ansible.builtin.command: echo "the key is {{{{ api_token }}}}"
    - name: Print it as a setting
      ansible.builtin.command: echo password={SECRET}-other
    - name: Hidden
      ansible.builtin.command: echo {SECRET}-hidden
      no_log: true
    - name: Write it
      ansible.builtin.copy:
        content: "token: {{{{ api_token }}}}\\n"
        dest: "{{{{ folder }}}}/written"
        mode: "0600"
    - name: Fail with it
      ansible.builtin.fail:
        msg: "no luck with {{{{ api_token }}}}"
"""


def test_a_secret_in_the_output_is_nowhere_afterwards(target, tmp_path: Path) -> None:
    it = target(LEAKY, {"api_token": SECRET, "folder": str(tmp_path)})
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "failed"
    assert "no luck with ****" in outcome.message
    assert (tmp_path / "written").read_text() == f"token: {SECRET}\n"  # it really was used
    said = [line.text for line in lines(it.folder.parent)]
    assert any(line.endswith("Print it: the key is ****") for line in said)
    assert any("password=****" in line for line in said)
    assert any(change.diff and "****" in change.diff for change in outcome.changes)
    assert SECRET not in repr(outcome) + "".join(said)
    shutil.rmtree(it.folder / "project")  # the playbook of this test holds it itself
    assert SECRET not in everything(it.folder)


def test_a_password_in_the_inventory_is_masked(target) -> None:
    inventory = f"[registry_servers]\nlocalhost {LOCAL} ansible_become_password={SECRET}\n"
    it = target(f"    - ansible.builtin.command: echo {SECRET}\n", inventory=inventory)
    assert RUNNER.run(it, "d").status == "successful"
    assert SECRET not in "".join(line.text for line in lines(it.folder.parent))


def test_the_preview_of_a_secret_is_masked(target, tmp_path: Path) -> None:
    it = target(LEAKY, {"api_token": SECRET, "folder": str(tmp_path)})
    outcome = RUNNER.check(it)
    assert outcome.skipped[:3] == ("Print it", "Print it as a setting", "Hidden")
    assert SECRET not in repr(outcome)


# what a run may see, and what is left --------------------------------------------------------


def test_the_environment_is_clean_and_files_are_for_the_owner_only(target, monkeypatch) -> None:
    monkeypatch.setenv("SEAWALL_TOKEN", SECRET)
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    it = target(
        "    - ansible.builtin.command: env\n      register: seen\n"
        "    - ansible.builtin.assert:\n        that:\n"
        "          - \"'SEAWALL_TOKEN' not in seen.stdout\"\n"
        "          - \"'ANSIBLE_HOST_KEY_CHECKING=True' in seen.stdout\"\n"
        "    - ansible.builtin.shell: stat -c '%a %n' {{ run }} {{ run }}/env/* {{ run }}/inventory/*\n"
        "      register: modes\n"
        "    - ansible.builtin.assert:\n"
        "        that: modes.stdout_lines | select('match', '[67]00 ') | length >= 3\n",
    )
    it = replace(it, inputs={"run": str(it.folder)})
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "successful", outcome.message
    open_to_others = [p for p in it.folder.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert not [p for p in open_to_others if p.relative_to(it.folder).parts[0] not in ("project", "library")]


def test_facts_are_private_to_the_run_and_gone_after_it(target) -> None:
    it = target(
        "    - ansible.builtin.setup: {gather_subset: ['!all', '!min']}\n"
        "    - ansible.builtin.set_fact: {colour: blue, cacheable: true}\n"
        "    - ansible.builtin.find: {paths: '{{ run }}/artifacts/run/fact_cache'}\n      register: cached\n"
        "    - ansible.builtin.assert: {that: cached.matched == 1}\n"
    )
    outcome = RUNNER.run(replace(it, inputs={"run": str(it.folder)}), "d")
    assert outcome.status == "successful", outcome.message
    assert not (it.folder / "artifacts").exists()


def test_a_packed_run_is_small_still_found_still_read_and_never_run_again(target) -> None:
    it = target("    - {name: Hello, ansible.builtin.debug: {msg: hello}}\n", {"plain": "secretless"})
    RUNNER.run(it, "d")
    before = list(lines(it.folder.parent))
    pack(it.folder)
    pack(it.folder)
    assert is_packed(it.folder)
    assert sorted(p.name for p in it.folder.iterdir()) == [
        "artifacts.tar.gz",
        "events.jsonl.gz",
        "job.json",
        "lock",
        "outcome.json",
    ]
    assert list(lines(it.folder.parent)) == before
    assert list(lines(it.folder.parent, before[0].cursor)) == before[1:]
    found = RUNNER.find(it.folder)
    assert found.outcome is not None and found.outcome.status == "successful"
    with pytest.raises(RunFailed, match="never run twice"):
        RUNNER.run(it, "d")
    listed = subprocess.run(
        ["tar", "tzf", it.folder / "artifacts.tar.gz"], capture_output=True, text=True, check=True
    )
    assert "project/playbook.yml" in listed.stdout
    assert "extravars" not in listed.stdout


# become, targets ----------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("sudo"), reason="needs sudo")
@pytest.mark.parametrize("flags", ["-H -S -n", "-H -S"])
def test_sudo_that_asks_for_a_password_fails_and_says_so(target, flags: str) -> None:
    """As nobody, who may not; root itself is never asked. Without -n sudo prompts and waits for an answer."""
    it = target(
        "    - ansible.builtin.command: id\n      become: true\n      become_user: daemon\n      vars:\n"
        "        ansible_become_exe: setpriv --reuid=65534 --regid=65534 --clear-groups sudo\n"
        "        ansible_become_flags: '"
        f"{flags}'\n"
    )
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "failed", outcome.message
    assert "sudo" in outcome.message
    assert "without a password, or set ansible_become_password" in outcome.message
    assert outcome.ended_at - outcome.started_at < 30
    until(lambda: not left_over(it.folder), 5)


def test_a_target_that_vanished_is_unreachable_not_failed(target) -> None:
    inventory = f"[registry_servers]\ngone ansible_host=127.0.0.1 ansible_port={free_port()}\n"
    it = target("    - ansible.builtin.ping:\n", inventory=inventory)
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "unreachable"
    assert "refused" in outcome.message and "127.0.0.1" in outcome.message


# inventories --------------------------------------------------------------------------------


def write_inventory(folder: Path, kind: str) -> Path:
    hosts = {"one": {"greeting": "hello"}, "two": {"greeting": "good day"}}
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    path = folder / f"hosts.{kind}"
    if kind == "ini":
        text = "".join(f"{name} greeting='{it['greeting']}'\n" for name, it in hosts.items())
        shared = "".join(f'{key}="{value}"\n' for key, value in local.items())
        path.write_text(f"[registry_servers]\n{text}[registry_servers:vars]\n{shared}[rest]\nthree\n")
    elif kind == "yaml":
        body = {"registry_servers": {"hosts": hosts, "vars": local}, "rest": {"hosts": {"three": {}}}}
        path.write_text(json.dumps(body))
    else:
        body = {
            "registry_servers": {"hosts": list(hosts), "vars": local},
            "rest": {"hosts": ["three"]},
            "_meta": {"hostvars": hosts},
        }
        path.write_text(f"#!{sys.executable}\nprint({json.dumps(body)!r})\n")
        path.chmod(0o700)
    return path


@pytest.mark.parametrize("kind", ["ini", "yaml", "script"])
def test_a_run_reaches_the_hosts_of_every_kind_of_inventory(target, tmp_path: Path, kind: str) -> None:
    path = write_inventory(tmp_path, kind)
    text = inventory_text("registry_servers", path)
    assert inventory_text("registry_servers", path) == text
    assert reach("registry_servers", text).hosts == ("one", "two")
    assert reach("registry_servers", text).share == pytest.approx(2 / 3)
    it = target(
        "    - ansible.builtin.debug: {msg: '{{ greeting }} {{ inventory_hostname }}'}\n", inventory=text
    )
    assert RUNNER.run(it, "d").status == "successful"
    said = "".join(line.text for line in lines(it.folder.parent))
    assert "hello one" in said and "good day two" in said and "three" not in said


def test_an_inventory_script_that_fails_is_told(tmp_path: Path) -> None:
    script = tmp_path / "hosts.sh"
    script.write_text("#!/bin/sh\necho no luck >&2\nexit 3\n")
    script.chmod(0o700)
    with pytest.raises(InputError, match=r"hosts\.sh: cannot be read as an inventory"):
        inventory_text("registry_servers", script)


# SSH ----------------------------------------------------------------------------------------


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[tuple[int, Path, Path]]:
    """A real SSH server on loopback: (port, our private key, its public host key)."""
    if not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs openssh-server")
    host, user, port = tmp_path / "host", tmp_path / "user", free_port()
    for key in (host, user):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host}\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {user}.pub\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
    )
    with (tmp_path / "sshd.log").open("wb") as log:
        server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stdout=log, stderr=log)
    try:
        until(lambda: "listening" in (tmp_path / "sshd.log").read_text(), 10)
        yield port, user, host.with_suffix(".pub")
    finally:
        for process in psutil.Process(server.pid).children(recursive=True):
            process.kill()
        server.kill()
        server.wait()


def over_ssh(port: int, key: Path, known: Path) -> str:
    options = f"-o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null"
    return (
        f"[registry_servers]\nfar ansible_host=127.0.0.1 ansible_port={port} ansible_user={getpass.getuser()}"
        f" ansible_ssh_private_key_file={key} ansible_ssh_common_args='{options}'"
        f" ansible_python_interpreter={sys.executable}\n"
    )


def test_a_host_whose_key_is_known_is_reached_over_ssh(target, sshd, tmp_path: Path) -> None:
    port, key, public = sshd
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {public.read_text()}")
    it = target(
        "    - ansible.builtin.copy: {content: 'x', dest: '{{ folder }}/over-ssh', mode: '0600'}\n",
        {"folder": str(tmp_path)},
        inventory=over_ssh(port, key, known),
    )
    preview = RUNNER.check(replace(it, folder=it.folder.with_name("0-check")))
    assert preview.status == "successful", preview.message
    assert [change.host for change in preview.changes] == ["far"]
    assert not (tmp_path / "over-ssh").exists()
    assert RUNNER.run(it, "d").status == "successful"
    assert (tmp_path / "over-ssh").read_text() == "x"
    assert not left_over(it.folder)
    assert not ssh_folder(it.folder).exists()
    mine = f"ssh: {ssh_folder(it.folder)}/"
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if " ".join(p.info["cmdline"] or ()).startswith(mine)
    ]


def test_a_host_whose_key_is_not_known_is_refused(target, sshd, tmp_path: Path) -> None:
    port, key, _ = sshd
    (tmp_path / "known_hosts").touch()
    it = target("    - ansible.builtin.ping:\n", inventory=over_ssh(port, key, tmp_path / "known_hosts"))
    outcome = RUNNER.run(it, "d")
    assert outcome.status == "unreachable"
    assert "Host key verification failed" in outcome.message
