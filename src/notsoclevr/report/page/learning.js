// How it learned: curves, and the answers to one square on the way.

const longest = () => Math.max(...cellsNow().map((cell) => cell.history.epoch.at(-1)));
const epochsDone = (cell) => cell.history.epoch.filter((epoch) => epoch <= state.moment).length; // those that were measured
const metricOf = (task) => (state.metric === "own" ? study.tasks[task].metric : state.metric);

function ticks(high, most) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((size) => high / size <= most) ?? high;
  return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
}

// Heights for a metric: one that is bounded from 0 to 1, what has no upper end in powers of ten.
function scale(metric, values, height) {
  if (metric.bounded) {
    const write = metric.unit === "share" ? percent : (value) => String(+value.toPrecision(3));
    return { marks: [0, 0.5, 1], y: (value) => height * (1 - value), write };
  }
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.max(1e-4, Math.min(1, ...positive))));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(1e-4, ...positive))));
  const marks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
  const y = (value) => height * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low));
  return { marks, y, write: (value) => String(+value.toPrecision(1)) };
}

const PREFIXES = ["", "k", "M", "G", "T", "P"];

// Where epochs stand on the way across: evenly, or by the operations that they cost, in powers of ten.
function across(most) {
  const end = longest();
  if (state.over === "epochs") {
    const marks = ticks(end, most).map((mark) => [mark / end, mark]);
    return { title: "epochs of training", marks, share: (cell, epoch) => epoch / end };
  }
  const cells = cellsNow();
  const low = Math.floor(Math.log10(Math.min(...cells.map((cell) => cell.operations * cell.history.epoch[0]))));
  const high = Math.ceil(Math.log10(Math.max(...cells.map((cell) => cell.operations * cell.history.epoch.at(-1)))));
  const marks = Array.from({ length: high - low + 1 }, (_, i) => {
    const power = low + i;
    return [i / (high - low), `${10 ** (power % 3)} ${PREFIXES[Math.floor(power / 3)]}`];
  });
  return { title: "floating-point operations", marks, share: (cell, epoch) => (Math.log10(cell.operations * epoch) - low) / (high - low) };
}

function showCurves() {
  for (const panel of $$("#learning .panel")) {
    const cells = cellsNow().filter((cell) => cell.task === panel.dataset.task);
    const chart = $(".chart", panel);
    chart.replaceChildren();
    chart.setAttribute("aria-label", "no result");
    if (!cells.length) continue;
    const name = metricOf(panel.dataset.task);
    const metric = study.metrics[name];
    $(".unit", panel).textContent = metric.heading;
    const [width, height] = [chart.clientWidth || 340, 190];
    const area = { left: 44, right: width - 12, height: height - 42 };
    const svg = draw("svg", { width, height, "aria-hidden": "true" }, chart);
    const plot = draw("g", { transform: "translate(0 6)" }, svg);
    const all = cells.flatMap((cell) => [...cell.history[`train_${name}`], ...cell.history[`test_${name}`]]);
    const { marks, y, write } = scale(metric, all, area.height);
    const { title, marks: stops, share } = across(width < 320 ? 4 : 6);
    const x = (part) => area.left + (area.right - area.left) * part;
    const at = (cell, i) => x(share(cell, cell.history.epoch[i]));
    for (const mark of marks) {
      draw("line", { class: "grid", x1: area.left, x2: area.right, y1: y(mark), y2: y(mark) }, plot);
      draw("text", { class: "tick", x: area.left - 6, y: y(mark) + 4, "text-anchor": "end" }, plot).textContent = write(mark);
    }
    for (const [part, text] of stops) {
      draw("text", { class: "tick", x: x(part), y: area.height + 15, "text-anchor": "middle" }, plot).textContent = text;
    }
    draw("text", { class: "tick", x: area.right, y: area.height + 29, "text-anchor": "end" }, plot).textContent = title;
    if (state.over === "epochs") {
      const now = x(share(null, state.moment));
      draw("line", { class: "moment", x1: now, x2: now, y1: 0, y2: area.height }, plot);
    }
    for (const cell of cells) {
      const line = draw("g", { class: cell.coordinates ? "curve with" : "curve", style: `--line: ${cell.colour}` }, plot);
      for (const set of ["train", "test"]) {
        const spots = cell.history[`${set}_${name}`].map((value, i) => `${at(cell, i).toFixed(1)},${y(value).toFixed(1)}`);
        draw("polyline", { class: set, points: spots.join(" ") }, line);
      }
      const done = epochsDone(cell);
      if (done) draw("circle", { r: 4, cx: at(cell, done - 1), cy: y(cell.history[`test_${name}`][done - 1]) }, line);
    }
    chart.setAttribute("aria-label", `Curves of ${panel.dataset.task}, at the end on the test set: ` +
      cells.map((cell) => `${cell.title} ${quantity(name, cell.history[`test_${name}`].at(-1))}`).join("; "));
  }
}

