"""Which tests reach which lines, and whether one of them fails when a line is changed.

A change inside a function is made in a fork of a process that has collected the tests already: its functions get the
code of the changed ones. What stands outside of functions is run when it is imported, so it takes a process that
imports it changed.
"""

import ast
import contextlib
import gc
import importlib.machinery
import os
import pickle
import signal
import tempfile
import time
import traceback
import types
from pathlib import Path

import coverage
import hypothesis
import pytest

from .changes import mutants

ROOT = Path(__file__).parents[2]
ENOUGH = 15  # seconds of tests that a change has to survive
PATIENCE = 20  # seconds more than three times what its tests took before it counts as found, for it hangs
WORKERS = os.cpu_count() or 1


def run_swapped(wanted, own, others, report):
    """What ``report`` gives for each change that can be made in a process that runs already, and the other ones.

    Also the patience to have with all tests of its own room.
    """
    loop = Loop(wanted, own, report)
    if pytest.main(_arguments([*own, *others]), plugins=[loop]) in (
        pytest.ExitCode.INTERNAL_ERROR,
        pytest.ExitCode.USAGE_ERROR,
    ):
        raise RuntimeError("the tests could not be collected")
    return loop.pool.ends, loop.fresh, loop.patience


def run_fresh(wanted, own, report, patience):
    """The same for changes that are made when their module is imported, each in a process that has not done so."""
    pool = Pool(report)
    for at, mutant in _changes(wanted):
        pool.run(at[0], mutant, patience, lambda at=at: _imported(at, own))
    return pool.finish()


class Loop:
    """A plugin of pytest: instead of running the tests once, it runs them for every change."""

    def __init__(self, wanted, own, report):
        self.wanted, self.own, self.pool = wanted, own, Pool(report)
        self.fresh = set()  # what this process cannot change
        self.patience = PATIENCE

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self):
        # One failure is enough, and need not be made small.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        usual = hypothesis.settings.get_profile("gate")
        hypothesis.settings.register_profile("mutants", usual, phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session):
        reached, seconds = in_child(lambda: _measure(session.items, {module for module, _ in self.wanted}))
        print(f"{len(seconds)} tests take {sum(seconds):.0f} seconds", flush=True)
        self.patience = _patience([index for index, item in enumerate(session.items) if self._is_own(item)], seconds)
        for at, mutant in _changes(self.wanted):
            swaps = _swaps(at)
            if not swaps:
                self.fresh.add(at)
                continue
            tests = self._chosen(at[0], _reaching(mutant, swaps, reached[at[0]]), seconds, session.items)
            patience = _patience(tests, seconds)
            items = [session.items[index] for index in tests]
            self.pool.run(at[0], mutant, patience, lambda swaps=swaps, items=items: _swapped(swaps, items))
        self.pool.finish()
        return True

    def _chosen(self, module, reaching, seconds, items):
        """The tests to run: those of the module's own file first, then those of its own room, and the fastest first."""

        def rank(index):
            item = items[index]
            return Path(item.path).stem != _tests_of(module), not self._is_own(item), seconds[index]

        order = sorted(reaching, key=rank)
        chosen, total = [], 0.0
        for index in order:
            total += seconds[index]
            if chosen and total > ENOUGH:
                break
            chosen.append(index)
        return chosen

    def _is_own(self, item):
        return any(Path(item.path).is_relative_to(ROOT / path) for path in self.own)


def _tests_of(module):
    return f"test_{Path(module).stem}"


def _patience(tests, seconds):
    return PATIENCE + 3 * sum(seconds[index] for index in tests)


class Pool:
    """Children that run at the same time, as many as there are processors, and what came of each."""

    def __init__(self, report):
        self.report, self.running, self.ends = report, {}, []

    def run(self, module, mutant, patience, act):
        """Run ``act`` in a child, which ends with status 0 where no test failed."""
        while len(self.running) >= WORKERS:
            self._wait()
        pid = os.fork()
        if not pid:
            status = 3
            try:
                os.setsid()
                quiet = os.open(os.devnull, os.O_RDWR)
                for number in range(3):
                    os.dup2(quiet, number)
                status = act()
            finally:
                os._exit(status)
        self.running[pid] = (module, mutant, time.monotonic() + patience)

    def finish(self):
        while self.running:
            self._wait()
        return self.ends

    def _wait(self):
        while True:
            for pid, (module, mutant, until) in list(self.running.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                late = not ended and time.monotonic() > until
                if ended or late:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)  # with all that its tests have started
                    if late:
                        os.waitpid(pid, 0)
                    del self.running[pid]
                    end = "hangs" if late else "survived" if status == 0 else "killed"
                    self.ends.append(self.report(module, mutant, end))
                    return
            time.sleep(0.01)


