"""The report in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from notsoclevr.cells import files
from notsoclevr.cells.files import Cell
from notsoclevr.cells.matrix import load_matrix
from notsoclevr.dataset import Dataset
from notsoclevr.report import page as report

from ..conftest import ROOT
from ..fabricated import CONFIG, change, fabricate
from .browser import Browser, Page, Watched, Written, agrees, needs_chromium, pixels, point_at, shown, violations

pytestmark = needs_chromium


def test_the_pointer_reads_the_predictions_and_the_split_changes_them(watched: Watched, written: Written) -> None:
    path, cells = written
    page = watched.open(path)
    page.locator("#explorer").scroll_into_view_if_needed()
    for split, places in (("quadrant", ((48, 50), (5, 59), (33, 33))), ("uniform", ((4, 4), (59, 20)))):
        page.check(f"input[name=split][value={split}]", force=True)
        page.wait_for_selector(f'html[data-shown^="{split} "]', state="attached")
        page.locator("#picker").scroll_into_view_if_needed()
        for row, column in places:
            point_at(page, row, column, split=split)
            is_test = next(c for c in cells if c.metrics["split"] == split).predictions["is_test"]
            part = "never trained on" if is_test[(row - 4) * 56 + column - 4] else "trained on"
            assert part in page.inner_text("#here")
            for cell in cells:
                if cell.metrics["split"] == split:
                    agrees(page, cell, row, column)


def test_train_and_test_positions_are_shaded(watched: Watched, written: Written) -> None:
    path, cells = written
    page = watched.open(path)
    for split in ("quadrant", "uniform"):
        page.check(f"input[name=split][value={split}]", force=True)
        page.wait_for_selector(f'html[data-shown^="{split} "]', state="attached")
        is_test = next(c for c in cells if c.metrics["split"] == split).predictions["is_test"].reshape(56, 56)
        shades = (pixels(page, "#picker") * 255).round()[4:60, 4:60]
        free = shades != 255  # not under the square
        np.testing.assert_array_equal(shades[free], np.where(is_test, 10, 44)[free])


def test_keys_and_sliders_move_the_square(watched: Watched, written: Written) -> None:
    path, cells = written
    page = watched.open(path)
    shown(page, "quadrant", 48, 48)
    page.focus("#picker")
    for key, place in (("ArrowUp", (47, 48)), ("ArrowLeft", (47, 47)), ("Shift+ArrowDown", (55, 47))):
        page.keyboard.press(key)
        shown(page, "quadrant", *place)
    page.keyboard.press("Shift+ArrowDown")  # held at the edge
    shown(page, "quadrant", 59, 47)
    agrees(page, next(cell for cell in cells if cell.name == "deconv_painter-quadrant"), 59, 47)
    page.focus("#column")
    page.keyboard.press("ArrowRight")
    shown(page, "quadrant", 59, 48)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.locator("#spoken", has_text="Row 59, column 48").wait_for(state="attached")
    # all can be reached by the keyboard, and has a name
    names = page.eval_on_selector_all(
        "input, button, select, [tabindex]",
        "all => all.map(e => e.labels?.[0]?.innerText || e.ariaLabel || e.innerText || "
        "document.getElementById(e.getAttribute('aria-labelledby'))?.innerText)",
    )
    assert all(names), names


def test_the_maps_move_the_square_too(watched: Watched, written: Written) -> None:
    page = watched.open(written[0])
    page.locator('.map[data-cell="deconv_painter-quadrant"]').scroll_into_view_if_needed()
    box = page.locator('.map[data-cell="deconv_painter-quadrant"]').bounding_box()
    page.mouse.move(box["x"] + box["width"] * 10.5 / 56, box["y"] + box["height"] * 30.5 / 56)
    shown(page, "quadrant", 34, 14)
    alternative = page.get_attribute('.map[data-cell="deconv_painter-quadrant"] img', "alt")
    assert "0 of the 784" in alternative


def test_the_slider_shows_the_snapshots_of_a_training(watched: Watched, written: Written) -> None:
    path, cells = written
    page = watched.open(path)
    cell = next(cell for cell in cells if cell.name == "deconv_painter-quadrant")
    tile = '#learning .tile[data-model="deconv_painter"]'
    for moment in (0, 2, 4):
        page.locator("#moment").fill(str(moment))
        page.wait_for_selector(f'html[data-snapshot="quadrant 11 {moment}"]', state="attached")
        snapshot = cell.predictions["snapshots"][moment, 11].astype(np.float32)
        assert np.abs(pixels(page, tile) - snapshot).max() <= 0.5 / report.LEVELS + 1 / 255
        assert (f"epoch {moment} of 4" if moment else "untrained") in page.inner_text(tile)
    for metric, painters, regressors in (
        ("loss", "loss", "loss"),
        ("own", "IoU", "error, px"),
        ("exact", "exact answers", "exact answers"),
    ):
        page.check(f"input[name=metric][value={metric}]", force=True)
        assert page.inner_text('#learning .panel[data-task="rendering"] .unit') == painters
        assert page.inner_text('#learning .panel[data-task="regression"] .unit') == regressors
        assert page.locator("#learning polyline").count() == 14  # seven networks, training set and test set
    page.check("input[name=over][value=operations]", force=True)
    axis = page.locator('#learning .panel[data-task="rendering"] .tick').all_text_contents()
    assert {"floating-point operations", "1 T"} <= {*axis}
    spots = page.locator('#learning .panel[data-task="rendering"] .test').all()
    ends = [float(spot.get_attribute("points").split()[-1].split(",")[0]) for spot in spots]
    painters = [c.metrics for c in cells if c.metrics["task"] == "rendering" and c.metrics["split"] == "quadrant"]
    costs = [metrics["training_operations"] / metrics["epochs"] * 4 for metrics in painters]
    assert np.argsort(ends).tolist() == np.argsort(costs).tolist()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_is_legible(browser: Browser, written: Written, mode: str, width: int) -> None:
    it = Watched(browser, viewport={"width": width, "height": 844}, color_scheme=mode, has_touch=width < 500)
    page = it.open(written[0])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ink, paper = (
        np.array([int(x) for x in page.evaluate(f"getComputedStyle(document.body).{name}")[4:-1].split(",")])
        for name in ("color", "backgroundColor")
    )
    assert (ink.mean() > paper.mean()) == (mode == "dark")
    assert abs(ink.mean() - paper.mean()) > 150
    if width < 500:
        box = page.locator("#picker canvas").bounding_box()
        page.locator("#picker").tap(position={"x": box["width"] * 20.5 / 64, "y": box["height"] * 8.5 / 64})
        shown(page, "quadrant", 8, 20)
    page.locator(".claims summary").nth(1).click()
    assert violations(page) == []
    it.context.close()
    assert it.said == []


def test_it_opens_in_under_a_second(watched: Watched, written: Written) -> None:
    """Of the processor's time, in which other work on the machine has no share."""
    session = watched.context.new_cdp_session(watched.page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    watched.open(written[0])
    metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    assert 0 < metrics["TaskDuration"] < 1


# The networks, computed in the page

COORDCONV = ("coordconv_classifier", "coordconv_regressor", "coordconv_painter")
SAMPLE = np.array([0, 55, 56, 1234, 1596, 2500, 3135])  # positions of the canvas, corners among them


def asked(page: Page, cell: Cell, place: int) -> dict[str, Any]:
    row, column = cell.predictions["coordinates"][place].tolist()
    arguments = [cell.metrics["task"], cell.metrics["split"], row, column]
    script = "question => ask(...question).then(({image, point}) => ({image: image && [...image], point}))"
    return dict(page.evaluate(script, arguments))


def held_to(page: Page, cell: Cell, places: Any, predictions: Any, points: Any) -> None:
    """Hold the answers that the page computes to predictions and points, (n, ...)."""
    for place, prediction, point in zip(places.tolist(), predictions, points, strict=True):
        answer = asked(page, cell, place)
        said = answer["point"] if cell.task.answer == "point" else np.reshape(answer["image"], (64, 64))
        # a probability of one pixel among 4,096 may be small itself
        np.testing.assert_allclose(said, prediction, rtol=1e-5, atol=1e-3 * np.abs(prediction).max())
        if point is not None:
            np.testing.assert_allclose(answer["point"], point, rtol=1e-5, atol=1e-3)


def held_to_keras(page: Page, cell: Cell, examples: Dataset) -> None:
    outputs = np.asarray(keras.saving.load_model(cell.directory / "model.keras")(cell.task.inputs(examples)))
    points = cell.task.points(outputs) if cell.task.points else [None] * len(SAMPLE)
    held_to(page, cell, SAMPLE, cell.task.predictions(outputs), points)


def test_the_page_computes_what_keras_does(watched: Watched, written: Written, full: Dataset) -> None:
    path, cells = written
    page = watched.open(path)
    for cell in cells:
        if cell.name in [f"{model}-quadrant" for model in COORDCONV]:
            held_to_keras(page, cell, full[SAMPLE])


def test_the_page_computes_what_the_run_has_stored(watched: Watched) -> None:
    """The page in reports/, on the networks that the pipeline trained."""
    path = ROOT / "reports" / "index.html"
    folders = [ROOT / "results" / f"{model}-{split}" for model in COORDCONV for split in CONFIG.splits]
    if not path.exists() or not all((folder / "predictions.npz").exists() for folder in folders):
        pytest.skip("no results: `make repro`, or `dvc pull`")
    page = watched.open(path)
    places = np.arange(0, 3136, 285)
    for folder in folders:
        cell = files.load(folder)
        points = [None] * len(places) if cell.points is None else cell.points[places]
        held_to(page, cell, places, cell.predictions["predictions"][places].astype(np.float32), points)


def wait_for(page: Page, *words: object) -> None:
    page.wait_for_selector(f'#asker[data-shown="{" ".join(map(str, words))}"]', state="attached")


def test_keys_channels_and_sizes_change_what_is_asked(watched: Watched, written: Written) -> None:
    page = watched.open(written[0])
    painter = "coordconv_painter-quadrant"
    wait_for(page, painter, 48, 48, 64)
    before = pixels(page, "#asker")
    page.focus("#asker")
    for key, row, column in (
        ("ArrowUp", 47, 48),
        ("Shift+ArrowRight", 47, 48.1),
        ("ArrowRight", 47, 49.1),
    ):
        page.keyboard.press(key)
        wait_for(page, painter, row, column, 64)
    assert "between pixels; the nearest is in the test set" in page.inner_text("#asked-place")
    page.fill("#asked-row", "2")
    wait_for(page, painter, 2, 49.1, 64)
    assert "beyond the margin" in page.inner_text("#asked-place")
    page.fill("#asked-row", "48")
    page.fill("#asked-column", "48")
    wait_for(page, painter, 48, 48, 64)
    assert "never trained on" in page.inner_text("#asked-place")
    np.testing.assert_array_equal(pixels(page, "#asker"), before)
    assert "paints" in page.inner_text("#asked-words")

    page.uncheck("input[name=channel][value=row]")
    wait_for(page, painter, 48, 48, 64, "row")
    without = pixels(page, "#asker")
    assert np.ptp(before, axis=0).max() > 0
    assert np.ptp(without, axis=0).max() == 0  # all rows are the same to it
    assert np.ptp(without, axis=1).max() > 0
    page.check("input[name=channel][value=row]")

    page.select_option("#side", "128")
    wait_for(page, painter, 48, 48, 128)
    assert page.evaluate("document.querySelector('#asker canvas').width") == 128
    page.select_option("#side", "64")
    page.check("input[name=asked][value=regression]", force=True)
    wait_for(page, "coordconv_regressor-quadrant", 48, 48, 64)
    lit = pixels(page, "#asker")
    assert lit[48, 48] == lit.sum() == 1
    assert "It is shown the pixel at row 48, column 48 and says row " in page.inner_text("#asked-words")
    page.check("input[name=split][value=uniform]", force=True)
    wait_for(page, "coordconv_regressor-uniform", 48, 48, 64)
    page.locator("#asked-spoken", has_text="Row 48, column 48 px").wait_for(state="attached")


# Claims, and what a browser may lack


def test_claims_are_chosen_by_verdict_and_by_who_made_them(watched: Watched, written: Written) -> None:
    page = watched.open(written[0])
    rows = page.locator(".claims > li")
    every = rows.count()
    assert page.inner_text("#claims-shown") == f"{every} of {every} judged claims shown"
    page.select_option("#claims select[name=verdict]", "holds")
    page.select_option("#claims select[name=group]", "critics")
    visible = [row for row in rows.all() if row.is_visible()]
    assert 0 < len(visible) < every
    assert page.inner_text("#claims-shown") == f"{len(visible)} of {every} judged claims shown"
    assert {(row.get_attribute("data-verdict"), row.get_attribute("data-group")) for row in visible} == {
        ("holds", "critics")
    }
    assert not page.locator(".tests").first.is_visible()
    visible[0].locator("summary").press("Enter")
    assert "needed" in visible[0].locator(".tests").inner_text()


@pytest.mark.parametrize(
    ("options", "script", "words"),
    [
        ({}, "delete window.DecompressionStream", "this browser has no DecompressionStream"),
        ({}, "JSON.parse = () => { throw new Error('cut') }", "the script failed (Uncaught Error: cut)"),
        ({}, "window.atob = () => 'no data'", "the data of the page is damaged"),
        ({"java_script_enabled": False}, "", "JavaScript is off"),
    ],
)
def test_a_browser_that_lacks_something_is_told_in_a_line(
    browser: Browser, written: Written, options: dict[str, Any], script: str, words: str
) -> None:
    context = browser.new_context(**options)
    context.add_init_script(script)
    page = context.new_page()
    page.goto(written[0].as_uri())
    line = page.locator(".missing:visible", has_text=words)
    line.wait_for()
    assert "\n" not in line.inner_text()
    assert "the comparison" in line.inner_text()
    assert not page.locator("#explorer, #ask, #learning").locator("visible=true").count()
    assert page.locator("#comparison table").first.is_visible()
    assert "The quadrant split:" in page.locator(".no-script:visible").all_inner_texts()
    assert not page.locator("#splits, .needs-script").locator("visible=true").count()
    context.close()


def test_a_missing_cell_is_named_and_the_rest_is_drawn(
    watched: Watched, tmp_path: Path, full: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    regressor = "coordconv_regressor"
    settings = {"coordinate_layers": "every", "radius": True, "separate_coordinates": True, "pooling": "average"}
    config = change(monkeypatch, regressor, **settings, activation="relu")
    for model in (regressor, "coordconv_painter", "pooled_regressor"):
        fabricate(tmp_path, model, epochs=2)
    (tmp_path / "pooled_regressor-quadrant" / "history.csv").write_text("foreign")
    report.write(tmp_path / "index.html", *load_matrix(tmp_path, config))
    page = watched.open(tmp_path / "index.html")
    assert "12 of 14 cells are missing" in page.inner_text("aside")
    assert "no result" in page.inner_text('#explorer .tile[data-model="pooled_regressor"]')
    agrees(page, files.load(tmp_path / "coordconv_painter-quadrant"), 48, 48)
    # a network of other settings, with a third channel
    held_to_keras(page, files.load(tmp_path / f"{regressor}-quadrant"), full[SAMPLE])
    assert page.locator("input[name=channel]").count() == 3
