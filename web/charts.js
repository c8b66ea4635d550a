// Curves over epochs, as SVG.
"use strict";

// A line that grows from 0 to `end`: the mean of what is added within each of some stretches.
class Curve {
  static #STRETCHES = 120;
  #sums = [];

  constructor(end) {
    this.end = end;
  }

  add(x, y) {
    const sums = (this.#sums[Math.floor((x / this.end) * Curve.#STRETCHES)] ??= [0, 0, 0]);
    [x, y, 1].forEach((value, i) => (sums[i] += value));
  }

  get points() {
    return this.#sums.filter(Boolean).map(([x, y, count]) => [x / count, y / count]);
  }
}

function svgElement(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// A chart in the element `place`, below its name and a legend.
// series: { kind: a class of the style sheet, name: [en, zh], dots: whether each point has one };
// ranges: what the vertical axis may show, [low, high, step], the widest last: the first that leaves few of the points out is
// taken, and lines beyond it are cut off; first: a value to show as long as there are none;
// tick, label: a number at the axis, and at the end of a line, as text.
class Chart {
  static #BOX = { width: 440, height: 236, left: 46, right: 378, top: 12, bottom: 198, label: 15 };
  #frame = svgElement("g");
  #labels = svgElement("g");

  constructor(place, options) {
    Object.assign(this, options);
    const { width, height, left, right, top, bottom } = Chart.#BOX;
    const heading = element("h3"), legend = element("ul", { class: "legend" });
    tell(heading, ...this.name);
    for (const { kind, name, dots } of this.series) {
      const sample = svgElement("svg", { width: 28, height: 12, "aria-hidden": "true" }), words = span("");
      sample.append(svgElement("path", { class: `line ${kind}`, d: "M0 6H28" }));
      if (dots) sample.append(svgElement("circle", { class: `point ${kind}`, cx: 14, cy: 6, r: 3 }));
      tell(words, ...name);
      legend.append(element("li", {}, sample, words));
    }
    const picture = svgElement("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
    tell(picture, ...this.name, "aria-label");
    // A nested picture cuts off what is out of range.
    const [x, y, wide, high] = [left - 5, top - 5, right - left + 10, bottom - top + 10];
    this.lines = svgElement("svg", { x, y, width: wide, height: high, viewBox: `${x} ${y} ${wide} ${high}` });
    picture.append(this.#frame, this.lines, this.#labels);
    place.append(heading, legend, picture);
  }

  // Shows the points [x, y] of each series, over that many epochs.
  draw(curves, epochs) {
    const { left, right, top, bottom, label } = Chart.#BOX;
    const values = [...curves.flatMap((points) => points.map(([, y]) => y)), ...(curves[0].length ? [] : [this.first])];
    const isMostly = ([low, high]) => values.filter((y) => y >= low && y <= high).length >= 0.9 * values.length;
    const range = this.ranges.find(isMostly) ?? this.ranges.at(-1), [low, high] = range;
    const toX = (x) => (left + (x / epochs) * (right - left)).toFixed(1);
    const toY = (y) => bottom - ((y - low) / (high - low)) * (bottom - top);
    this.#drawFrame(range, epochs, toX, toY);
    this.lines.replaceChildren();
    const ends = [];
    curves.forEach((points, i) => {
      if (points.length === 0) return;
      const { kind, dots } = this.series[i], places = points.map(([x, y]) => [toX(x), toY(y).toFixed(1)]);
      this.lines.append(svgElement("path", { class: `line ${kind}`, d: `M${places.map((place) => place.join(" ")).join("L")}` }));
      if (dots) this.lines.append(...places.map(([cx, cy]) => svgElement("circle", { class: `point ${kind}`, cx, cy, r: 3 })));
      const last = points.at(-1)[1];
      ends.push({ at: clamp(toY(last), top, bottom), kind, text: this.label(last) });
    });
    // Labels do not lie on each other.
    ends.sort((a, b) => a.at - b.at);
    const [upper, lower] = ends, missing = lower ? label - (lower.at - upper.at) : 0;
    if (missing > 0) {
      upper.at = clamp(upper.at - missing / 2, top, bottom - label);
      lower.at = upper.at + label;
    }
    this.#labels.replaceChildren(...ends.map(({ at, kind, text }) =>
      svgElement("text", { class: `value ${kind}`, x: right + 8, y: (at + 4).toFixed(1) }, text)));
  }

  #drawFrame([low, high, step], epochs, toX, toY) {
    const { height, left, right, bottom } = Chart.#BOX;
    const word = say("epoch", "轮次"), key = [low, high, epochs, word].join();
    if (key === this.key) return;
    this.key = key;
    const marks = sequence(Math.round((high - low) / step) + 1).flatMap((i) => {
      const at = toY(low + i * step);
      return [
        svgElement("path", { class: "rule", d: `M${left} ${at.toFixed(1)}H${right}` }),
        svgElement("text", { class: "tick end", x: left - 8, y: (at + 4).toFixed(1) }, this.tick(low + i * step)),
      ];
    });
    const every = Math.ceil(epochs / 10);
    const ticks = sequence(Math.floor(epochs / every) + 1).map((i) =>
      svgElement("text", { class: "tick middle", x: toX(i * every), y: bottom + 18 }, i * every));
    const middle = { class: "tick middle", x: (left + right) / 2, y: height - 4 };
    this.#frame.replaceChildren(...marks, ...ticks, svgElement("text", middle, word));
  }
}
