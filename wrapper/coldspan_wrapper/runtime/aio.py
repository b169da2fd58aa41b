"""Handlers that are coroutines or asynchronous generators. asyncio is imported with the first of them (some 40 ms).

One event loop serves all invocations, so that clients made in one can be used in the next; between invocations it
stands still. A write to the response blocks it, which is what backpressure is.
"""

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldspan_wrapper.runtime.stream import ResponseStream

_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)


def run(returned: "Any", stream: "ResponseStream") -> object:
    """The result of what the handler returned; `stream` itself where that was iterated into it."""
    result, error = _loop.run_until_complete(_settle(returned, stream))
    if error is not None:
        raise error  # here, so that no frame of asyncio's is below the function's own
    return result


async def _settle(returned: "Any", stream: "ResponseStream") -> "tuple[object, Exception | None]":
    try:
        return await _drive(returned, stream), None
    except Exception as error:
        return None, error


async def _drive(returned: "Any", stream: "ResponseStream") -> object:
    """In one task, since timeouts and context variables of a generator are bound to it."""
    if hasattr(type(returned), "__await__"):
        returned = await returned
    if not hasattr(type(returned), "__anext__"):
        return returned
    try:
        async for item in returned:
            stream.put(item)
    finally:
        close = getattr(returned, "aclose", None)
        if close is not None:
            await close()
    return stream
