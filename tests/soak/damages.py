"""Damage the files that commands read, and see that each is accepted or refused in one line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

from .clones import MODEL, tree
from .processes import NOTSOCLEVR, Soak

CELL = f"results/{MODEL}-quadrant"
PROCESSES = 12  # damages that are shown to a process of its own
LONGEST = 1000  # characters of a refusal that a person still reads
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    float("inf"),
    float("nan"),
    10**30,
    "",
    "x" * 100_000,
    [],
    {},
    "a\nb\u2028c",
    "\x1b[2J",
    "é",
)
TOKEN = re.compile(rb"[\w.+-]+")
Damage = Callable[[Random, bytes], bytes]


def spoil(chance: Random, data: bytes) -> bytes:
    """Truncate, empty, flip bytes of, cut a piece out of, repeat a piece of or replace a file, whatever its kind."""
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    flipped = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        flipped[chance.randrange(len(data))] ^= chance.randint(1, 255)
    garbage = chance.randbytes(chance.randint(1, 5000))
    spoilt = [data[:start], b"", bytes(flipped), data[:start] + data[end:], data[:end] + data[start:], garbage]
    return chance.choice(spoilt)


def reword(chance: Random, data: bytes) -> bytes:
    """Swap two words of a text, replace one by an odd one, or leave out or repeat a line."""
    first, second = sorted(chance.sample([found.span() for found in TOKEN.finditer(data)], 2))
    lines = data.splitlines(keepends=True)
    number = chance.randrange(len(lines))
    swapped = data[: first[0]] + data[slice(*second)] + data[first[1] : second[0]] + data[slice(*first)]
    odd = chance.choice([str(value).encode() for value in ODD] + [b"1e-3", b"*a", b"!!python/name:os.system", b'"'])
    reworded = [
        swapped + data[second[1] :],
        data[: first[0]] + odd + data[first[1] :],
        b"".join(lines[:number] + lines[number + 1 :]),
        b"".join(lines[:number] + lines[number : number + 1] + lines[number:]),
    ]
    return chance.choice(reworded)


def rearrange(chance: Random, data: bytes) -> bytes:
    """Delete a key of a YAML or JSON file or give it an odd value, which leaves a file that can be parsed."""

    def places(node: Any) -> Iterator[tuple[Any, Any]]:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            if isinstance(node[key], dict | list):
                yield from places(node[key])

    content = yaml.load(data, yaml.CSafeLoader)
    holder, key = chance.choice(list(places(content)))
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice(ODD)
    write = json.dumps if data.startswith(b"{") else yaml.safe_dump
    return write(content).encode()


def rework(chance: Random, data: bytes) -> bytes:
    """Leave out an array of an npz file or give it another type, length or content."""
    arrays = dict(np.load(io.BytesIO(data)))
    name = chance.choice(list(arrays))
    array = arrays.pop(name)
    others = [array.astype(float), array[:-1] if array.ndim else array, array.astype(object), np.zeros_like(array)]
    if chance.random() < 0.8:
        arrays[name] = chance.choice(others)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


WAYS: dict[str, list[Damage]] = {
    ".yaml": [spoil, reword, rearrange, rearrange],
    ".json": [spoil, reword, rearrange, rearrange],
    ".npz": [spoil, rework],
    ".csv": [spoil, reword, reword],
    ".md": [spoil, reword],
}
READERS = {  # files, how often one of them is chosen, and the commands that read them
    "params.yaml": (4, [["split", "--split", "quadrant"], ["claims"]]),
    "studies/claims.yaml": (4, [["claims"]]),
    "studies/replication/study.yaml": (3, [["claims"]]),
    "studies/replication/results.csv": (3, [["claims"]]),
    "reports/comparison.md": (1, [["readme"]]),
    "README.md": (1, [["readme"]]),
    "data/not_so_clevr.npz": (1, [["split", "--split", "quadrant"]]),
    "data/quadrant.npz": (2, [["train", "--model", MODEL, "--split", "quadrant", "--out", "outputs/damaged"]]),
    f"{CELL}/[!r]*.*": (2, [["track", CELL]]),
}


def call(command: list[str]) -> tuple[int, str]:
    """Run a command in this process, and return its exit status and what it says on stderr."""
    from notsoclevr.cli import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main(command)
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    raise AssertionError("the command line always ends with an exit status")


def targets(clone: Path) -> list[tuple[Path, list[list[str]]]]:
    """List the files to damage with the commands that read them, each as often as it is to be chosen."""
    found = []
    for pattern, (weight, commands) in READERS.items():
        files = [path for path in sorted(clone.glob(pattern)) if path.suffix in WAYS]
        for number in range(weight * len(files)):
            found.append((files[number % len(files)], commands))
    return found


def damage(soak: Soak, clone: Path, damages: int) -> None:
    """Damage files, a file a time, and check that what reads it accepts it or refuses it in one line."""
    os.chdir(clone)
    ledger = clone / "studies" / "claims.yaml"
    claims = yaml.safe_load(ledger.read_text())  # those of one study: all take a second a time
    few = {
        by: [claim for claim in each if all(test["study"] == "replication" for test in claim["tests"])]
        for by, each in claims.items()
    }
    ledger.write_text(yaml.safe_dump(few))
    chosen = targets(clone)
    sound = {path: path.read_bytes() for path, _ in chosen}
    for command in {" ".join(command): command for _, commands in chosen for command in commands}.values():
        status, said = call(command)
        soak.check(status == 0, f"`{' '.join(command)}` refuses what is sound: {said}")
    before = tree(clone)
    for number in range(damages):
        chance = Random(f"{soak.seed} damage {number}")
        path, commands = chance.choice(chosen)
        way, command = chance.choice(WAYS[path.suffix]), chance.choice(commands)
        path.write_bytes(way(chance, sound[path]))
        apart = number % max(1, damages // PROCESSES) == 0
        what = f"damage {number}, {way.__name__} {path.relative_to(clone)}, `{' '.join(command)}`"
        try:
            if apart:
                process = soak.start(clone, *NOTSOCLEVR, *command)
                said = soak.end(process, what, 0, 1, 2)
                status = process.returncode
            else:
                status, said = call(command)
        except Exception as error:
            soak.check(False, f"{what}: {type(error).__name__}: {str(error)[:300]}")
        else:
            one = said.startswith("notsoclevr: ") and len(said.splitlines()) == 1 and len(said) <= LONGEST
            soak.check(status == 0 or (status in (1, 2) and one), f"{what}: exit status {status}, says {said[:500]!r}")
            soak.counts["damages accepted" if status == 0 else "damages refused in one line"] += 1
        soak.counts["damages shown to a process of its own"] += apart
        for each, data in sound.items():
            each.write_bytes(data)
        if number % 100 == 99:
            soak.say(f"damages: {number + 1} of {damages}")
    left = tree(clone) - before
    soak.check(not left, f"damaged: left behind: {', '.join(map(str, sorted(left)[:5]))}")
