// Ask the network itself: a network of the run, computed here, at positions and on canvases that the run never had.
// Positions are in pixels of the canvas that it was trained on, 0 to SIDE - 1, whatever canvas it is asked on.
if ($("#asker")) {
  const picker = $("#asker");
  const chosen = { task: $("input[name=asked]:checked").value, row: 48, column: 48 };
  const asking = latest();

  const cellNow = () => cellsNow().find((cell) => cell.task === chosen.task && cell.network);
  const toPixel = (position, side) => (position * (side - 1)) / (SIDE - 1);
  const toPosition = (pixel, side) => (pixel * (SIDE - 1)) / (side - 1);
  const onScreen = (position, side) => ((toPixel(position, side) + 0.5) / side) * SIDE; // in units of the drawing
  const written = (value) => String(+value.toFixed(1));

  function layersOf(cell) {
    return remember(`network ${cell.name}`, () => Promise.all(cell.network.layers.map(async (layer) => layer.kind === "convolve"
      ? { ...layer, kernel: await unpack(layer.kernel, Float32Array), bias: await unpack(layer.bias, Float32Array) }
      : layer)));
  }

  // What a network is given: two numbers, or an image in which a square around the nearest pixel is lit.
  function inputOf({ given }, row, column, side) {
    if (given === null) return { side: 0, channels: 2, values: Float32Array.of(row, column) };
    const [r, c] = [row, column].map((position) => Math.round(toPixel(position, side)));
    const lit = (k) => Math.abs(Math.floor(k / side) - r) <= given && Math.abs((k % side) - c) <= given;
    return { side, channels: 1, values: Float32Array.from({ length: side * side }, (_, k) => +lit(k)) };
  }

  // The answer: an image of probabilities or null, and the point that is named or null, in pixels of its own.
  async function answer(cell, row, column, side = SIDE, off = []) {
    const layers = await layersOf(cell);
    const outputs = compute(layers, inputOf(cell.network, row, column, side), side, off);
    const { activation, names } = cell.network;
    if (!activation) return { image: null, point: [...outputs] };
    const image = ACTIVATIONS[activation](outputs);
    const top = outputs.indexOf(outputs.reduce((a, b) => Math.max(a, b)));
    return { image, point: names ? [Math.floor(top / side), top % side] : null };
  }

  // For those who want numbers: ask("rendering", "quadrant", 20.5, 33) in the browser's console.
  globalThis.ask = (task, split, row, column, side, off) =>
    answer(study.cells.find((cell) => cell.task === task && cell.split === split && cell.network), row, column, side, off);

  // Where a position belongs: the words, and the set it is in.
  async function setOf(row, column) {
    const [r, c] = [Math.round(row), Math.round(column)];
    if ([r, c].some((place) => place < MARGIN || place > LAST)) return ["beyond the margin: no square was ever whole here", "none"];
    const isTest = (await tests(state.split))[placeOf(r, c)];
    if (r === row && c === column) return isTest ? ["test set: never trained on", "test"] : ["trained on", "train"];
    return [`between pixels; the nearest is ${isTest ? "in the test set" : "one trained on"}`, "none"];
  }

  // What the answer is, in words, beside what would be right.
  function words(cell, said, row, column, side) {
    const canvas = side === SIDE ? "" : ` of ${side}`;
    if (!said.image) {
      const shown = [row, column].map((position) => toPosition(Math.round(toPixel(position, side)), side));
      const off = Math.hypot(said.point[0] - shown[0], said.point[1] - shown[1]);
      return `It is shown the pixel at ${point(...shown, side === SIDE ? 0 : 1)} and says ${point(...said.point, 2)}: ${off.toFixed(2)} px off.`;
    }
    if (said.point) {
      const probability = said.image[said.point[0] * side + said.point[1]].toPrecision(2);
      const right = [row, column].map((position) => toPixel(position, side));
      return `Its top pixel is ${point(...said.point, 0)}${canvas}, probability ${probability}. The centre is at ` +
        `row ${written(right[0])}, column ${written(right[1])}.`;
    }
    const reach = taskOf(cell).reach + 0.5;
    const inside = (k) => Math.abs(toPosition(Math.floor(k / side), side) - row) < reach && Math.abs(toPosition(k % side, side) - column) < reach;
    let [painted, due, both] = [0, 0, 0];
    said.image.forEach((probability, k) => {
      const [is, should] = [probability > 0.5, inside(k)];
      painted += is;
      due += should;
      both += is && should;
    });
    if (!painted) return `It paints nothing. The square has ${due} pixels.`;
    return painted === both && due === both ? `It paints all ${due} pixels of the square and no other.`
      : `It paints ${painted} pixels, ${both} of them in the square, which has ${due}.`;
  }

  function overlay(cell, said, row, column, side) {
    const svg = $("svg", picker);
    svg.replaceChildren();
    const rect = (kind, low, high) => {
      const [y, x] = low.map((position) => onScreen(position, side));
      const [y1, x1] = high.map((position) => onScreen(position, side));
      draw("rect", { class: kind, x, y, width: x1 - x, height: y1 - y }, svg);
    };
    rect("edge", [MARGIN - 0.5, MARGIN - 0.5], [LAST + 0.5, LAST + 0.5]);
    const reach = taskOf(cell).reach;
    if (reach) rect("truth", [row - reach - 0.5, column - reach - 0.5], [row + reach + 0.5, column + reach + 0.5]);
    else cross(svg, onScreen(row, side) - 0.5, onScreen(column, side) - 0.5);
    if (!said.point) return;
    const at = said.image ? said.point.map((pixel) => toPosition(pixel, side)) : said.point;
    ring(svg, ...at.map((position) => onScreen(position, side) - 0.5), [row, column].map((position) => onScreen(position, side) - 0.5));
  }

  async function show() {
    const { row, column } = chosen;
    const cell = cellNow();
    const off = $$("input[name=channel]").filter((box) => !box.checked).map((box) => box.value);
    const side = +$("#side").value;
    const isLatest = asking();
    for (const name of ["row", "column"]) {
      const slider = $(`#asked-${name}`);
      slider.value = chosen[name];
      slider.nextElementSibling.textContent = `${written(chosen[name])} px`;
    }
    const canvas = $("canvas", picker);
    picker.classList.toggle("gone", !cell);
    if (!cell) {
      $("svg", picker).replaceChildren();
      paint(canvas, dark);
      for (const part of $$("#asked-place > *")) part.textContent = "";
      $("#asked-words").textContent = "The network of this split is not there.";
      return;
    }
    const [said, [place, set]] = await Promise.all([answer(cell, row, column, side, off), setOf(row, column)]);
    if (!isLatest()) return; // a later question has overtaken this one
    canvas.width = canvas.height = side;
    const image = said.image ?? inputOf(cell.network, row, column, side).values;
    const highest = cell.network.names ? image.reduce((a, b) => Math.max(a, b)) : 1;
    paint(canvas, (k) => Array(3).fill(Math.round((255 * image[k]) / highest)));
    overlay(cell, said, row, column, side);
    $("#asked-place b").textContent = `Row ${written(row)}, column ${written(column)} px`;
    $("#asked-place .set").textContent = place;
    $("#asked-place").dataset.set = set;
    $("#asked-words").textContent = words(cell, said, row, column, side);
    speak($("#asked-spoken"), `${$("#asked-place b").textContent}, ${place}. ${$("#asked-words").textContent}`);
    picker.dataset.shown = [cell.name, row, column, side, ...off].join(" ");
  }

  // At most once a frame, however fast the pointer is.
  function later() {
    cancelAnimationFrame(later.frame);
    later.frame = requestAnimationFrame(show);
  }

  function moveTo(row, column) {
    [chosen.row, chosen.column] = [row, column].map((position) => +clamp(position, 0, SIDE - 1).toFixed(1));
    later();
  }

  function follow(event) {
    const side = +$("#side").value;
    const box = $("canvas", picker).getBoundingClientRect();
    const at = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
    moveTo(...at.map((share) => toPosition(share * side - 0.5, side)));
  }
  picker.addEventListener("pointermove", follow);
  picker.addEventListener("pointerdown", follow);
  onArrows(picker, (event) => (event.shiftKey ? 0.1 : 1), (down, right) => moveTo(chosen.row + down, chosen.column + right));
  $("#asked-row").addEventListener("input", (event) => moveTo(+event.target.value, chosen.column));
  $("#asked-column").addEventListener("input", (event) => moveTo(chosen.row, +event.target.value));
  for (const control of $$("#ask input[type=checkbox], #side")) control.addEventListener("change", later);
  for (const input of $$("input[name=asked]")) {
    input.addEventListener("change", () => {
      chosen.task = input.value;
      later();
    });
  }
  onSplit.push(later);
}
