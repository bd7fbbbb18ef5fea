"""One hop to another thread for a request, instead of two: FastAPI runs a plain function in a worker thread,
and goes to one again to hold its answer against the model. On a busy core each hop waits for the
interpreter's lock."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool


class OneHop(APIRoute):
    """A route whose plain function runs in a worker thread, and whose answer is checked where it arrives."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, _hopping(endpoint), **options)


def _hopping(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    async def hopped(**given: Any) -> Any:
        return await run_in_threadpool(endpoint, **given)

    return hopped
