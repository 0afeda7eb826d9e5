// The explorer: what every network answered at a position, from the predictions of the run.

// What a cell says at a place: exact or not, in words, and the point it names if it names one.
function verdict(cell, values, place) {
  const exact = values.exact[place] === 1;
  const details = [quantity(taskOf(cell).metric, values[taskOf(cell).metric][place])];
  let named = null;
  if (values.points) {
    named = [values.points[2 * place], values.points[2 * place + 1]];
    details.unshift(point(...named, answersPoint(cell) ? 2 : 0));
  }
  if (values.probability) details.push(`probability ${values.probability[place].toPrecision(2)}`);
  return { exact, verdict: exact ? "✓ exact" : "✗ wrong", detail: details.join("; "), point: named };
}

const showing = latest();

async function showPosition() {
  const { row, column, split } = state;
  const isLatest = showing();
  const place = placeOf(row, column);
  for (const name of ["row", "column"]) {
    $(`#${name}`).value = state[name];
    $(`#${name} + output`).textContent = `${state[name]} px`;
  }
  for (const mark of $$(".map .here")) { mark.setAttribute("x", column - 1); mark.setAttribute("y", row - 1); }
  const isTest = await tests(split);
  const cells = cellsNow();
  const [values, images] = await Promise.all([
    Promise.all(cells.map(numbers)), Promise.all(cells.map((cell) => image(cell, row, column)))]);
  if (!isLatest()) return; // a later position has overtaken this one
  const set = isTest[place] ? "test set: never trained on" : "trained on";
  $("#here b").textContent = `Row ${row}, column ${column} px`;
  $("#here .set").textContent = set;
  $("#here").dataset.set = isTest[place] ? "test" : "train";

  const picker = $("#picker");
  paint($("canvas", picker), (k) => {
    if (onSquare(k, row, column, MARGIN)) return [255, 255, 255];
    const [r, c] = [Math.floor(k / SIDE), k % SIDE];
    if (r < MARGIN || r > LAST || c < MARGIN || c > LAST) return [14, 18, 24];
    return isTest[placeOf(r, c)] ? [10, 84, 130] : [44, 54, 68];
  });
  $("svg", picker).replaceChildren();
  draw("rect", { class: "centre", x: column, y: row, width: 1, height: 1 }, $("svg", picker));

  const spoken = [`Row ${row}, column ${column}, ${set}.`];
  for (const task of $$("#explorer .task")) {
    const name = task.dataset.task;
    const target = $(".target", task);
    $("svg", target).replaceChildren();
    const { reach } = study.tasks[name];
    paint($("canvas", target), (k) => (onSquare(k, row, column, reach) ? [255, 255, 255] : [0, 0, 0]));
    if (!reach) cross($("svg", target), row, column);
    $(".detail", target).textContent = point(row, column, 0);
    $("canvas", target).setAttribute("aria-label", `Target of ${name}: ${point(row, column, 0)}`);
    for (const tile of $$(".tile[data-model]", task)) {
      const at = cells.findIndex((cell) => cell.model === tile.dataset.model);
      const [canvas, svg] = [$("canvas", tile), $("svg", tile)];
      svg.replaceChildren();
      tile.classList.toggle("gone", at < 0);
      if (at < 0) {
        paint(canvas, dark);
        delete tile.dataset.exact;
        $(".verdict", tile).textContent = "no result";
        $(".detail", tile).textContent = "";
        canvas.setAttribute("aria-label", "no result");
        continue;
      }
      const cell = cells[at];
      const said = verdict(cell, values[at], place);
      paint(canvas, images[at] ? grey(images[at]) : dark);
      if (!reach) cross(svg, row, column);
      if (said.point) ring(svg, ...said.point, !said.exact && [row, column]);
      tile.dataset.exact = said.exact;
      tile.dataset.point = said.point ?? "";
      $(".verdict", tile).textContent = said.verdict;
      $(".detail", tile).textContent = said.detail;
      canvas.setAttribute("aria-label", `${cell.title}: ${said.verdict.slice(2)}, ${said.detail}`);
      spoken.push(`${cell.title} ${said.verdict.slice(2)}.`);
    }
  }
  document.documentElement.dataset.shown = `${split} ${row} ${column}`;
  speak($("#spoken"), spoken.join(" "));
}

function moveTo(row, column) {
  row = clamp(Math.round(row), MARGIN, LAST);
  column = clamp(Math.round(column), MARGIN, LAST);
  if (row === state.row && column === state.column) return;
  Object.assign(state, { row, column });
  showPosition();
}

function under(event, element, first, count) {
  const box = element.getBoundingClientRect();
  return [first + Math.floor(((event.clientY - box.top) / box.height) * count),
    first + Math.floor(((event.clientX - box.left) / box.width) * count)];
}

const picker = $("#picker");
const follow = (event) => moveTo(...under(event, $("canvas", picker), 0, SIDE));
picker.addEventListener("pointermove", follow);
picker.addEventListener("pointerdown", follow);
onArrows(picker, (event) => (event.shiftKey ? 8 : 1), (down, right) => moveTo(state.row + down, state.column + right));
for (const map of $$(".map[data-cell]")) {
  for (const kind of ["pointermove", "pointerdown"]) {
    map.addEventListener(kind, (event) => moveTo(...under(event, map, MARGIN, POSITIONS)));
  }
}
$("#row").addEventListener("input", (event) => moveTo(+event.target.value, state.column));
$("#column").addEventListener("input", (event) => moveTo(state.row, +event.target.value));
