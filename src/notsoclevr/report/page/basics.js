// What several parts of the page use. All parts are one script, in one block; what is chosen is in `state`.
const study = JSON.parse(document.getElementById("study").textContent);
const { canvas: SIDE, margin: MARGIN, positions: POSITIONS, levels: LEVELS } = study;
const LAST = MARGIN + POSITIONS - 1;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const percent = (share) => { // as notsoclevr.wording.percent: no perfection or failure that it is not
  let digits = 1;
  while (share !== 0 && share !== 1 && [0, 1].includes(+share.toFixed(digits + 2))) digits += 1;
  return `${+(100 * share).toFixed(digits)} %`;
};
const onSplit = []; // what else to do when another split is chosen
const state = { split: null, row: 48, column: 48, metric: "exact", over: "epochs", square: 0, moment: 0 };

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
  const frame = context.createImageData(canvas.width, canvas.height);
  for (let k = 0; k < canvas.width * canvas.height; k++) {
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
  const { label, unit, bounded } = study.metrics[name];
  let { digits } = study.metrics[name];
  while (bounded && value !== 1 && +value.toFixed(digits) === 1) digits += 1; // no perfection that it is not
  return `${label} ${unit === "share" ? percent(value) : `${value.toFixed(digits)} ${unit}`.trim()}`;
}

// Return what begins a call, and returns whether that call is still the latest.
function latest() {
  let last = 0;
  return () => {
    const mine = ++last;
    return () => mine === last;
  };
}

// --- the keyboard and the pointer -----------------------------------------------------------------------------------

// Let arrow keys move something: by so much, down and to the right.
function onArrows(element, stepOf, move) {
  const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  element.addEventListener("keydown", (event) => {
    const way = ways[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey) return; // with these they are the browser's
    event.preventDefault();
    move(...way.map((steps) => steps * stepOf(event)));
  });
}

// Have a screen reader say something, once it has stood for a moment.
const timers = new Map();
function speak(element, text) {
  clearTimeout(timers.get(element));
  timers.set(element, setTimeout(() => { element.textContent = text; }, 500));
}
