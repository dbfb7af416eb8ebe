"""The answer of an operation that may work for minutes: what is in front of us must not take the silence for death.

As Amazon S3 does, it sends the head of a success, then white space for as long as it works, then the document, which
may be an `<Error>`: clients know that of these operations. The head goes out only when the work takes long, so that
everything that ends soon has its true status. Source: Amazon S3 API Reference, CompleteMultipartUpload and CopyObject.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog

from deltaglider_proxy.s3.call import XML_HEADERS, Response
from deltaglider_proxy.s3.protocol.xml_out import DECLARATION
from deltaglider_proxy.telemetry.tasks import beside

_log = structlog.get_logger("deltaglider_proxy.s3")


async def patiently(work: Coroutine[Any, Any, Response], seconds: float) -> Response:
    """What comes of `work`, whose failures are responses too; or, after `seconds`, a response that lasts as long.

    The work ends whether or not the client is there to hear of it.
    """
    async with AsyncExitStack() as stack:
        task = await stack.enter_async_context(beside(work))
        done, _ = await asyncio.wait([task], timeout=seconds)
        if done:
            return task.result()
        kept = stack.pop_all()

    async def close() -> None:
        async with kept:
            await asyncio.wait([task])

    return Response(200, [*XML_HEADERS], stream=_spaces(task, seconds), close=close)


async def _spaces(task: asyncio.Task[Response], seconds: float) -> AsyncIterator[bytes]:
    yield DECLARATION  # nothing may stand before it
    while not task.done():
        done, _ = await asyncio.wait([task], timeout=seconds)
        if not done:
            yield b" "
    response = task.result()
    if response.status >= 400:
        _log.warning("an operation failed after its answer had begun as a success", status=response.status)
    yield response.body.removeprefix(DECLARATION)
