"""How a registry fails, and how a healthy one says no."""


class Broken(Exception):
    """The registry failed: 5xx, a wrong digest, an answer that is none."""


class Denied(Exception):
    """The registry is healthy and says no: 401, 403, 404 or 429."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Gone(Broken):
    """The connection was closed before the first byte of an answer: a reused one may be opened anew."""
