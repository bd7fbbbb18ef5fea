"""The inventory that a playbook runs on: this machine by default, or the user's own file."""

from pathlib import Path

from seawall.yamlfile import read_text

# Without ansible_python_interpreter Ansible looks for one, which costs a task and may find another Python.
_LOCAL = """[{group}]
localhost ansible_connection=local ansible_python_interpreter="{{{{ ansible_playbook_python }}}}"
"""


def inventory_text(group: str, file: Path | None = None) -> str:
    """The content of `file` (INI or YAML, which must define `group`), else this machine as the one
    host of `group`. InputError if the file cannot be read."""
    return read_text(file) if file else _LOCAL.format(group=group)
