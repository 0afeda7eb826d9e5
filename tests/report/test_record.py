from __future__ import annotations

from notsoclevr.report.record import best


def test_the_best_is_exact_on_most_then_small_then_from_the_hardest_split() -> None:
    def cell(model: str, split: str, exact: float, parameters: int) -> dict[str, object]:
        return {"model": model, "split": split, "test_exact": exact, "parameters": parameters}

    cells = [
        *(cell("large", split, 1.0, 900) for split in ("easy", "hard")),
        *(cell("small", split, 1.0, 100) for split in ("easy", "hard")),
        *(cell("weak", split, exact, 10) for split, exact in (("easy", 0.9), ("hard", 0.1))),
    ]
    assert best(cells) == cell("small", "hard", 1.0, 100)
    assert best(cells[4:]) == cell("weak", "hard", 0.1, 10)
