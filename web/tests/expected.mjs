// What the page's numbers must be: plain loops over the definitions, in 64-bit numbers, that share nothing with the page.

// Numbers from `from` on.
export const sequence = (length, from = 0) => Array.from({ length }, (_, i) => from + i);

// The cross-correlation of [channels, n, n'] with [outputs, channels, k, k']: rows of a flat [outputs, m, m'].
export function correlate({ x, w, size: [n0, n1], kernel: [k0, k1], padding: [p0, p1] = [0, 0], stride: [s0, s1] = [1, 1], channels = 1 }) {
  const [m0, m1] = [Math.floor((n0 + 2 * p0 - k0 + s0) / s0), Math.floor((n1 + 2 * p1 - k1 + s1) / s1)];
  const outputs = w.length / (channels * k0 * k1), result = [];
  for (let o = 0; o < outputs; o++) for (let i = 0; i < m0; i++) for (let j = 0; j < m1; j++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) for (let a = 0; a < k0; a++) for (let b = 0; b < k1; b++) {
      const [row, column] = [i * s0 + a - p0, j * s1 + b - p1];
      if (row < 0 || row >= n0 || column < 0 || column >= n1) continue;
      sum += x[(c * n0 + row) * n1 + column] * w[((o * channels + c) * k0 + a) * k1 + b];
    }
    result.push(sum);
  }
  return result;
}

// The maximum or mean of each window of [n, n]; padding is never the maximum, and 0 in a mean.
export function pool({ x, size: n, window: [k0, k1], padding: [p0, p1] = [0, 0], stride: [s0, s1] = [k0, k1], isMean = false }) {
  const [m0, m1] = [Math.floor((n + 2 * p0 - k0 + s0) / s0), Math.floor((n + 2 * p1 - k1 + s1) / s1)], result = [];
  for (let i = 0; i < m0; i++) for (let j = 0; j < m1; j++) {
    let most = -Infinity, sum = 0;
    for (let a = 0; a < k0; a++) for (let b = 0; b < k1; b++) {
      const [row, column] = [i * s0 + a - p0, j * s1 + b - p1];
      if (row < 0 || row >= n || column < 0 || column >= n) continue;
      most = Math.max(most, x[row * n + column]);
      sum += x[row * n + column];
    }
    result.push(isMean ? sum / (k0 * k1) : most);
  }
  return result;
}

// The patches of [channels, n, n] under a kernel of [k, k]: a row for each tap, a column for each position.
export function patches({ x, size: n, kernel: k, channels }) {
  const m = n - k + 1, rows = [];
  for (let c = 0; c < channels; c++) for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) {
    for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) rows.push(x[(c * n + i + a) * n + j + b]);
  }
  return rows;
}

// Rows of a matrix of [outputs, inputs] times a vector.
export const times = (matrix, vector) =>
  sequence(matrix.length / vector.length).map((row) => vector.reduce((sum, value, i) => sum + value * matrix[row * vector.length + i], 0));

// A picture's plane under a kernel of 3x3, as it is shown: what is outside repeats the border, and a kernel of sum 0 is shown
// without sign.
export function effect(plane, width, height, kernel) {
  const isSigned = Math.abs(kernel.reduce((a, b) => a + b)) < 1e-6;
  const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
  return plane.map((_, i) => {
    let sum = 0;
    for (let tap = 0; tap < 9; tap++) {
      const [row, column] = [within(Math.floor(i / width) + Math.floor(tap / 3) - 1, height), within((i % width) + (tap % 3) - 1, width)];
      sum += kernel[tap] * plane[row * width + column];
    }
    return Math.min(255, Math.max(0, Math.round(isSigned ? Math.abs(sum) : sum)));
  });
}

// Gradient descent towards [1, -1] on 6x8 ones with columns 2 to 5 zero: the kernel and the loss after each step.
export function descend(kernel, rate, steps) {
  const x = sequence(48).map((i) => (i % 8 >= 2 && i % 8 <= 5 ? 0 : 1));
  const under = (w) => correlate({ x, w, size: [6, 8], kernel: [1, 2] });
  const target = under([1, -1]), history = [];
  for (let step = 0; step <= steps; step++) {
    const errors = under(kernel).map((y, i) => y - target[i]);
    history.push({ kernel, loss: errors.reduce((sum, error) => sum + error * error, 0) });
    const gradient = [0, 1].map((tap) => errors.reduce((sum, error, i) => sum + 2 * error * x[Math.floor(i / 7) * 8 + (i % 7) + tap], 0));
    kernel = kernel.map((weight, tap) => weight - rate * gradient[tap]);
  }
  return history;
}

// LeNet with ReLU and maximum pooling on 784 bytes: the outputs of its convolutions and the ten logits.
export function lenet(pixels, params) {
  let at = 0;
  const next = (count) => params.slice(at, (at += count));
  const conv = (x, size, channels, outputs, padding) => {
    const [w, b] = [next(outputs * channels * 25), next(outputs)];
    const y = correlate({ x, w, channels, size: [size, size], kernel: [5, 5], padding: [padding, padding] });
    return y.map((value, i) => value + b[Math.floor(i / (y.length / outputs))]);
  };
  const dense = (x, outputs) => {
    const [w, b] = [next(outputs * x.length), next(outputs)];
    return times(w, x).map((value, i) => value + b[i]);
  };
  const relu = (x) => x.map((value) => Math.max(0, value));
  const halve = (x, size) => {
    const planes = sequence(x.length / size ** 2).map((c) => x.slice(c * size ** 2, (c + 1) * size ** 2));
    return planes.flatMap((plane) => pool({ x: plane, size, window: [2, 2] }));
  };
  const first = conv(pixels.map((value) => value / 255), 28, 1, 6, 2);
  const second = conv(halve(relu(first), 28), 14, 6, 16, 0);
  const hidden = relu(dense(relu(dense(halve(relu(second), 10), 120)), 84));
  return { first, second, logits: dense(hidden, 10) };
}
