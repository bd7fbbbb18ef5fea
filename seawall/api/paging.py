"""Pages by cursor over what a store lists newest first, with filters that it does not know."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from seawall.core.errors import InputError

Cursor = Annotated[
    str | None, Query(max_length=512, description="The `next` of the page before; without it the first page.")
]
LOOKED_AT = 2000
"""How many records one page looks at; where few of them fit the page is short, and `next` goes on."""


R = TypeVar("R")


def walk(
    ask: Callable[[str | None, int], tuple[list[R], str | None]],
    fits: Callable[[R], bool],
    limit: int,
    cursor: str | None,
) -> tuple[list[R], str | None]:
    """Up to `limit` that fit, and the cursor after them. `ask(cursor, n)` gives a page of the store."""
    kept: list[R] = []
    for _ in range(LOOKED_AT // limit + 1):
        found, following = ask(cursor, limit - len(kept))
        kept += [it for it in found if fits(it)]
        cursor = following
        if cursor is None or len(kept) == limit:
            break
    return kept, cursor


def held(items: Sequence[R], limit: int, cursor: str | None) -> tuple[Sequence[R], str | None]:
    """A page of what is held in memory; the cursor is the place in the list."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise InputError("cursor", f"{cursor!r} is none of ours", "give the `next` of the page before")
    start = int(cursor or 0)
    return items[start : start + limit], str(start + limit) if start + limit < len(items) else None


def cut(items: Sequence[dict[str, Any]], limit: int, cursor: str | None) -> dict[str, Any]:
    """`held` as a list's envelope."""
    found, following = held(items, limit, cursor)
    return {"items": list(found), "next": following}
