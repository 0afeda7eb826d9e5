from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import sleep

import click
import numpy as np
import pytest

from notsoclevr import cli
from notsoclevr.dataset import Dataset, save_dataset

from . import preloaded
from .conftest import Run, inherited, shrink, store_uri
from .soak.processes import wait_until

TRAIN = ("train", "--model", "coordconv_regressor", "--split", "uniform")


def test_commands_are_listed(command: Run) -> None:
    shown = command("--help").stdout
    for name in ("generate", "split", "train", "evaluate", "track"):
        assert name in shown
        assert command(name, "--help").returncode == 0


def test_without_a_command_there_is_the_help(command: Run) -> None:
    shown = command()
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == command("--help").stdout


def test_a_terminal_without_a_character_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = TextIOWrapper(BytesIO(), "latin-1")
    monkeypatch.setattr(sys, "stdout", shown)
    with pytest.raises(SystemExit) as ended:
        cli._Group(commands={"show": click.Command("show", callback=lambda: print("a \u2013 b"))}).main(["show"])
    shown.seek(0)
    assert (ended.value.code, shown.read()) == (0, "a ? b\n")


def test_help_needs_no_repository(command: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "--learning_rate" in command("train", "--help", cwd=elsewhere).stdout
    refused = command("generate", cwd=elsewhere)
    assert refused.returncode == 2
    assert refused.stderr == f"notsoclevr: {elsewhere}: no params.yaml here or in a folder above; use --root\n"


def test_help_starts_in_under_a_second(command: Run) -> None:
    seconds = []  # of the processor: others may keep it busy
    for _ in range(3):
        before = getrusage(RUSAGE_CHILDREN)
        assert command("--help").returncode == 0
        after = getrusage(RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert 0 < min(seconds) < 1


# What is refused, and a word of what the line says.
WRONG = {
    ("train", "--model", "coordconv_paintre", "--split", "uniform"): "'coordconv_painter'",
    ("train", "--model", "coordconv_painter", "--split", "diagonal"): "'quadrant'",
    ("train", "--model", "coordconv_painter"): "--split",
    (*TRAIN, "--epochs", "ten"): "command line: models.coordconv_regressor.epochs is 'ten'",
    (*TRAIN, "--epochs", "0"): "models.coordconv_regressor.epochs is 0",
    (*TRAIN, "--learning_rate", "-1"): "learning_rate is -1",
    (*TRAIN, "--width", "2"): "models.coordconv_regressor.width is no setting",
    (*TRAIN, "--seed", "-1"): "seed is -1",
    (*TRAIN, "--epoch", "1"): "--epoch",
    ("split", "--split", "diagonal"): "'quadrant'",
    ("evaluate",): "no results",
    ("track", "nowhere"): "nowhere",
    ("pipeline", "--models", "coordconv_painter, nobody"): "--models: 'nobody'",
    ("pipeline", "--models", "two_stage_painter"): "--models: 'two_stage_painter'",
    ("pipeline", "--models", "deconv_painter", "--epochs", "0"): "models.deconv_painter.epochs is 0",
    ("pipeline", "--epochs", "ten"): "command line: models.coordconv_classifier.epochs is 'ten'",
    ("pipeline", "-j", "two"): "'two' is not a valid integer range",
    ("pipeline", "--epochs", "2", "--jobs", "2"): "--jobs and --epochs",
    ("pipeline", "--jobs", "0"): "0 is not in the range x>=1",
    (*TRAIN, "--threads", "0"): "0 is not in the range x>=1",
    (*TRAIN, "--out", "data"): "--out data: holds other files",
    ("study", "params.yaml", "--scheduler", ""): "--scheduler is empty",
    ("study", "params.yaml", "--workers", "2", "--scheduler", "tcp://127.0.0.1:9"): "give one of the two",
    ("search", "studies/search/nobody"): "nobody is no model; the folder takes the name of one: coordconv_classifier, ",
    ("search",): "Missing argument",
    ("dance",): "dance",
    ("--root", "/nowhere", "generate"): "/nowhere",
}
# Run each of them, and print as JSON how it ended and what it said; at the end what slow packages were imported.
RUN_ALL = """
import contextlib, io, json, sys
from notsoclevr.cli import main
ended = []
for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            ended.append([end.code, out.getvalue(), err.getvalue()])
slow = {"tensorflow", "mlflow", "matplotlib", "dvc"} & sys.modules.keys()
print(json.dumps([ended, sorted(slow)]))
"""
Refusals = tuple[dict[tuple[str, ...], tuple[int, str, str]], list[str], bool]


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory, _pristine: Path) -> Refusals:
    """How each wrong command ended, in one process; the slow packages it imported; and that no file is another."""
    project = shutil.copytree(_pristine, tmp_path_factory.mktemp("wrong"), dirs_exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    command = [sys.executable, "-c", RUN_ALL, json.dumps(list(WRONG))]
    done = subprocess.run(command, cwd=project, env=inherited(), capture_output=True, text=True, check=True)
    ended, slow = json.loads(done.stdout)
    same = {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before
    return dict(zip(WRONG, map(tuple, ended), strict=True)), slow, same


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_use_is_one_line(refusals: Refusals, arguments: tuple[str, ...]) -> None:
    status, out, err = refusals[0][arguments]
    assert status == (1 if arguments == ("evaluate",) else 2)
    assert WRONG[arguments] in err
    assert err.count("\n") == 1
    assert not out


def test_wrong_use_is_refused_at_once_and_writes_nothing(refusals: Refusals) -> None:
    _, slow, same = refusals
    assert slow == []
    assert same


@pytest.mark.parametrize("arguments", [("train", "--split", "x" * 5000), ("track", "x\x1b\ny" * 1000), ("\x1b[31m",)])
def test_a_refused_argument_is_a_line_that_a_person_can_read(command: Run, arguments: tuple[str, ...]) -> None:
    refused = command(*arguments)
    assert refused.stderr.count("\n") == 1
    assert refused.stderr[:-1].isprintable()
    assert len(refused.stderr) < 520
    assert refused.returncode == 2


def test_settings_are_judged_before_anything_starts(command: Run, project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("learning_rate: 0.01", "learning_rate: 1e-2"))
    refused = command("split")
    assert refused.returncode == 2
    assert "write 0.001" in refused.stderr


def test_a_split_with_an_empty_part_is_refused(command: Run, project: Path) -> None:
    params = project / "params.yaml"
    params.write_text(re.sub("train_share: .*", "train_share: 0.0001", params.read_text()))
    before = (project / "data" / "uniform.npz").read_bytes()
    (project / "data" / "quadrant.npz").unlink()
    refused = command("split", "--split", "quadrant", "--split", "uniform")
    assert refused.returncode == 2
    assert "splits.uniform leaves 0 examples to train on and 3136 to test; each takes at least one" in refused.stderr
    assert (project / "data" / "uniform.npz").read_bytes() == before
    assert not (project / "data" / "quadrant.npz").exists()


def test_a_damaged_dataset_is_named_with_its_remedy(command: Run, project: Path, full: Dataset) -> None:
    (project / "data" / "uniform.npz").write_bytes(b"PK")
    refused = command(*TRAIN)
    assert refused.returncode == 2
    assert "uniform.npz" in refused.stderr
    assert "notsoclevr split" in refused.stderr
    save_dataset(project / "data" / "uniform.npz", full)
    assert command(*TRAIN).returncode == 2


def test_the_root_is_found_from_below(command: Run, project: Path) -> None:
    (project / "deep" / "er").mkdir(parents=True)
    (project / "data" / "quadrant.npz").unlink()
    assert command("split", "--split", "quadrant", cwd=project / "deep" / "er").returncode == 0
    assert (project / "data" / "quadrant.npz").exists()
    lost = command("split", cwd=Path("/"))
    assert lost.returncode == 2
    assert "params.yaml" in lost.stderr


def test_an_unwritable_folder_is_one_line(command: Run, project: Path) -> None:
    (project / "data" / "not_so_clevr.npz").unlink()
    (project / "data").rename(project / "elsewhere")
    (project / "data").write_text("a file where a folder should be")
    refused = command("generate")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "data" in refused.stderr


def test_a_full_disk_is_one_line_and_leaves_the_old_file(command: Run, project: Path) -> None:
    before = (project / "data" / "not_so_clevr.npz").read_bytes()
    limited = f"ulimit -f 8; exec {sys.executable} -m notsoclevr generate"
    refused = subprocess.run(["bash", "-c", limited], cwd=project, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "File too large" in refused.stderr
    assert (project / "data" / "not_so_clevr.npz").read_bytes() == before
    assert [path.name for path in (project / "data").glob(".*")] == []


def start_training(project: Path, change: Callable[[], None] = preloaded.nothing) -> tuple[ForkServerProcess, Path]:
    """Start a training, and return its process and what it writes to stderr."""
    outputs = project / "stdout", project / "stderr"
    return preloaded.start(TRAIN, project, inherited(), outputs, change), outputs[1]


def kill_when(said: str, training: ForkServerProcess, stderr: Path, how: int) -> int | None:
    """Kill a training when it has written this to stderr, and return its exit status."""
    assert wait_until(lambda: training.exitcode is not None or (stderr.exists() and said in stderr.read_text()), 240)
    assert training.pid is not None
    os.kill(training.pid, how)
    training.join()
    return training.exitcode


def statuses(project: Path) -> list[str]:
    """Return how the runs in the store of a project ended, in order of the alphabet."""
    from mlflow import MlflowClient

    client = MlflowClient(store_uri(project))
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(run.info.status for run in client.search_runs(experiments))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_closes_its_run(project: Path, how: int) -> None:
    shrink(project / "params.yaml", epochs=120)  # not over before it is stopped
    process, stderr = start_training(project)
    assert kill_when("epoch 10/120", process, stderr, how) == 128 + how
    assert (stderr.read_text().splitlines()[-1] == "notsoclevr: stopped") == (how == signal.SIGINT)
    assert not (project / "results" / "coordconv_regressor-uniform" / "metrics.json").exists()
    assert statuses(project) == ["KILLED"]


def save_for_ever() -> None:
    """Let a cell be written, and the process stay where it is before it is in its place."""
    from notsoclevr.cells import files

    def save(*_: object) -> None:
        print("saving", file=sys.stderr, flush=True)
        sleep(600)

    files.save = save


def test_what_a_training_killed_while_it_saved_leaves_is_no_cell_and_is_cleared(project: Path, command: Run) -> None:
    assert kill_when("saving\n", *start_training(project, save_for_ever), signal.SIGKILL) == -signal.SIGKILL
    cell = project / "results" / "coordconv_regressor-uniform"
    assert list((project / "results").rglob("*")) == [cell]
    assert len(list(project.glob(".*.part"))) == 1

    next_one = command(*TRAIN)
    assert next_one.returncode == 0, next_one.stderr
    assert statuses(project) == ["FINISHED", "KILLED"]
    assert list(project.glob(".*.part")) == []
    for name in (".coordconv_regressor-uniform.5ed51sag", "copy", "coordconv_regressor-diagonal"):  # no cells
        (project / "results" / name).mkdir()
        shutil.copy(cell / "metrics.json", project / "results" / name)
    for arguments in (("evaluate",), ("track",)):
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "cells that MLflow lacked and now has: none\n"


def test_examples_of_another_split_than_params_says_are_refused(project: Path, command: Run) -> None:
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("train_share: 0.06", "train_share: 0.07"))
    refused = command(*TRAIN)
    assert refused.returncode == 2
    assert "uniform.npz: is not divided as params.yaml says" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert command("split").returncode == 0
    assert command(*TRAIN).returncode == 0
    with np.load(project / "data" / "uniform.npz") as file:
        arrays = dict(file)
    arrays["test_coordinates"][3] = 255
    np.savez_compressed(project / "data" / "uniform.npz", **arrays)
    assert "is not divided as params.yaml says" in command(*TRAIN).stderr


def test_a_training_that_diverges_is_one_line(project: Path, command: Run) -> None:
    failed = command(*TRAIN, "--learning_rate", "1e30")
    assert failed.returncode == 1
    assert "notsoclevr: coordconv_regressor-uniform: the training diverged, try a lower learning_rate" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not list(project.glob("*/coordconv_regressor-uniform/metrics.json"))


def test_what_more_threads_give_is_no_cell_of_the_comparison(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from notsoclevr.cells import training

    places: list[str] = []
    monkeypatch.setattr(training, "train_cell", lambda *given, **_: places.append(given[3].parent.name))
    monkeypatch.setattr(cli, "_stop_politely", lambda: None)
    for threads in ("1", "2"):
        with pytest.raises(SystemExit):
            cli.main(["--root", str(project), *TRAIN, "--threads", threads])
    assert places == ["results", "outputs"]


def test_a_terminal_gets_a_bar_and_another_recipe_another_place(project: Path) -> None:
    import pty
    import select
    import termios

    main, other = pty.openpty()
    termios.tcsetwinsize(other, (24, 120))
    terminal = Path(os.ttyname(other))
    training = preloaded.start((*TRAIN, "--epochs", "2"), project, inherited(), (terminal, terminal))
    assert select.select([main], [], [], 240)[0]  # it has opened the terminal
    os.close(other)
    shown = b""
    while True:
        try:
            shown += os.read(main, 4096)
        except OSError:  # the other end is closed
            break
    training.join()
    assert training.exitcode == 0
    assert [*project.glob("*/*/metrics.json")] == [project / "outputs" / "coordconv_regressor-uniform" / "metrics.json"]
    text = shown.decode()
    assert "coordconv_regressor-uniform |" in text
    assert "100%" in text
    assert "epoch 2/2" in text
    assert "exact" in text
