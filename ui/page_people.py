"""The people in front of a page: a run asks them, and whichever tab looks shows the form.

A running job waits here, so a closed tab loses nothing: the next one to look sees the same form.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from mom_council.deliberation.people import PersonRequest


class PagePeople:
    """The `People` of one job. Waits on the loop; is answered from any thread."""

    present = True

    def __init__(self) -> None:
        self._open: dict[str, tuple[PersonRequest, asyncio.Future[Any]]] = {}
        self._lock = threading.Lock()

    @property
    def requests(self) -> tuple[PersonRequest, ...]:
        """What nobody has answered yet."""
        with self._lock:
            return tuple(request for request, _ in self._open.values())

    async def answer(self, request: PersonRequest) -> Any:
        """Wait until somebody answers."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._open[request.id] = request, answer
        try:
            return await answer
        finally:
            with self._lock:
                self._open.pop(request.id, None)

    def tell(self, request_id: str, said: Any) -> bool:
        """Answer a request; False where nobody waits for it any more. The first answer counts."""
        with self._lock:
            found = self._open.pop(request_id, None)
        if found is None:
            return False
        _, answer = found

        def settle() -> None:
            if not answer.done():
                answer.set_result(said)

        answer.get_loop().call_soon_threadsafe(settle)
        return True
