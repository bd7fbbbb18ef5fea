"""The pull probe's own client: measured by phases, strict about what it trusts, cheap enough for hundreds of
registries. phases and faults (what is told) <- address, names, wire, http2, dial
(one connection) <- tokens, exchange (one request) <- images, pull (the whole of it)."""
