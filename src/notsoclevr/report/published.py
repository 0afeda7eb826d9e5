"""What was published about each cell, to stand beside what is measured here.

Sources: the tutorial's result tables; the paper's section 4 (classification), section 5 and appendix (rendering) and
its abstract. The tutorial counts the rows and columns of a regression one by one (branch ash/regression of its code).
Where a source names no number there is None: the tutorial judged rendering by eye, and used the pooled regressor on
the uniform split and the strided one on the quadrant split only.
"""

from __future__ import annotations

from typing import NamedTuple

from notsoclevr.models import MODELS
from notsoclevr.tasks import METRICS, Metric


class Published(NamedTuple):
    """Published results of one cell, 0 to 1. The tutorial's are shares of exact answers; see `paper_metric`."""

    tutorial_train: float | None = None
    tutorial_test: float | None = None
    paper_test: float | None = None


PUBLISHED: dict[tuple[str, str], Published] = {
    ("coordconv_classifier", "uniform"): Published(1.0, 1.0, 1.0),
    ("coordconv_classifier", "quadrant"): Published(1.0, 1.0, 1.0),
    ("deconv_classifier", "uniform"): Published(1.0, 0.858, 0.86),
    ("deconv_classifier", "quadrant"): Published(1.0, 0.0, 0.0),
    ("coordconv_regressor", "uniform"): Published(1.0, 1.0),
    ("coordconv_regressor", "quadrant"): Published(1.0, 1.0),
    ("pooled_regressor", "uniform"): Published(0.486, 0.477),
    ("strided_regressor", "quadrant"): Published(0.402, 0.071),
    ("tutorial_pooled_regressor", "uniform"): Published(0.486, 0.477),
    ("tutorial_strided_regressor", "quadrant"): Published(0.402, 0.071),
    ("coordconv_painter", "uniform"): Published(paper_test=1.0),
    ("coordconv_painter", "quadrant"): Published(paper_test=1.0),
    ("deconv_painter", "uniform"): Published(paper_test=0.83),
    ("deconv_painter", "quadrant"): Published(paper_test=0.36),
}

# The metric that the paper judges a task by, where that is not the share of exact answers.
PAPER_METRICS: dict[str, str] = {"rendering": "iou"}


def published(model: str, split: str) -> Published:
    """Return what was published about a cell."""
    return PUBLISHED.get((model, split), Published())


def paper_metric(model: str) -> Metric:
    """Return the metric that the paper judges a model by: its numbers are means of it over the test set."""
    return METRICS[PAPER_METRICS.get(MODELS[model].task, "exact")]
