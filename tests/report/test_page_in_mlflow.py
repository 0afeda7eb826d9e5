"""The report inside the real MLflow UI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from notsoclevr.cells import files, record
from notsoclevr.config import load
from notsoclevr.dataset import Dataset
from notsoclevr.tracking import connect

from ..conftest import make_project, run_command, store_uri
from ..fabricated import fabricate
from ..soak.kills import free_port, healthy
from ..soak.processes import wait_until
from .browser import Browser, agrees, needs_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def tracked(full: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the real MLflow UI on a store with a cell and the comparison in it, and the project."""
    root = make_project(tmp_path_factory.mktemp("mlflow"), full)
    uri, config, model = store_uri(root), load(root / "params.yaml"), "deconv_painter"
    fabricate(root / "results", model, config.splits["quadrant"], config.models[model], epochs=1, pictures=True)
    for command in ("track", "evaluate"):
        finished = run_command(root, command)
        assert finished.returncode == 0, finished.stderr
    port = free_port()
    serve = f"{sys.executable} -m mlflow ui --host 127.0.0.1 --port {port} --workers 1 --backend-store-uri {uri}"
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # processes for what is not used here
    with (root / "ui.log").open("wb") as log:
        process = subprocess.Popen(serve.split(), env=environment, stdout=log, stderr=log, start_new_session=True)
    assert wait_until(lambda: healthy(port), 120)
    yield f"http://127.0.0.1:{port}", root
    os.killpg(process.pid, 15)
    process.wait()


def test_the_mlflow_ui_has_experiments_runs_images_and_the_report(browser: Browser, tracked: tuple[str, Path]) -> None:
    address, root = tracked
    client = MlflowClient(store_uri(root))
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    (comparison,) = client.search_runs([experiments["not-so-clevr-comparison"]])
    cell = files.load(root / "results" / "deconv_painter-quadrant")
    with connect(root) as store:
        run = record.find_run(store, cell)
    experiment = experiments[f"not-so-clevr-{cell.metrics['task']}"]
    painter = f"#/experiments/{experiment}/runs/{run}"
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"{address}/#/experiments")
    for name in (cell.metrics["task"], "comparison"):
        page.get_by_text(f"not-so-clevr-{name}", exact=True).first.wait_for()
    page.goto(f"{address}/#/experiments/{experiment}/runs")
    page.get_by_text("deconv_painter-quadrant").first.wait_for()
    page.goto(f"{address}/{painter}/artifacts/figures/map.png")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth > 400)")

    page.goto(f"{address}/#/experiments/{experiments['not-so-clevr-comparison']}/runs/{comparison.info.run_id}")
    link = page.get_by_role("link", name="deconv_painter-quadrant").first
    link.wait_for()
    assert link.get_attribute("href").endswith(painter)

    page.goto(
        f"{address}/#/experiments/{experiments['not-so-clevr-comparison']}/runs/{comparison.info.run_id}"
        "/artifacts/index.html"
    )
    frame = page.frame_locator("iframe.mlflow-html-iframe, iframe#html")
    frame.locator("html[data-ready]").wait_for()
    inside = next(f for f in page.frames if f.url.startswith("blob:"))
    assert inside.evaluate("document.documentElement.dataset.shown") == "quadrant 48 48"
    agrees(inside, cell, 48, 48)
    assert all(url.startswith((address, "data:", "blob:")) for url in asked if "mlflow.org" not in url), asked
    context.close()
