"""Kill -9 at random moments: `dvc repro`, a study here and on a Dask cluster, an `mlflow server` in use."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import sleep
from urllib.request import urlopen

from notsoclevr.pipeline import clear_torn_locks

from .clones import check_files, check_like, check_store, copy_of, fresh_clone, track_twice, tree
from .processes import DVC, NOTSOCLEVR, PYTHON_M, STUDY, Process, Soak, strays, wait_until

CHAIN = 6  # kills in a row before the work may end


def strike(
    soak: Soak, chance: Random, clone: Path, work: Process, victim: Process, seconds: float, *, alone: bool = False
) -> bool:
    """Kill a process and its group at a random moment of some work: half of the time just after a file was written.

    Args:
        soak: All that is shared.
        chance: Chooses the moment.
        clone: Where the work is done.
        work: What is watched; when it ends there is no more to wait for.
        victim: What is killed.
        seconds: That the work takes if nothing disturbs it.
        alone: Kill the process and not its group: what it has started must notice by itself.

    Returns:
        Whether the work was still under way.
    """
    if chance.random() < 0.5:
        wait_until(lambda: work.poll() is not None, chance.uniform(0, seconds))
    else:
        seen = [tree(clone)]

        def wrote() -> bool:
            seen.append(tree(clone))
            return work.poll() is not None or bool(seen[-1] - seen.pop(0))

        for _ in range(chance.randint(1, 15)):
            wait_until(wrote, seconds)
        sleep(chance.uniform(0, 0.2))
    under_way = work.poll() is None
    if victim.poll() is None:
        (os.kill if alone else os.killpg)(victim.pid, signal.SIGKILL)
        victim.wait()
    soak.check(victim.returncode in (0, -signal.SIGKILL), f"{clone.name}: ended before it was killed: {victim.said()}")
    check_files(soak, clone)
    return under_way


def repeat(soak: Soak, what: str, kills: int, chain: Callable[[int], int]) -> None:
    """Do chains of kills until there were enough.

    Args:
        soak: All that is shared.
        what: Is killed.
        kills: How many times.
        chain: Kills at most so many times, lets the work end, checks what came of it, and returns the number of kills.
    """
    done = 0
    while done < kills:
        done += chain(min(CHAIN, kills - done))
        soak.counts[f"kills of {what}"] = done
        soak.say(f"{what}: {done} of {kills} kills")


def kill_pipeline(soak: Soak, undisturbed: Path, kills: int, seconds: float) -> None:
    """Kill `dvc repro`, doing all anew at first and then what is left, and compare with the undisturbed clone."""
    chance, clone = Random(f"{soak.seed} pipeline"), fresh_clone(soak, "killed")

    def chain(most: int) -> int:
        hits = 0
        for options in (["--force"], *[[]] * (most - 1)):
            clear_torn_locks(clone)  # as `make repro` does
            process = soak.start(clone, *DVC, "repro", *options)
            hits += strike(soak, chance, clone, process, process, seconds)
        clear_torn_locks(clone)
        soak.run(clone, *DVC, "repro")
        check_like(soak, clone, undisturbed)
        return hits

    repeat(soak, "dvc repro", kills, chain)
    track_twice(soak, clone, f"sqlite:///{clone}/mlflow.db")
    status = soak.run(clone, *DVC, "status", "--json", "dvc.yaml")
    soak.check(json.loads(status.splitlines()[-1]) == {}, f"killed: dvc status says {status}")


def kill_study(soak: Soak, trained: Path, studied: Path, kills: int, seconds: float) -> None:
    """Kill a study on this machine, its driver with or without its workers, and let it go on."""
    chance = Random(f"{soak.seed} study")

    def chain(most: int) -> int:
        hits, clone = 0, copy_of(trained, f"here {chance.random():.4f}")
        for _ in range(most):
            driver = soak.start(clone, *STUDY, "--workers", "2")
            hits += strike(soak, chance, clone, driver, driver, seconds, alone=chance.random() < 0.5)
            gone = wait_until(lambda: not strays(clone), 30)
            soak.check(gone, f"study: its workers outlive it: {[each.cmdline() for each in strays(clone)]}")
        soak.run(clone, *STUDY, "--workers", "2")
        check_like(soak, clone, studied)
        check_store(soak, f"sqlite:///{clone}/mlflow.db", rows=True)
        return hits

    repeat(soak, "a study on this machine", kills, chain)


def kill_cluster(soak: Soak, trained: Path, studied: Path, kills: int, seconds: float) -> None:
    """Kill the driver, a worker or the scheduler of a study on a Dask cluster, and let it go on."""
    chance, place, port = Random(f"{soak.seed} cluster"), soak.home / "dask", free_port()
    place.mkdir()
    running: dict[str, Process] = {}
    address = f"tcp://127.0.0.1:{port}"
    worker = ["worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    environment = {"PYTHONPATH": f"{trained}/src"}
    commands = {"scheduler": scheduler, "first worker": worker, "second worker": worker}

    def start(clone: Path) -> Process:
        if running and running["scheduler"].poll() is not None:
            # its workers end when they notice, which may be when the next study has been given to them
            for process in running.values():
                process.kill()
                process.wait()
        for name, command in commands.items():
            if name not in running or running[name].poll() is not None:
                running[name] = soak.start(place, *PYTHON_M, "dask", *command, **environment)
            if name == "scheduler":
                soak.check(wait_until(lambda: answers(port), 90), "the scheduler of Dask does not start")
        return soak.start(clone, *STUDY, "--scheduler", address)

    def chain(most: int) -> int:
        hits, clone = 0, copy_of(trained, f"cluster {chance.random():.4f}")
        for _ in range(most):
            driver, name = start(clone), chance.choice(["driver", "scheduler", "first worker"])
            hits += strike(soak, chance, clone, driver, {**running, "driver": driver}[name], seconds)
            soak.end(driver, f"study on Dask, whose {name} was killed", 0, 1, -signal.SIGKILL)
        soak.end(start(clone), "study on Dask")
        check_like(soak, clone, studied)
        check_store(soak, f"sqlite:///{clone}/mlflow.db", rows=True)
        return hits

    repeat(soak, "a study on Dask", kills, chain)
    for process in running.values():
        process.kill()
        process.wait()


def kill_server(soak: Soak, studied: Path, kills: int, seconds: float) -> None:
    """Kill an `mlflow server` while results and rows are logged to it, and let its clients try again."""
    chance, port = Random(f"{soak.seed} server"), free_port()
    clients = {"track": [*NOTSOCLEVR, "track"], "study": STUDY}
    address = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}

    def serve(place: Path, uri: str) -> Process:
        options = ["--backend-store-uri", uri, "--artifacts-destination", f"{place}/kept", "--workers", "1"]
        server = soak.start(place, *PYTHON_M, "mlflow", "server", *options, "--port", str(port))
        soak.check(wait_until(lambda: healthy(port) or server.poll(), 120), "mlflow server does not start")
        return server

    def chain(most: int) -> int:
        hits, clone = 0, copy_of(studied, f"served {chance.random():.4f}")
        place = soak.home / f"server of {clone.name}"
        place.mkdir()
        uri = f"sqlite:///{place}/mlflow.db"
        for _ in range(most):
            server, name = serve(place, uri), chance.choice(list(clients))
            client = soak.start(clone, *clients[name], **address)
            hits += strike(soak, chance, place, client, server, seconds)
            check_files(soak, clone)
            said = soak.end(client, f"{name}, whose server was killed", 0, 1)
            # thirteen cells are not in a shrunken clone, which `track` says each time
            said = [line for line in said.splitlines() if "is missing from the comparison" not in line]
            soak.check(len(said) <= 1, f"{name}, whose server was killed, says {said}")
        server = serve(place, uri)
        soak.run(clone, *STUDY, **address)
        track_twice(soak, clone, uri, **address)
        check_store(soak, uri, rows=True)
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        return hits

    repeat(soak, "an mlflow server", kills, chain)


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Say whether something listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def healthy(port: int) -> bool:
    """Say whether an `mlflow server` answers on a port."""
    with contextlib.suppress(OSError):
        return bool(urlopen(f"http://127.0.0.1:{port}/health", timeout=2).status == 200)
    return False
