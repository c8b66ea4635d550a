// Ink: strokes of a pen, the image that MNIST would have made of them, and the pad on which they are drawn.
"use strict";

// A digit fits into 20x20 pixels, and its centre of mass is put at pixel (14, 14) of 28x28: LeCun et al. 1998, section III.A.
// Lengths are in these pixels. With this pen, digits have as much ink as those of MNIST, and as many pixels full of it.
const INK = { side: 28, box: 20, centre: 14, pen: 2.5, edge: 1.4, step: 0.5, rounds: 2, leastExtent: 0.06 };

// Points at equal distances along a stroke [x, y, x, y, ...], and smoothed: the trembling of a mouse is not the shape of a digit.
function smoothedStroke(stroke) {
  const points = [stroke.slice(0, 2)];
  let rest = INK.step;
  for (let i = 2; i < stroke.length; i += 2) {
    let [x, y] = [stroke[i - 2], stroke[i - 1]];
    // Not Math.hypot, which browsers may round as they like.
    let length = Math.sqrt((stroke[i] - x) ** 2 + (stroke[i + 1] - y) ** 2);
    while (length >= rest) {
      x += ((stroke[i] - x) * rest) / length;
      y += ((stroke[i + 1] - y) * rest) / length;
      points.push([x, y]);
      length -= rest;
      rest = INK.step;
    }
    rest -= length;
  }
  points.push(stroke.slice(-2));
  for (let round = 0; round < INK.rounds; round++) {
    let before = points[0];
    for (let i = 1; i < points.length - 1; i++) {
      const here = points[i];
      points[i] = here.map((value, axis) => (before[axis] + 2 * value + points[i + 1][axis]) / 4);
      before = here;
    }
  }
  return points;
}

// The squares of the distances of the pixels' centres from a line, where they are less than before.
function lessenDistances(squares, width, [ax, ay], [bx, by]) {
  const reach = (INK.pen + INK.edge) / 2;
  const height = squares.length / width;
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const first = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
  const last = (a, b, end) => Math.min(end, Math.ceil(Math.max(a, b) + reach));
  for (let row = first(ay, by); row < last(ay, by, height); row++) {
    for (let column = first(ax, bx); column < last(ax, bx, width); column++) {
      const [x, y] = [column + 0.5 - ax, row + 0.5 - ay];
      const along = length > 0 ? clamp((x * dx + y * dy) / length, 0, 1) : 0;
      const square = (x - along * dx) ** 2 + (y - along * dy) ** 2;
      if (square < squares[row * width + column]) squares[row * width + column] = square;
    }
  }
}

// The image of some strokes, each [x, y, x, y, ...] in a unit square: 784 bytes, 255 where there is most ink. All are 0 without
// strokes. Every browser computes the same bytes.
function inkToPixels(strokes) {
  const pixels = new Uint8Array(INK.side * INK.side);
  if (strokes.length === 0) return pixels;
  const bounds = [0, 1].map((axis) => {
    const values = strokes.flatMap((stroke) => stroke.filter((_, i) => i % 2 === axis));
    return values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
  });
  // A dot stays a dot: it is not made larger than a digit would be.
  const extent = Math.max(INK.leastExtent, ...bounds.map(([least, most]) => most - least));
  const scale = (INK.box - INK.pen) / extent;
  const sides = bounds.map(([least, most]) => (most - least) * scale + INK.pen);
  const [width, height] = sides.map((side) => Math.min(INK.box, Math.ceil(side - 1e-9)));
  const starts = [(width - sides[0]) / 2 + INK.pen / 2, (height - sides[1]) / 2 + INK.pen / 2];
  const squares = new Float64Array(width * height).fill(Infinity);
  for (const stroke of strokes) {
    const points = smoothedStroke(stroke.map((value, i) => (value - bounds[i % 2][0]) * scale + starts[i % 2]));
    points.forEach((point, i) => lessenDistances(squares, width, points[Math.max(0, i - 1)], point));
  }
  // Ink covers a pixel the less, the farther its centre is from the pen's.
  const cover = squares.map((square) => clamp((INK.pen / 2 - Math.sqrt(square)) / INK.edge + 0.5, 0, 1));
  let [mass, xs, ys] = [0, 0, 0];
  cover.forEach((ink, i) => {
    mass += ink;
    xs += ink * (i % width);
    ys += ink * Math.floor(i / width);
  });
  const corner = (sum, side) => clamp(Math.round(INK.centre - sum / mass), 0, INK.side - side);
  const [left, top] = [corner(xs, width), corner(ys, height)];
  cover.forEach((ink, i) => {
    pixels[(top + Math.floor(i / width)) * INK.side + left + (i % width)] = Math.round(255 * ink);
  });
  return pixels;
}

// A canvas to draw on, by mouse, pen, finger or keyboard. `hear(isDone)` is called whenever the image changes; `isDone` tells
// whether the pen is up. Strokes begin on a blank pad if what is there was not drawn by the reader.
class InkPad {
  static #BACKING = 560;
  static #KEY_STEP = 1 / 24;
  // The image that was put there, if it is still there.
  image = null;
  #strokes = [];
  #isExample = false;
  // The pointer that draws; the keyboard's pen, and the arrow keys that are down.
  #pointer = null;
  #pen = [0.5, 0.5];
  #isPenDown = false;
  #keys = new Set();

