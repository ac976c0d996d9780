"""Synchronous callers share one loop in the background."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mom_council.models.clients import background_loop, run_in_background_loop

mood = contextvars.ContextVar("mood", default="none")


async def where() -> tuple[asyncio.AbstractEventLoop, int]:
    return asyncio.get_running_loop(), threading.get_ident()


async def answer(value, *, times=1):
    await asyncio.sleep(0)
    return value * times


def test_it_returns_what_the_coroutine_returns():
    assert run_in_background_loop(answer, 21, times=2) == 42


def test_errors_come_through():
    async def fail():
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        run_in_background_loop(fail)


def test_an_error_in_making_the_coroutine_comes_through_too():
    with pytest.raises(TypeError):
        run_in_background_loop(answer)


def test_the_callers_context_is_seen():
    async def look():
        return mood.get()

    mood.set("curious")
    assert run_in_background_loop(look) == "curious"


def test_every_thread_gets_the_same_loop_at_the_same_time():
    async def nap():
        await asyncio.sleep(0.2)
        return await where()

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        seen = set(pool.map(lambda _: run_in_background_loop(nap), range(20)))
    assert len(seen) == 1
    assert time.monotonic() - began < 3.5
    assert seen.pop()[1] != threading.get_ident()


def test_calling_it_from_its_own_loop_is_refused_not_waited_for():
    async def inner():
        return run_in_background_loop(where)

    with pytest.raises(RuntimeError, match="ainvoke"):
        run_in_background_loop(inner)


async def test_it_can_be_called_from_another_loop():
    loop, _ = run_in_background_loop(where)
    assert loop is background_loop()
    assert loop is not asyncio.get_running_loop()


def test_being_cancelled_inside_is_told():
    async def give_up():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_in_background_loop(give_up)


def test_an_interrupt_cancels_the_coroutine_before_it_goes_on():
    ended = threading.Event()

    async def long():
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_in_background_loop(long)
    assert ended.is_set()


@pytest.mark.slow
def test_a_process_ends_by_itself_and_in_silence():
    code = (
        "import asyncio, mom_council.models.clients as l\n"
        "async def f():\n"
        "    asyncio.get_running_loop().create_task(asyncio.sleep(60))\n"
        "    return 42\n"
        "print(l.run_in_background_loop(f))"
    )
    began = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (told.stdout.strip(), told.stderr, told.returncode) == ("42", "", 0)
    assert time.monotonic() - began < 10
