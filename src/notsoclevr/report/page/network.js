// A network, computed: small products of matrices, layer by layer. network.py says what layers there are.
// A map is { side, channels, values }, pixel by pixel, row by row; a vector is one without pixels, side 0.

// The coordinate channels of a canvas, -1 to 1 from the first pixel to the last; one that is off is 0 everywhere.
function coordinates(side, names, off) {
  const axis = Float32Array.from({ length: side }, (_, i) => (2 * i - (side - 1)) / Math.max(side - 1, 1));
  const at = { row: (r) => axis[r], column: (_, c) => axis[c], radius: (r, c) => Math.hypot(axis[r], axis[c]) };
  const values = new Float32Array(side * side * names.length);
  names.forEach((name, channel) => {
    if (off.includes(name)) return;
    for (let k = 0; k < side * side; k++) values[k * names.length + channel] = at[name](Math.floor(k / side), k % side);
  });
  return { side, channels: names.length, values };
}

function append(map, more) {
  const channels = map.channels + more.channels;
  const values = new Float32Array(map.side * map.side * channels);
  for (let k = 0; k < map.side * map.side; k++) {
    values.set(map.values.subarray(k * map.channels, (k + 1) * map.channels), k * channels);
    values.set(more.values.subarray(k * more.channels, (k + 1) * more.channels), k * channels + map.channels);
  }
  return { side: map.side, channels, values };
}

function convolve(map, { size, filters, kernel, bias, activation }) {
  const { side, channels, values } = map;
  const reach = (size - 1) / 2;
  const result = new Float32Array(side * side * filters);
  const sums = new Float64Array(filters);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      sums.set(bias);
      for (let r = Math.max(0, row - reach); r <= Math.min(side - 1, row + reach); r++) {
        for (let c = Math.max(0, column - reach); c <= Math.min(side - 1, column + reach); c++) {
          const from = (r * side + c) * channels;
          let weight = ((r - row + reach) * size + c - column + reach) * channels * filters;
          for (let i = 0; i < channels; i++, weight += filters) {
            const value = values[from + i];
            if (value === 0) continue; // as half of them are after a ReLU
            for (let o = 0; o < filters; o++) sums[o] += value * kernel[weight + o];
          }
        }
      }
      if (activation === "relu") for (let o = 0; o < filters; o++) sums[o] = Math.max(0, sums[o]);
      result.set(sums, (row * side + column) * filters);
    }
  }
  return { side, channels: filters, values: result };
}

function pool({ channels, values }, by) {
  const pooled = new Float32Array(channels).fill(by === "max" ? -Infinity : 0);
  values.forEach((value, i) => {
    const o = i % channels;
    pooled[o] = by === "max" ? Math.max(pooled[o], value) : pooled[o] + (value * channels) / values.length;
  });
  return { side: 0, channels, values: pooled };
}

function tile({ channels, values }, side) {
  const tiled = new Float32Array(side * side * channels);
  for (let k = 0; k < side * side; k++) tiled.set(values, k * channels);
  return { side, channels, values: tiled };
}

// What the layers make of an input, on a canvas of any size, with some of the coordinate channels off.
function compute(layers, input, side, off) {
  const steps = {
    scale: (map, { factor, offset }) => ({ ...map, values: map.values.map((value) => value * factor + offset) }),
    tile: (map) => tile(map, side),
    convolve: (map, layer) =>
      convolve(layer.coordinates.length ? append(map, coordinates(side, layer.coordinates, off)) : map, layer),
    pool: (map, { by }) => pool(map, by),
  };
  return layers.reduce((map, layer) => steps[layer.kind](map, layer), input).values;
}

// Outputs of a network to probabilities, by the name of the function in Keras.
const ACTIVATIONS = {
  softmax(outputs) {
    const highest = outputs.reduce((a, b) => Math.max(a, b));
    const powers = outputs.map((value) => Math.exp(value - highest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((value) => value / sum);
  },
  sigmoid: (outputs) => outputs.map((value) => 1 / (1 + Math.exp(-value))),
};