const drawing = latest();

async function showSnapshots() {
  const isLatest = drawing();
  const { split, square, moment } = state;
  $("#moment-out").textContent = `epoch ${moment}`;
  $("#moment").setAttribute("aria-valuetext", `epoch ${moment}`);
  for (const tile of $$("#learning .tile")) {
    const cell = cellOf(tile.dataset.model);
    const [canvas, svg] = [$("canvas", tile), $("svg", tile)];
    tile.classList.toggle("gone", !cell);
    if (!cell) {
      svg.replaceChildren();
      paint(canvas, dark);
      canvas.setAttribute("aria-label", "no result");
      $(".detail", tile).textContent = "no result";
      continue;
    }
    const done = epochsDone(cell);
    const frames = await snapshots(cell, square);
    if (!isLatest()) return; // a later choice has overtaken this one
    const place = cell.showcase[square];
    const [row, column] = [MARGIN + Math.floor(place / POSITIONS), MARGIN + (place % POSITIONS)];
    svg.replaceChildren();
    if (!taskOf(cell).reach) cross(svg, row, column);
    if (answersPoint(cell)) {
      paint(canvas, dark);
      ring(svg, frames[2 * done], frames[2 * done + 1], [row, column]);
    } else {
      paint(canvas, grey(frames.subarray(done * SIDE * SIDE, (done + 1) * SIDE * SIDE)));
    }
    const when = done ? `epoch ${cell.history.epoch[done - 1]} of ${cell.history.epoch.at(-1)}` : "untrained";
    $(".detail", tile).textContent = when;
    canvas.setAttribute("aria-label", `${cell.title} on the square at ${point(row, column, 0)}: ${when}`);
  }
  document.documentElement.dataset.snapshot = `${split} ${square} ${moment}`;
}

function showLearning() {
  const slider = $("#moment");
  slider.max = longest();
  state.moment = clamp(state.moment, 0, +slider.max);
  slider.value = state.moment;
  showCurves();
  showSnapshots();
}

async function listSquares() {
  const [cell] = cellsNow();
  const { split } = state;
  const isTest = await tests(split);
  if (split !== state.split) return; // a later choice has overtaken this one
  $("#square").replaceChildren(...cell.showcase.map((place, k) => {
    const [row, column] = [MARGIN + Math.floor(place / POSITIONS), MARGIN + (place % POSITIONS)];
    return new Option(`${point(row, column, 0)} (${isTest[place] ? "test" : "trained on"})`, k);
  }));
  $("#square").value = state.square;
}

$("#square").addEventListener("change", (event) => { state.square = +event.target.value; showSnapshots(); });
$("#moment").addEventListener("input", (event) => { state.moment = +event.target.value; showLearning(); });
for (const name of ["metric", "over"]) {
  for (const input of $$(`input[name=${name}]`)) {
    input.addEventListener("change", () => {
      state[name] = input.value;
      showLearning();
    });
  }
}
let playing = 0;
function stop() {
  clearInterval(playing);
  playing = 0;
  $("#play").textContent = "Play";
}
$("#play").addEventListener("click", () => {
  if (playing) return stop();
  const slider = $("#moment");
  if (state.moment >= +slider.max) state.moment = 0;
  $("#play").textContent = "Pause";
  playing = setInterval(() => {
    state.moment = Math.min(+slider.max, state.moment + Math.max(1, Math.round(slider.max / 60)));
    showLearning();
    if (state.moment >= +slider.max) stop();
  }, 150);
});
