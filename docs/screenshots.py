"""Make the two pictures of README.md that show what a browser shows: `make screenshots`.

The report as it is in reports/, and the MLflow UI with the runs of the rendering experiment in mlflow.db. Needs
Chromium on the path and the results of `make repro`.
"""

import subprocess
import sys
from pathlib import Path

from mlflow import MlflowClient
from playwright.sync_api import Page, sync_playwright

from tests.report.browser import CHROMIUM, FLAGS
from tests.soak.kills import free_port, healthy
from tests.soak.processes import wait_until

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SIZE = {"width": 1280, "height": 800}


def main() -> int:
    """Write docs/images/report.png and mlflow.png; return the exit status."""
    if CHROMIUM is None or not (ROOT / "mlflow.db").is_file():
        print("screenshots: needs chromium on the path and mlflow.db, which `make repro` makes", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport=SIZE)
        show_report(page)
        page.screenshot(path=IMAGES / "report.png")
        page.set_viewport_size(SIZE)
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--port", str(port)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            if not wait_until(lambda: healthy(port), 180):
                print(f"screenshots: the MLflow UI at {address} does not answer", file=sys.stderr)
                return 1
            show_runs(page, address, MlflowClient(address))
            page.screenshot(path=IMAGES / "mlflow.png")
        finally:
            server.terminate()
            server.wait()
    return 0


def show_report(page: Page) -> None:
    """Open the report at the explorer, with a square in the quadrant that no network has seen."""
    page.goto((ROOT / "reports" / "index.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    page.set_viewport_size(SIZE | {"height": 1000})
    # below the bar of the page; its heading and what it says are of no use in a picture
    page.evaluate("scrollTo(0, document.querySelector('#picker').getBoundingClientRect().top + scrollY - 66)")
    page.wait_for_timeout(500)


def show_runs(page: Page, address: str, client: MlflowClient) -> None:
    """Open the runs of the rendering experiment as curves."""
    experiment = client.get_experiment_by_name("not-so-clevr-rendering")
    assert experiment is not None
    page.goto(f"{address}/#/experiments")
    page.get_by_text("Model training", exact=True).first.click()  # not the pages of language models
    page.goto(f"{address}/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART")
    page.get_by_text("coordconv_painter-quadrant").first.wait_for()
    page.get_by_role("button", name="Close").first.click()  # the assistant beside the page
    page.get_by_placeholder("Search metric charts").fill("exact|iou|loss")
    page.locator("svg.main-svg").first.wait_for()
    page.wait_for_timeout(3000)  # until the curves have been drawn


if __name__ == "__main__":
    sys.exit(main())