  constructor(canvas, hear) {
    Object.assign(this, { canvas, hear });
    canvas.width = canvas.height = InkPad.#BACKING;
    listen(canvas, "pointerdown", (event) => this.#press(event));
    listen(canvas, "pointermove", (event) => this.#move(event));
    listen(canvas, "pointerup pointercancel", (event) => this.#lift(event));
    listen(canvas, "keydown", (event) => this.#key(event));
    listen(canvas, "keyup", ({ key }) => this.#keys.delete(key));
    listen(canvas, "focus", () => this.draw());
    listen(canvas, "blur", () => {
      this.#keys.clear();
      if (!this.#isPenDown) return this.draw();
      this.#isPenDown = false;
      this.#changed(true);
    });
  }

  // What the network gets.
  get pixels() {
    return this.image ?? inkToPixels(this.#strokes);
  }

  get isBlank() {
    return this.image === null && this.#strokes.length === 0;
  }

  // Puts strokes there that the reader did not draw.
  showStrokes(strokes) {
    this.#put(strokes, null, true);
  }

  // Puts an image of 784 bytes there.
  showImage(pixels) {
    this.#put([], pixels, true);
  }

  // Takes the last stroke away, or the image.
  undo() {
    this.#put(this.#strokes.slice(0, -1), null, this.#isExample);
  }

  clear() {
    this.#put([], null, false);
  }

  #put(strokes, image, isExample) {
    [this.#strokes, this.image, this.#isExample, this.#pointer, this.#isPenDown] = [strokes, image, isExample, null, false];
    this.#changed(true);
  }

  #begin(point) {
    if (this.#isExample) [this.#strokes, this.image, this.#isExample] = [[], null, false];
    this.#strokes.push([...point]);
  }

  #place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height].map((value) => clamp(value, 0, 1));
  }

  #press(event) {
    if (this.#pointer !== null || event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true, focusVisible: false });
    this.canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#isPenDown = false;
    this.#begin(this.#place(event));
    this.#changed(false);
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.#strokes.at(-1).push(...this.#place(each));
    this.#changed(false);
  }

  #lift(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#changed(true);
  }

  #key(event) {
    if (isModified(event)) return;
    if (ARROWS[event.key]) {
      this.#keys.add(event.key);
      const step = InkPad.#KEY_STEP * (event.shiftKey ? 0.25 : 1);
      // Two arrows at once lead aslant.
      for (const [down, right] of [...this.#keys].map((key) => ARROWS[key])) {
        this.#pen = [this.#pen[0] + right * step, this.#pen[1] + down * step].map((value) => clamp(value, 0, 1));
      }
      if (this.#isPenDown) this.#strokes.at(-1).push(...this.#pen);
      if (this.#isPenDown) this.#changed(false);
      else this.draw();
    } else if (event.key === " ") {
      this.#isPenDown = !this.#isPenDown;
      if (this.#isPenDown) this.#begin(this.#pen);
      this.#changed(!this.#isPenDown);
    } else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  #changed(isDone) {
    this.draw();
    this.hear(isDone);
  }

  // Shows what is there, in the colours that the style sheet has now.
  draw() {
    const canvas = this.canvas;
    const pen = canvas.getContext("2d");
    const side = InkPad.#BACKING;
    const styles = getComputedStyle(canvas);
    pen.clearRect(0, 0, side, side);
    [pen.fillStyle, pen.strokeStyle] = [styles.color, styles.color];
    [pen.lineWidth, pen.lineCap, pen.lineJoin] = [side * 0.085, "round", "round"];
    const pixel = side / INK.side;
    this.image?.forEach((ink, i) => {
      pen.globalAlpha = ink / 255;
      pen.fillRect((i % INK.side) * pixel, Math.floor(i / INK.side) * pixel, pixel, pixel);
    });
    pen.globalAlpha = 1;
    for (const stroke of this.#strokes) {
      pen.beginPath();
      const points = stroke.map((value) => value * side);
      pen.moveTo(...points.slice(0, 2));
      // Round corners: from the middle of one line to the middle of the next.
      for (let i = 2; i < points.length - 2; i += 2) {
        pen.quadraticCurveTo(points[i], points[i + 1], (points[i] + points[i + 2]) / 2, (points[i + 1] + points[i + 3]) / 2);
      }
      pen.lineTo(...points.slice(-2));
      pen.stroke();
    }
    // The keyboard's pen: a ring, filled while it is down.
    if (!canvas.matches(":focus-visible")) return;
    const [x, y] = this.#pen.map((value) => value * side);
    pen.strokeStyle = pen.fillStyle = styles.outlineColor;
    pen.lineWidth = 5;
    pen.beginPath();
    pen.arc(x, y, side * 0.03, 0, 2 * Math.PI);
    if (this.#isPenDown) pen.fill();
    pen.stroke();
  }
}
