"""What was published about each cell, to stand beside what we measure.

Sources: the tutorial's result tables; the paper's section 4 (classification), section 5 and appendix (rendering) and
its abstract. Shares are of examples answered right, but for the paper's rendering, which is the mean intersection over
union on the test half, and for the tutorial's regression, whose code (branch ash/regression) counts rows and columns
singly. Where a source names no figure there is None: the tutorial judged rendering by eye, and used the pooled
regressor on the uniform split and the strided one on the quadrant split only.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """Published results of one cell, 0 to 1."""

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
    ("coordconv_painter", "uniform"): Published(paper_test=1.0),
    ("coordconv_painter", "quadrant"): Published(paper_test=1.0),
    ("deconv_painter", "uniform"): Published(paper_test=0.83),
    ("deconv_painter", "quadrant"): Published(paper_test=0.36),
}