def _arguments(tests):
    return [
        "-s",
        "-q",
        "-x",
        "--assert=plain",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        *(str(ROOT / path) for path in tests),
    ]


def _changes(wanted):
    """Where each wanted change is to be found, module and number, and what it is."""
    for module in sorted({module for module, _ in wanted}):
        for number, mutant in enumerate(mutants(tree_of(module))):
            if (module, number) in wanted:
                yield (module, number), mutant


def tree_of(module):
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def _changed(at):
    """The code of a module with its change of this number, and that change."""
    module, number = at
    tree = tree_of(module)
    mutant = list(mutants(tree))[number]
    mutant.make()
    return compile(tree, str(ROOT / module), "exec"), mutant


def _swaps(at):
    """The functions that a change is in, each with its changed code; none where they cannot be given it."""
    code, mutant = _changed(at)
    changed = {part.co_firstlineno: part for part in _codes(code) if part.co_qualname == mutant.function}
    functions = _functions(at[0], mutant.function)
    swaps = [(function, changed[function.__code__.co_firstlineno]) for function in functions]
    # One that uses other variables of what is around it, as super() is, takes another function.
    fit = all(function.__code__.co_freevars == part.co_freevars for function, part in swaps)
    return swaps if fit else []


def _reaching(mutant, swaps, lines):
    """The tests that reach a change; all of them where none does, for what runs in a child is not measured."""
    own = {line for function, _ in swaps for *_, line in function.__code__.co_lines()}
    if own.isdisjoint(lines):
        return sorted({test for tests in lines.values() for test in tests})
    # A line in the midst of a statement counts with one above it.
    return lines[max((line for line in lines if line <= mutant.line), default=min(lines))]


def _swapped(swaps, items):
    for function, part in swaps:
        function.__code__ = part
    return _run(items)


def _run(items):
    for item, following in zip(items, [*items[1:], None], strict=False):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


def _imported(at, tests):
    code, _ = _changed(at)
    usual, path = importlib.machinery.SourceFileLoader.get_code, str(ROOT / at[0])

    def get_code(loader, name):
        return code if loader.path == path else usual(loader, name)

    importlib.machinery.SourceFileLoader.get_code = get_code
    first = [f"{folder}/{_tests_of(at[0])}.py" for folder in tests]  # fails soonest
    return int(pytest.main(_arguments([*(path for path in first if (ROOT / path).exists()), *tests])) != 0)


def _codes(code):
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield part
            yield from _codes(part)


def _functions(module, name):
    """The functions of this name that a module has made."""
    path = str(ROOT / module)
    return [
        function
        for function in gc.get_objects()
        if type(function) is types.FunctionType  # isinstance would wake lazy objects of frameworks
        and function.__code__.co_filename == path
        and function.__code__.co_qualname == name
    ]


def _measure(items, modules):
    """For each line of the modules the tests that reach it, and how many seconds each takes; failing ones left out."""
    paths = {module: str(ROOT / module) for module in modules}
    measured = coverage.Coverage(data_file=None, config_file=False, include=list(paths.values()))
    measured.start()
    seconds, failed = [], set()
    for index, item in enumerate(items):
        measured.switch_context(str(index))
        began, before = time.monotonic(), item.session.testsfailed
        following = items[index + 1] if index + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        seconds.append(time.monotonic() - began)
        if item.session.testsfailed > before:
            failed.add(index)
            print("fails without a change:", item.nodeid, flush=True)
    measured.stop()
    data, reached = measured.get_data(), {}
    for module, path in paths.items():
        found = {
            line: [int(context) for context in contexts if context and int(context) not in failed]
            for line, contexts in data.contexts_by_lineno(path).items()
        }
        reached[module] = {line: tests for line, tests in found.items() if tests}
    return reached, seconds


def in_child(act):
    """What ``act`` returns, done in a child, so that nothing of it stays here."""
    with tempfile.TemporaryFile() as file:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                pickle.dump(act(), file)
                file.flush()
                status = 0
            finally:
                if status:
                    traceback.print_exc()
                os._exit(status)
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError("the tests could not be run without a change")
        file.seek(0)
        return pickle.load(file)
