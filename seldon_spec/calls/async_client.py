"""``AsyncClient``: the calls of ``Client`` as coroutines."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from seldon_spec.calls.client import Client
from seldon_spec.calls.open_target import Source
from seldon_spec.calls.protocol_choice import Name
from seldon_spec.calls.result import Result

T = TypeVar("T")


class AsyncClient:
    """Calls a model like ``Client``, without blocking the event loop.

    Each call runs on one of ``max_connections`` threads of the client, so that every event loop can use it. A cancelled
    call ends at once for its caller; its request is sent nevertheless, unless it still waits for a thread.

    Args:
        source, options: those of ``Client``. A model in this process is loaded here, before the call returns.

    Raises:
        SpecError, ComponentFailed, SeldonSpecError: as ``Client`` does.
    """

    def __init__(self, source: Source, /, *, max_connections: int = 16, **options: Any) -> None:
        self._client = Client(source, max_connections=max_connections, **options)
        self._threads = ThreadPoolExecutor(max_connections, "seldon-spec-client")

    async def predict(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """See ``Client.predict``."""
        return await self._run(self._client.predict, data, names=names, **options)

    async def infer(self, data: Any, **options: Any) -> Any:
        """See ``Client.infer``."""
        return await self._run(self._client.infer, data, **options)

    async def transform_input(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """See ``Client.transform_input``."""
        return await self._run(self._client.transform_input, data, names=names, **options)

    async def transform_output(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> Any:
        """See ``Client.transform_output``."""
        return await self._run(self._client.transform_output, data, names=names, **options)

    async def route(self, data: Any, *, names: Sequence[str] | None = None, **options: Any) -> int:
        """See ``Client.route``."""
        return await self._run(self._client.route, data, names=names, **options)

    async def aggregate(self, data: Sequence[Any], **options: Any) -> Any:
        """See ``Client.aggregate``."""
        return await self._run(self._client.aggregate, data, **options)

    async def feedback(self, data: Any, reward: float, **options: Any) -> None:
        """See ``Client.feedback``."""
        await self._run(self._client.feedback, data, reward, **options)

    async def call(self, operation: Name, data: Any, **options: Any) -> Result:
        """See ``Client.call``."""
        return await self._run(self._client.call, operation, data, **options)

    async def metadata(self, *, timeout: float | None = None) -> dict[str, Any]:
        """See ``Client.metadata``."""
        return await self._run(self._client.metadata, timeout=timeout)

    async def ready(self, *, timeout: float | None = None) -> bool:
        """See ``Client.ready``."""
        return await self._run(self._client.ready, timeout=timeout)

    async def wait_ready(self, timeout: float = 60) -> None:
        """See ``Client.wait_ready``."""
        await self._run(self._client.wait_ready, timeout)

    async def close(self) -> None:
        """See ``Client.close``."""
        self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        run = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, run)
