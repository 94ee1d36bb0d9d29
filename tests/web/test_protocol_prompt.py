"""Paths that the protocol runs at once, without a task: most never wait, and those that do go on in one."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.web.serving import serving

REQUEST = b"GET /prompt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Prompt:
    """Answers `/prompt` after what it is given to wait for, and notes whether a task ran it then."""

    prompt_paths = frozenset({"/prompt"})

    def __init__(self, wait: Callable[[], Awaitable[object]] | None = None) -> None:
        self._wait = wait
        self.tasks: list[bool] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._wait is not None:
            await self._wait()
        self.tasks.append(asyncio.current_task() is not None)
        await PlainTextResponse("here")(scope, receive, send)


async def test_what_does_not_wait_is_answered_without_a_task() -> None:
    app = Prompt()
    async with serving(app) as running:
        assert (await running.exchange(REQUEST)).endswith(b"here")
    assert app.tasks == [False]


@pytest.mark.parametrize("turns", [1, 3])
async def test_what_waits_after_all_goes_on_in_a_task(turns: int) -> None:
    async def wait() -> None:
        for _ in range(turns):
            ready = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(ready.set_result, None)
            await ready

    app = Prompt(wait)
    async with serving(app) as running:
        assert (await running.exchange(REQUEST)).endswith(b"here")
        await running.until(lambda: not running.server.server_state.tasks)
    assert app.tasks == [True]


async def test_a_failure_while_waiting_is_answered() -> None:
    async def wait() -> None:
        ready = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(ready.set_exception, OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await ready

    async with serving(Prompt(wait)) as running:
        assert (await running.exchange(REQUEST)).endswith(b"here")


async def test_pipelined_requests_are_answered_in_order() -> None:
    app = Prompt()
    async with serving(app) as running:
        first = REQUEST.replace(b"Connection: close\r\n", b"")
        whole = await running.exchange(first + first + REQUEST)
    assert whole.count(b"here") == 3
