"""Doing something for many entries, several at a time; imports the server's calls.

Here since what was done, what failed and what was not tried is told in one way, whoever writes or reads many.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any

from dhis2kv import errors
from dhis2kv.datastore.server import Names, Server

Progress = Callable[[int, int], None]
Phase = tuple[list[Names], Callable[[Names], None]]


def each(server: Server, workers: int, phases: list[Phase], progress: Progress | None = None) -> None:
    """Do something for many entries, phase by phase, several at a time, until one fails; raises ``BulkError``."""
    for entry in (entry for entries, _ in phases for entry in entries):
        server.reachable(entry)  # before the first is sent
    total = sum(len(entries) for entries, _ in phases)
    done: list[str] = []
    failed: dict[str, errors.Dhis2kvError] = {}
    untried: list[str] = []
    for entries, act in phases:
        todo = iter(entries)
        running: dict[Future[None], Names] = {}
        with pool_of(workers) as pool:
            while True:
                while not failed and len(running) < workers and (names := next(todo, None)):
                    running[pool.submit(act, names)] = names
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key = running.pop(future)[-1]
                    try:
                        future.result()
                    except errors.Dhis2kvError as error:
                        failed[key] = error
                    else:
                        done.append(key)
                        if progress:
                            progress(len(done), total)
        untried += [names[-1] for names in todo]
    if failed:
        key, first = next(iter(failed.items()))
        raise errors.BulkError(
            f"{len(done)} of {total} done, {len(failed)} failed ({key!r}: {first}), {len(untried)} not tried",
            done=done,
            failed=failed,
            untried=untried,
            sent=bool(done) or any(error.sent for error in failed.values()),
        ) from first


def pool_of(workers: int) -> Executor:
    """What does several things at a time; for one worker it starts no thread, for there are Pythons that have none."""
    return ThreadPoolExecutor(workers) if workers > 1 else _AtOnce()


class _AtOnce(Executor):
    """Does each thing when it is given it, in the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future raises it, where its result is asked for
            future.set_exception(error)
        return future
