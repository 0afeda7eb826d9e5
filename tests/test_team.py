"""docs/team.md, done: a remote in a folder, a second clone, and a server that refuses strangers."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import mlflow.cli
import pytest
import yaml
from mlflow import MlflowClient

from .conftest import ROOT, shrink
from .soak.kills import free_port, healthy
from .soak.processes import wait_until
from .test_pipeline import run

PAGE = (ROOT / "docs" / "team.md").read_text("utf-8")
CELL = "pooled_regressor-quadrant"
LINES = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)).replace("\\\n", " ").splitlines()


def said(start: str, **replaced: str) -> list[str]:
    """Return the page's first command that starts like this, with some of its words replaced."""
    line = next(line for line in LINES if line.startswith(start))
    for old, new in replaced.items():
        line = line.replace(old, new)
    return shlex.split(line, comments=True)


class Team(NamedTuple):
    """Two clones and a server."""

    second: Path
    tracked: str
    server: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the page's options but for accounts, which need a package; it may not be up yet."""
    port = str(free_port())
    strict = said("mlflow server --host 0.0.0.0")
    options = [strict[strict.index(name) + 1] for name in ("--allowed-hosts", "--cors-allowed-origins")]
    hosts, origins = (option.replace("mlflow.example.org:5000", f"127.0.0.1:{port}") for option in options)
    command = [*said("mlflow server --host 127.0.0.1"), "--allowed-hosts", hosts, "--cors-allowed-origins", origins]
    command[command.index("--port") + 1] = port
    with subprocess.Popen(
        [sys.executable, "-m", *command, "--workers", "1"],
        cwd=tmp_path_factory.mktemp("server"),
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # a process each, for what is not used here
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield f"http://127.0.0.1:{port}"
        os.killpg(process.pid, signal.SIGTERM)


def wait_for(server: str) -> None:
    assert wait_until(lambda: healthy(int(server.rpartition(":")[2])), 240)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, server: str) -> Team:
    """What the page says, for one cell: trained and pushed in one clone, pulled and tracked in another."""
    folder = tmp_path_factory.mktemp("team")
    first, second = folder / "first", folder / "second"
    run(folder, "git", "clone", "--quiet", str(ROOT), str(first))
    shrink(first / "params.yaml")
    run(first, *said("dvc remote add", **{"/srv/coordconv": str(folder / "remote")}))
    run(first, *said("git add"))
    run(first, *said("git commit --message"))
    run(first, *said("dvc repro --single-item"))
    run(first, *said("git add src"))
    run(first, *said('git commit --message "Pooled'))
    run(first, *said("dvc push"))

    run(folder, "git", "clone", "--quiet", str(first), str(second))
    run(second, *said("dvc pull"))
    wait_for(server)
    tracked = run(second, *said("notsoclevr track"), MLFLOW_TRACKING_URI=server).stdout
    return Team(second, tracked, server)


def test_the_second_clone_has_the_files_and_nothing_to_train(team: Team) -> None:
    lock = yaml.safe_load((team.second / "dvc.lock").read_text("utf-8"))["stages"][f"train@{CELL}"]
    assert all((team.second / out["path"]).exists() for out in lock["outs"])
    assert "up to date" in run(team.second, *said("dvc status")).stdout
    assert run(team.second, "git", "status", "--porcelain").stdout == ""


def test_its_run_is_on_the_server(team: Team) -> None:
    assert f"cells that MLflow lacked and now has: {CELL}" in team.tracked
    client = MlflowClient(team.server)
    (found,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert (found.info.run_name, found.info.status) == (CELL, "FINISHED")
    assert "test_exact" in found.data.metrics
    assert client.list_artifacts(found.info.run_id)
    assert not (team.second / "mlflow.db").exists()


def answer(server: str, **headers: str) -> int:
    """Return the status of a request that would change something, had it a body."""
    request = Request(
        f"{server}/api/2.0/mlflow/experiments/create", b"{}", headers | {"Content-Type": "application/json"}
    )
    try:
        with urlopen(request) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def test_the_server_refuses_foreign_names_and_pages(server: str) -> None:
    wait_for(server)
    port = server.rpartition(":")[2]
    for name in ("foreign.example", f"foreign.example:{port}", "127.0.0.1", f"localhost:{port}"):
        assert answer(server, Host=name) == 403
    assert answer(server, Origin="https://foreign.example") == 403
    assert answer(server) == answer(server, Origin=f"https://127.0.0.1:{port}") == 400


def test_this_mlflow_has_every_option_of_the_page() -> None:
    known = {name for option in mlflow.cli.server.params for name in (*option.opts, *option.secondary_opts)}
    used = [word for line in LINES if line.startswith("mlflow server") for word in shlex.split(line)]
    assert {word for word in used if re.fullmatch(r"--[a-z-]+", word)} <= known
    assert set(re.findall(r"`(--(?:app|allowed|cors|uvicorn|disable|backend|artifacts)[a-z-]+)", PAGE)) <= known
