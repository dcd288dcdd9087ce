"""Type badly, thousands of times, and look at what is said: ``python -m tests.fuzz``.

Each command line has one fault, in one of the parameters that the commands say they have, or in a
job file. Each must be refused: with exit status 2 and one message of less than 600 characters that
names the culprit, without a traceback, within a minute, and with the folder as it was.

Prints what was tried, by command and kind of fault, and what was not refused as it should be; the
exit status is 1 if there is any of that.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import re
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz import faults, world
from tests.fuzz.faults import Fault

LONGEST = 600  # characters of a message
WAIT = 60.0  # seconds; a command line is refused in a tenth of one
ROOT = Path(__file__).parents[2]


def wrong(fault: Fault, answer: dict[str, Any]) -> str | None:
    """Say what is wrong with how a bad command line was refused; None if nothing is."""
    if answer.get("hung"):
        return "hangs"
    if answer["trace"] or "Traceback" in answer["err"]:
        return "traceback"
    if answer["status"] != 2:
        return f"exit status {answer['status']}"
    if answer["changes"]:
        return f"left something: {', '.join(answer['changes'])}"
    if answer["out"]:
        return "printed a result"
    if len(re.findall("^Error: ", answer["err"], re.MULTILINE)) != 1:
        return "not one message"
    message = answer["err"][answer["err"].index("Error: ") :].strip()
    if len(message) >= LONGEST:
        return f"{len(message)} characters"
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", message):
        return "control characters"
    if any(each in answer["err"] for each in fault.unsaid):
        return "tells a secret"
    if not any(each and each in message for each in fault.culprits):
        return "names no culprit"
    return None


class Worker:
    """A process that runs command lines, and is ended where one hangs."""

    def __init__(self, template: Path) -> None:
        self._template = template
        self._process: subprocess.Popen[str] | None = None

    def ask(self, fault: Fault, wait: float = WAIT) -> dict[str, Any]:
        """Return how a command line ended."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker", str(self._template)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
            )
            wait += WAIT  # it has to start first
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        task = {
            "arguments": fault.arguments,
            "variables": fault.variables,
            "files": {name: content.hex() for name, content in fault.files.items()},
        }
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(wait) else ""
        if not line:
            ended = self._process.poll()
            self.close()
            return {"hung": True} if ended is None else _died(ended)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _died(status: int) -> dict[str, Any]:
    return {"trace": "the process ended", "status": status, "err": "", "out": "", "changes": []}


def in_a_process(fault: Fault, template: Path) -> dict[str, Any]:
    """Return how a command line ended in a process of its own, as a shell would start it."""
    place = Path(tempfile.mkdtemp(prefix="prime-sql-fuzz-"))
    try:
        world.copy(template, place)
        for name, content in fault.files.items():
            (place / name).write_bytes(content)
        kept = world.Kept(place)
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        try:
            done = subprocess.run(
                [sys.executable, "-m", "prime_sql", *fault.arguments],
                cwd=place,
                env={**os.environ, **fault.variables, "PYTHONPATH": paths},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=2 * WAIT,
            )
        except subprocess.TimeoutExpired:
            return {"hung": True}
        return {
            "status": done.returncode,
            "out": done.stdout,
            "err": done.stderr,
            "trace": "",
            "changes": kept.changes(),
        }
    finally:
        shutil.rmtree(place, ignore_errors=True)


