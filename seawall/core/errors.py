"""Every error that Seawall raises on purpose.

SeawallError
├── InputError        what a person or another system gave is wrong: place, finding, remedy
├── NotFound          no record of that name
├── Conflict          the record is not in the state that the change expects (compare-and-set lost)
│   └── Stale         it has changed since the asker read it; nothing was done
├── Refused           the policy, the role or the freeze switch forbids it
├── Overloaded        a bounded queue is full; try again
├── StoreUnavailable  a store cannot be reached or written
└── RunFailed         the worker of a playbook could not be started or read
"""


class SeawallError(Exception):
    """Root of the tree."""


class InputError(SeawallError):
    """Bad input, told as `place: finding; remedy`."""

    def __init__(self, place: str, finding: str, remedy: str) -> None:
        super().__init__(f"{place}: {finding}; {remedy}")
        self.place, self.finding, self.remedy = place, finding, remedy


class NotFound(SeawallError):
    """The named record does not exist."""


class Conflict(SeawallError):
    """Compare-and-set lost: somebody else was first, or the state does not allow the change."""


class Stale(Conflict):
    """What the asker has read is no longer so; nothing was done."""


class Refused(SeawallError):
    """Forbidden by policy, role or the freeze switch; the message says by which."""


class Overloaded(SeawallError):
    """A bounded queue is full; nothing was taken."""


class StoreUnavailable(SeawallError):
    """A store did not answer."""


class RunFailed(SeawallError):
    """The worker process of a run could not be started, or left nothing readable."""
