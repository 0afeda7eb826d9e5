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
  const state = { split: null, row: 48, column: 48, axis: "epochs", measure: "exact", square: 0, moment: 0 };

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

  const TYPES = { exact: Uint8Array, top: Uint16Array };

  function numbers(cell) {
    return remember(`numbers ${cell.name}`, async () => {
      const names = Object.keys(cell.numbers);
      const arrays = await Promise.all(names.map((name) => unpack(cell.numbers[name], TYPES[name] ?? Float32Array)));
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

  function forming(cell, square) {
    const Type = cell.task === "regression" ? Float32Array : Uint8Array;
    return remember(`forming ${cell.name} ${square}`, () => unpack(pixels(cell).forming[square], Type));
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

  // --- the explorer -----------------------------------------------------------------------------------------------

  // What a cell says at a place: exact or not, in words, and the point it names if it names one.
  function verdict(cell, values, place) {
    const exact = values.exact[place] === 1;
    const said = { exact, verdict: exact ? "✓ exact" : "✗ wrong", detail: "", point: null };
    if (values.points) {
      said.point = [values.points[2 * place], values.points[2 * place + 1]];
      said.detail = `${point(...said.point, 2)}; ${values.error_px[place].toFixed(2)} px off`;
    } else if (values.top) {
      said.point = [Math.floor(values.top[place] / SIDE), values.top[place] % SIDE];
      said.detail = `${point(...said.point, 0)}; ${values.error_px[place].toFixed(1)} px off, probability ${values.probability[place].toPrecision(2)}`;
    } else {
      said.detail = `IoU ${values.iou[place].toFixed(3)}`;
    }
    return said;
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
    const half = isTest[place] ? "test half: never trained on" : "trained on";
    $("#here b").textContent = `Row ${row}, column ${column} px`;
    $("#here .half").textContent = half;
    $("#here").dataset.half = isTest[place] ? "test" : "train";

    const picker = $("#picker");
    paint($("canvas", picker), (k) => {
      if (onSquare(k, row, column, MARGIN)) return [255, 255, 255];
      const [r, c] = [Math.floor(k / SIDE), k % SIDE];
      if (r < MARGIN || r > LAST || c < MARGIN || c > LAST) return [14, 18, 24];
      return isTest[placeOf(r, c)] ? [10, 84, 130] : [44, 54, 68];
    });
    $("svg", picker).replaceChildren();
    draw("rect", { class: "centre", x: column, y: row, width: 1, height: 1 }, $("svg", picker));

    const spoken = [`Row ${row}, column ${column}, ${half}.`];
    for (const task of $$("#explorer .task")) {
      const name = task.dataset.task;
      const target = $(".target", task);
      $("svg", target).replaceChildren();
      const reach = name === "rendering" ? MARGIN : 0;
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

  const timeOf = (cell) => (state.axis === "epochs" ? cell.history.epoch : cell.seconds);
  const longest = () => Math.max(...cellsNow().map((cell) => timeOf(cell).at(-1)));
  const epochsDone = (cell) => timeOf(cell).filter((time) => time <= state.moment).length;
  const measureOf = (cell) => (state.measure === "off" ? ("test_iou" in cell.history ? "iou" : "error_px") : state.measure);

  function ticks(high, most) {
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((size) => high / size <= most) ?? high;
    return Array.from({ length: Math.floor(high / step) + 1 }, (_, i) => i * step);
  }

  // Heights for a measure: shares and IoU from 0 to 1, what has no upper end in powers of ten.
  function scale(measure, values, height) {
    if (measure === "exact" || measure === "iou") {
      return { marks: [0, 0.5, 1], y: (value) => height * (1 - value), write: measure === "exact" ? percent : String };
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
      const measure = measureOf(cells[0]);
      $(".unit", panel).textContent = study.measures[measure];
      const [width, height] = [chart.clientWidth || 340, 190];
      const area = { left: 44, right: width - 12, height: height - 42 };
      const svg = draw("svg", { width, height, "aria-hidden": "true" }, chart);
      const plot = draw("g", { transform: "translate(0 6)" }, svg);
      const all = cells.flatMap((cell) => [...cell.history[`train_${measure}`], ...cell.history[`test_${measure}`]]);
      const { marks, y, write } = scale(measure, all, area.height);
      const x = (time) => area.left + ((area.right - area.left) * time) / end;
      for (const mark of marks) {
        draw("line", { class: "grid", x1: area.left, x2: area.right, y1: y(mark), y2: y(mark) }, plot);
        draw("text", { class: "tick", x: area.left - 6, y: y(mark) + 4, "text-anchor": "end" }, plot).textContent = write(mark);
      }
      for (const mark of ticks(end, width < 320 ? 4 : 6)) {
        draw("text", { class: "tick", x: x(mark), y: area.height + 15, "text-anchor": "middle" }, plot).textContent = mark;
      }
      draw("text", { class: "tick", x: area.right, y: area.height + 29, "text-anchor": "end" }, plot).textContent =
        state.axis === "epochs" ? "epochs of training" : "seconds of training";
      draw("line", { class: "moment", x1: x(state.moment), x2: x(state.moment), y1: 0, y2: area.height }, plot);
      for (const cell of cells) {
        const line = draw("g", { class: cell.coordinates ? "curve with" : "curve", style: `--line: ${cell.colour}` }, plot);
        for (const half of ["train", "test"]) {
          const spots = cell.history[`${half}_${measure}`].map((value, i) => `${x(timeOf(cell)[i]).toFixed(1)},${y(value).toFixed(1)}`);
          draw("polyline", { class: half, points: spots.join(" ") }, line);
        }
        const done = epochsDone(cell);
        if (done) draw("circle", { r: 4, cx: x(timeOf(cell)[done - 1]), cy: y(cell.history[`test_${measure}`][done - 1]) }, line);
      }
      chart.setAttribute("aria-label", `Curves of ${panel.dataset.task}, ${study.measures[measure]} of the test half at the end: ` +
        cells.map((cell) => `${cell.title} ${write(+cell.history[`test_${measure}`].at(-1).toPrecision(3))}`).join("; "));
    }
  }

  async function showForming() {
    const unit = state.axis === "epochs" ? "epoch" : "second";
    $("#moment-out").textContent = `${unit} ${state.moment}`;
    $("#moment").setAttribute("aria-valuetext", `${unit} ${state.moment}`);
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
      const frames = await forming(cell, state.square);
      if (done !== epochsDone(cell) || cell !== cellOf(tile.dataset.model)) return; // the slider has moved on
      const place = cell.showcase[state.square];
      const [row, column] = [MARGIN + Math.floor(place / POSITIONS), MARGIN + (place % POSITIONS)];
      svg.replaceChildren();
      if (cell.task === "regression") {
        paint(canvas, dark);
        cross(svg, row, column);
        ring(svg, frames[2 * done], frames[2 * done + 1], [row, column]);
      } else {
        paint(canvas, grey(frames.subarray(done * SIDE * SIDE, (done + 1) * SIDE * SIDE)));
        if (cell.task === "classification") cross(svg, row, column);
      }
      const when = done ? `epoch ${done} of ${cell.seconds.length}, ${cell.seconds[done - 1].toFixed(0)} s` : "untrained";
      $(".detail", tile).textContent = when;
      canvas.setAttribute("aria-label", `${cell.title} on the square at ${point(row, column, 0)}: ${when}`);
    }
    document.documentElement.dataset.formed = `${state.split} ${state.square} ${state.axis} ${state.moment}`;
  }

  function showLearning() {
    const slider = $("#moment");
    slider.max = state.axis === "epochs" ? longest() : Math.ceil(longest());
    slider.step = state.axis === "epochs" ? 1 : Math.max(1, Math.round(longest() / 200));
    state.moment = clamp(state.moment, 0, +slider.max);
    slider.value = state.moment;
    showCurves();
    showForming();
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

  $("#square").addEventListener("change", (event) => { state.square = +event.target.value; showForming(); });
  $("#moment").addEventListener("input", (event) => { state.moment = +event.target.value; showCurves(); showForming(); });
  for (const name of ["axis", "measure"]) {
    for (const input of $$(`input[name=${name}]`)) {
      input.addEventListener("change", () => {
        const share = state.moment / longest();
        state[name] = input.value;
        if (name === "axis") state.moment = Math.round(share * longest());
        showLearning();
      });
    }
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
      state.moment = Math.min(+slider.max, state.moment + Math.max(+slider.step, Math.round(slider.max / 60)));
      slider.value = state.moment;
      showCurves();
      showForming();
      if (state.moment >= +slider.max) stop();
    }, 150);
  });

  // --- MLflow -----------------------------------------------------------------------------------------------------

  // MLflow shows a report as a blob of its own origin, in a frame that may neither open pages nor leave itself.
  function server() {
    const here = new URL(location.protocol === "blob:" ? location.pathname : location.href);
    if (!here.protocol.startsWith("http")) return null;
    return location.protocol === "blob:" || /artifact/.test(here.pathname) ? here.origin : null;
  }

  function copy(text) {
    const field = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }

  function linkRuns() {
    const origin = server();
    if (!origin) return;
    for (const element of $$(".run, .runs-note")) element.hidden = false;
    for (const link of $$("a[data-run]")) {
      link.href = `${origin}/#/experiments/${link.dataset.experiment}/runs/${link.dataset.run}`;
      link.target = "_blank";
      link.rel = "noopener";
      if (self.origin !== "null") continue; // no sandbox, as where the artifact is opened by itself
      link.addEventListener("click", (event) => {
        event.preventDefault();
        $("#copied").textContent = `${copy(link.href) ? "Copied" : "Its address is"} ${link.href}`;
      });
    }
  }

  // --- start ------------------------------------------------------------------------------------------------------

  async function showSplit(split) {
    state.split = split;
    for (const element of $$("[data-for]")) element.hidden = element.dataset.for !== split;
    await Promise.all([showPosition(), listSquares()]);
    showLearning();
  }

  for (const input of $$("input[name=split]")) input.addEventListener("change", () => showSplit(input.value));
  state.square = Math.max(0, (study.cells.find((cell) => cell.split === "quadrant") ?? study.cells[0]).showcase.length - 1);
  state.moment = Infinity;
  linkRuns();
  showSplit($("input[name=split]:checked").value).then(() => {
    new ResizeObserver(showCurves).observe($(".learning"));
    document.documentElement.dataset.ready = "yes";
  });
}