@dataclass
class Fuzz:
    """What was tried, and what came of it."""

    template: Path
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    processes: int = 0
    failed: list[tuple[Fault, str, dict[str, Any]]] = field(default_factory=list)

    def run(self, chosen: list[Fault], processes: int, every: int) -> None:
        """Try all; every so many-th one in a process of its own, too."""
        todo: queue.SimpleQueue[tuple[int, Fault]] = queue.SimpleQueue()
        for pair in enumerate(chosen):
            todo.put(pair)
        threads = [
            threading.Thread(target=self._work, args=(todo, every)) for _ in range(processes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, todo: queue.SimpleQueue[tuple[int, Fault]], every: int) -> None:
        worker = Worker(self.template)
        try:
            while True:
                try:
                    number, fault = todo.get_nowait()
                except queue.Empty:
                    return
                self._note(fault, worker.ask(fault))
                if every and number % every == 0 and _fits_a_shell(fault):
                    self.processes += 1
                    self._note(fault, in_a_process(fault, self.template))
        finally:
            worker.close()

    def _note(self, fault: Fault, answer: dict[str, Any]) -> None:
        self.tried[fault.command, fault.kind] += 1
        why = wrong(fault, answer)
        if why is not None:
            self.failed.append((fault, why, answer))

    def table(self) -> str:
        """Return what was tried, by command and kind of fault."""
        bad = Counter((fault.command, fault.kind) for fault, _, _ in self.failed)
        kinds = sorted({kind.partition(":")[0] for _, kind in self.tried})
        commands = list(dict.fromkeys(command for command, _ in self.tried))
        lines = [["command", *kinds, "tried", "refused rightly"]]
        for command in [*sorted(commands), "all"]:
            of = {pair: count for pair, count in self.tried.items() if command in (pair[0], "all")}
            row = [sum(n for p, n in of.items() if p[1].startswith(kind)) for kind in kinds]
            total = sum(of.values())
            lines.append(
                [
                    command,
                    *map(str, row),
                    str(total),
                    str(total - sum(map(bad.get, of, [0] * len(of)))),
                ]
            )  # type: ignore[arg-type]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )

    def report(self) -> str:
        """Return what was not refused as it should be."""
        shown = []
        for fault, why, answer in self.failed:
            line = " ".join(each if len(each) < 80 else f"{each[:77]}…" for each in fault.arguments)
            said = (answer.get("trace") or answer.get("err") or answer.get("out") or "").strip()
            shown.append(f"{why}: prime-sql {line!r} ({fault.kind})\n    {said[-700:]}")
        return "\n".join(shown)


def _fits_a_shell(fault: Fault) -> bool:
    words = [*fault.arguments, *fault.variables.values()]
    return not any("\0" in each or len(each) > 100_000 for each in words)


def choose(seed: int, times: int, mode: str) -> list[Fault]:
    """Return that many command lines, as many of each command and kind as there are."""
    rng = random.Random(seed)
    chosen: list[Fault] = []
    while len(chosen) < times:
        groups: dict[tuple[str, str], list[Fault]] = {}
        known = faults.all_faults(rng, mode)
        rng.shuffle(known)
        for fault in known:
            groups.setdefault((fault.command, fault.kind), []).append(fault)
        while groups and len(chosen) < times:
            for key in rng.sample([*groups], len(groups)):
                chosen.append(groups[key].pop())
                if not groups[key]:
                    del groups[key]
    return chosen[:times]


def fuzz(seed: int, times: int, *, processes: int, every: int) -> Fuzz:
    """Try that many bad command lines."""
    template = Path(tempfile.mkdtemp(prefix="prime-sql-fuzz-"))
    try:
        world.make(template)
        done = Fuzz(template)
        chosen = choose(seed, times, world.mode_id(template)[:8])
        done.run(chosen, processes, every)
        return done
    finally:
        shutil.rmtree(template, ignore_errors=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other words")
    parser.add_argument("--times", type=int, default=1500, help="how many command lines")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--every", type=int, default=50, help="of them in a process of its own")
    asked = parser.parse_args()
    done = fuzz(asked.seed, asked.times, processes=asked.processes, every=asked.every)
    print(done.report(), end="\n\n" if done.failed else "")
    print(done.table())
    total = done.tried.total()
    print(
        f"\nseed {asked.seed}: {total:,} command lines, {done.processes} of them in a process of "
        f"their own, {total - len(done.failed):,} refused rightly, {len(done.failed)} not"
    )
    return 1 if done.failed else 0
