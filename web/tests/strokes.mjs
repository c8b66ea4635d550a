// From a picture of a digit to the strokes that a pen would make: its skeleton, traced.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

export const SIDE = 28;
// The skeleton is that of a larger picture, so that lines are straight; a pixel of it has ink from this value on.
const SCALE = 8, INK = 110;

const read = (name, header) => gunzipSync(readFileSync(fileURLToPath(new URL(`../../crates/im2col-digits/data/${name}.gz`, import.meta.url)))).subarray(header);

// MNIST's test digits: { pixels: 784 bytes each, labels }.
export const testDigits = () => ({ pixels: read("t10k-images-idx3-ubyte", 16), labels: read("t10k-labels-idx1-ubyte", 8) });

// The picture enlarged, linear between pixels, as ones where there is ink.
function enlarged(pixels) {
  const size = SIDE * SCALE, ink = new Uint8Array(size * size);
  const value = (x, y) => (x < 0 || y < 0 || x >= SIDE || y >= SIDE ? 0 : pixels[y * SIDE + x]);
  for (let i = 0; i < ink.length; i++) {
    const [u, v] = [((i % size) + 0.5) / SCALE - 0.5, (Math.floor(i / size) + 0.5) / SCALE - 0.5];
    const [x, y] = [Math.floor(u), Math.floor(v)], [a, b] = [u - x, v - y];
    const above = value(x, y) * (1 - a) + value(x + 1, y) * a, below = value(x, y + 1) * (1 - a) + value(x + 1, y + 1) * a;
    ink[i] = Number(above * (1 - b) + below * b >= INK);
  }
  return ink;
}

// Clockwise from above.
const AROUND = [[0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [-1, -1]];

// Thins to lines of one pixel: Zhang and Suen 1984. The picture has a rim without ink.
function thin(ink, size) {
  const offsets = AROUND.map(([x, y]) => y * size + x);
  for (let pass = 0, quiet = 0; quiet < 2; pass = 1 - pass) {
    const gone = [];
    ink.forEach((value, i) => {
      if (!value) return;
      const ring = offsets.map((offset) => ink[i + offset]), count = ring.reduce((a, b) => a + b);
      if (count < 2 || count > 6 || ring.filter((here, j) => !here && ring[(j + 1) % 8]).length !== 1) return;
      const [above, , right, , below, , left] = ring;
      const isRim = pass === 0 ? !(above && right && below) && !(right && below && left) : !(above && right && left) && !(above && below && left);
      if (isRim) gone.push(i);
    });
    for (const i of gone) ink[i] = 0;
    quiet = gone.length ? 0 : quiet + 1;
  }
}

// The strokes of a digit of 784 bytes: lists of points [x, y] in shares of the picture's sides.
export function strokesOf(pixels) {
  const size = SIDE * SCALE, ink = enlarged(pixels);
  thin(ink, size);
  // Neighbours: aslant only where no way round the corner is there.
  const neighbours = new Map();
  ink.forEach((value, i) => value && neighbours.set(i, AROUND.filter(([x, y]) =>
    ink[i + y * size + x] && !(x && y && (ink[i + x] || ink[i + y * size]))).map(([x, y]) => i + y * size + x)));
  const used = new Set(), edge = (a, b) => (a < b ? `${a} ${b}` : `${b} ${a}`);
  const strokes = [];
  const walk = (from, to) => {
    const stroke = [from];
    for (let last = from, next = to; next !== undefined;) {
      used.add(edge(last, next));
      stroke.push(next);
      const way = neighbours.get(next);
      [last, next] = [next, way.length === 2 ? way.find((other) => !used.has(edge(next, other))) : undefined];
    }
    strokes.push(stroke);
  };
  // From ends and forks first; then what is left are rings, and dots.
  for (const onlyEnds of [true, false]) {
    for (const [from, way] of neighbours) {
      if (onlyEnds && way.length === 2) continue;
      for (const to of way) if (!used.has(edge(from, to))) walk(from, to);
      if (onlyEnds && way.length === 0) strokes.push([from]);
    }
  }
  return strokes.map((stroke) => stroke.map((i) => [((i % size) + 0.5) / size, (Math.floor(i / size) + 0.5) / size]));
}
