"use strict";
// What is chosen is in `state`; `show` functions read it and write the page. Everything said in words is the data's own.
{
  const study = JSON.parse(document.getElementById("study").textContent);
  const { canvas: SIDE, margin: MARGIN, positions: POSITIONS, levels: LEVELS } = study;
  const LAST = MARGIN + POSITIONS - 1;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const percent = (share) => `${+(100 * share).toFixed(1)} %`;
  const state = { split: null, row: 48, column: 48, metric: "exact", square: 0, moment: 0 };

  // --- data: base64 of deflated bytes, unpacked when first asked for ------------------------------------------------

  const memory = new Map();

  function remember(key, make) {
    if (!memory.has(key)) memory.set(key, make());
    return memory.get(key);
  }

  async function unpack(text, Type = Uint8Array) {
    const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Type(await new Response(stream).arrayBuffer());
  }

  function numbers(cell) {
    return remember(`numbers ${cell.name}`, async () => {
      const names = Object.keys(cell.numbers);
      const arrays = await Promise.all(names.map((name) => unpack(cell.numbers[name], name === "exact" ? Uint8Array : Float32Array)));
      return Object.fromEntries(names.map((name, i) => [name, arrays[i]]));
    });
  }

  function pixels(cell) {
    const place = study.cells.indexOf(cell);
    return remember(`pixels ${place}`, () => JSON.parse(document.getElementById(`pixels-${place}`).textContent));
  }

  // Levels of the image at a position, or null for a network that answers with a point.
  async function image(cell, row, column) {
    const blocks = pixels(cell).blocks;
    if (!blocks.length) return null;
    const block = await remember(`block ${cell.name} ${row}`, () => unpack(blocks[row - MARGIN]));
    return block.subarray((column - MARGIN) * SIDE * SIDE, (column - MARGIN + 1) * SIDE * SIDE);
  }

  const taskOf = (cell) => study.tasks[cell.task];
  const answersPoint = (cell) => taskOf(cell).answer === "point";

  function snapshots(cell, square) {
    const Type = answersPoint(cell) ? Float32Array : Uint8Array;
    return remember(`snapshots ${cell.name} ${square}`, () => unpack(pixels(cell).snapshots[square], Type));
  }

  const cellsNow = () => study.cells.filter((cell) => cell.split === state.split);
  const cellOf = (model) => cellsNow().find((cell) => cell.model === model);
  const tests = (split) => remember(`tests ${split}`, () => unpack(study.tests[split]));
  const placeOf = (row, column) => (row - MARGIN) * POSITIONS + column - MARGIN;

  // --- drawing --------------------------------------------------------------------------------------------------

  function paint(canvas, colour) {
    const context = canvas.getContext("2d", { willReadFrequently: true }); // images come from memory: no GPU wanted
    const frame = context.createImageData(SIDE, SIDE);
    for (let k = 0; k < SIDE * SIDE; k++) {
      const [red, green, blue] = colour(k);
      frame.data.set([red, green, blue, 255], 4 * k);
    }
    context.putImageData(frame, 0, 0);
  }

  const grey = (levels) => (k) => { const g = Math.round((255 * levels[k]) / LEVELS); return [g, g, g]; };
  const dark = () => [0, 0, 0];

  function onSquare(k, row, column, reach) {
    return Math.abs(Math.floor(k / SIDE) - row) <= reach && Math.abs((k % SIDE) - column) <= reach;
  }

  function draw(tag, attributes, within) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    within.append(element);
    return element;
  }

  function cross(svg, row, column) {
    const [x, y] = [column + 0.5, row + 0.5];
    draw("path", { class: "cross", d: `M${x - 4} ${y}h2.6M${x + 1.4} ${y}h2.6M${x} ${y - 4}v2.6M${x} ${y + 1.4}v2.6` }, svg);
  }

  // A ring around an answer; one outside the canvas is held at its edge, and said in words.
  function ring(svg, row, column, target) {
    const [x, y] = [clamp(column + 0.5, 1, SIDE - 1), clamp(row + 0.5, 1, SIDE - 1)];
    if (target) draw("line", { class: "miss", x1: target[1] + 0.5, y1: target[0] + 0.5, x2: x, y2: y }, svg);
    draw("circle", { class: "ring", cx: x, cy: y, r: 2.2 }, svg);
  }

  const point = (row, column, digits) => `row ${row.toFixed(digits)}, column ${column.toFixed(digits)}`;

  function quantity(name, value) {
    const { label, unit, digits } = study.metrics[name];
    return `${label} ${unit === "share" ? percent(value) : `${value.toFixed(digits)} ${unit}`.trim()}`;
  }

  // --- the explorer -----------------------------------------------------------------------------------------------

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

  let asked = 0;

  async function showPosition() {
    const { row, column, split } = state;
    const mine = ++asked;
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
    if (mine !== asked) return; // a later position has overtaken this one
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
    clearTimeout(showPosition.later);
    showPosition.later = setTimeout(() => { $("#spoken").textContent = spoken.join(" "); }, 500);
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
  picker.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 8 : 1;
    const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    moveTo(state.row + move[0], state.column + move[1]);
  });
  for (const map of $$(".map[data-cell]")) {
    for (const kind of ["pointermove", "pointerdown"]) {
      map.addEventListener(kind, (event) => moveTo(...under(event, map, MARGIN, POSITIONS)));
    }
  }
  $("#row").addEventListener("input", (event) => moveTo(+event.target.value, state.column));
  $("#column").addEventListener("input", (event) => moveTo(state.row, +event.target.value));

  // --- how it learned ---------------------------------------------------------------------------------------------

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
      return { marks: [0, 0.5, 1], y: (value) => height * (1 - value), write: metric.unit === "share" ? percent : String };
    }
    const positive = values.filter((value) => value > 0);
    const low = Math.floor(Math.log10(Math.max(1e-4, Math.min(...positive))));
    const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive))));
    const marks = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
    const y = (value) => height * (1 - (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low));
    return { marks, y, write: (value) => String(+value.toPrecision(1)) };
  }

  function showCurves() {
    const end = longest();
    for (const panel of $$("#learning .panel")) {
      const cells = cellsNow().filter((cell) => cell.task === panel.dataset.task);
      const chart = $(".chart", panel);
      chart.replaceChildren();
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
      const x = (epoch) => area.left + ((area.right - area.left) * epoch) / end;
      for (const mark of marks) {
        draw("line", { class: "grid", x1: area.left, x2: area.right, y1: y(mark), y2: y(mark) }, plot);
        draw("text", { class: "tick", x: area.left - 6, y: y(mark) + 4, "text-anchor": "end" }, plot).textContent = write(mark);
      }
      for (const mark of ticks(end, width < 320 ? 4 : 6)) {
        draw("text", { class: "tick", x: x(mark), y: area.height + 15, "text-anchor": "middle" }, plot).textContent = mark;
      }
      draw("text", { class: "tick", x: area.right, y: area.height + 29, "text-anchor": "end" }, plot).textContent = "epochs of training";
      draw("line", { class: "moment", x1: x(state.moment), x2: x(state.moment), y1: 0, y2: area.height }, plot);
      for (const cell of cells) {
        const line = draw("g", { class: cell.coordinates ? "curve with" : "curve", style: `--line: ${cell.colour}` }, plot);
        for (const set of ["train", "test"]) {
          const spots = cell.history[`${set}_${name}`].map((value, i) => `${x(cell.history.epoch[i]).toFixed(1)},${y(value).toFixed(1)}`);
          draw("polyline", { class: set, points: spots.join(" ") }, line);
        }
        const done = epochsDone(cell);
        if (done) draw("circle", { r: 4, cx: x(cell.history.epoch[done - 1]), cy: y(cell.history[`test_${name}`][done - 1]) }, line);
      }
      chart.setAttribute("aria-label", `Curves of ${panel.dataset.task}, ${metric.heading} on the test set at the end: ` +
        cells.map((cell) => `${cell.title} ${write(+cell.history[`test_${name}`].at(-1).toPrecision(3))}`).join("; "));
    }
  }

  async function showSnapshots() {
    $("#moment-out").textContent = `epoch ${state.moment}`;
    $("#moment").setAttribute("aria-valuetext", `epoch ${state.moment}`);
    for (const tile of $$("#learning .tile")) {
      const cell = cellOf(tile.dataset.model);
      const [canvas, svg] = [$("canvas", tile), $("svg", tile)];
      tile.classList.toggle("gone", !cell);
      if (!cell) {
        svg.replaceChildren();
        paint(canvas, dark);
        $(".detail", tile).textContent = "no result";
        continue;
      }
      const done = epochsDone(cell);
      const frames = await snapshots(cell, state.square);
      if (done !== epochsDone(cell) || cell !== cellOf(tile.dataset.model)) return; // the slider has moved on
      const place = cell.showcase[state.square];
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
    document.documentElement.dataset.snapshot = `${state.split} ${state.square} ${state.moment}`;
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
    const isTest = await tests(state.split);
    $("#square").replaceChildren(...cell.showcase.map((place, k) => {
      const [row, column] = [MARGIN + Math.floor(place / POSITIONS), MARGIN + (place % POSITIONS)];
      return new Option(`${point(row, column, 0)} (${isTest[place] ? "test" : "trained on"})`, k);
    }));
    $("#square").value = state.square;
  }

  $("#square").addEventListener("change", (event) => { state.square = +event.target.value; showSnapshots(); });
  $("#moment").addEventListener("input", (event) => { state.moment = +event.target.value; showCurves(); showSnapshots(); });
  for (const input of $$("input[name=metric]")) {
    input.addEventListener("change", () => {
      state.metric = input.value;
      showLearning();
    });
  }
  let playing = 0;
  function stop() {
    clearInterval(playing);
    playing = 0;
    $("#play").textContent = "Play";
    $("#play").setAttribute("aria-pressed", "false");
  }
  $("#play").addEventListener("click", () => {
    if (playing) return stop();
    const slider = $("#moment");
    if (state.moment >= +slider.max) state.moment = 0;
    $("#play").textContent = "Pause";
    $("#play").setAttribute("aria-pressed", "true");
    playing = setInterval(() => {
      state.moment = Math.min(+slider.max, state.moment + Math.max(1, Math.round(slider.max / 60)));
      slider.value = state.moment;
      showCurves();
      showSnapshots();
      if (state.moment >= +slider.max) stop();
    }, 150);
  });

  // --- claims -----------------------------------------------------------------------------------------------------

  for (const select of $$("#claims select")) {
    select.addEventListener("change", () => {
      const wanted = Object.fromEntries([...$$("#claims select")].map((each) => [each.name, each.value]));
      const rows = [...$$("#claims tbody tr")];
      for (const row of rows) row.hidden = Object.entries(wanted).some(([name, value]) => value && row.dataset[name] !== value);
      $("#claims-shown").textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} shown`;
    });
  }

  // --- start ------------------------------------------------------------------------------------------------------

  async function showSplit(split) {
    state.split = split;
    for (const element of $$("[data-for]")) element.hidden = element.dataset.for !== split;
    await Promise.all([showPosition(), listSquares()]);
    showLearning();
  }

  for (const input of $$("input[name=split]")) input.addEventListener("change", () => showSplit(input.value));
  state.square = study.cells[0].showcase.length - 1;
  state.moment = Infinity;
  showSplit($("input[name=split]:checked").value).then(() => {
    new ResizeObserver(showCurves).observe($(".learning"));
    document.documentElement.dataset.ready = "yes";
  });
}
