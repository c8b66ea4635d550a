// Curves over epochs, as SVG.
"use strict";

// A line that grows: points [x, y]. Neighbours are merged before there are too many.
class Curve {
  static #MOST = 320;
  static #REACH = 3;
  points = [];
  #share = 1;
  #count = 0;

  add(x, y) {
    if (this.#count > 0) {
      const last = this.points.at(-1);
      last[1] += (y - last[1]) / (this.#count + 1);
      last[0] = x;
    } else {
      this.points.push([x, y]);
    }
    this.#count = (this.#count + 1) % this.#share;
    if (this.#count > 0 || this.points.length < Curve.#MOST) return;
    this.points = this.points.filter((_, i) => i % 2).map(([at, value], i) => [at, (value + this.points[2 * i][1]) / 2]);
    this.#share *= 2;
  }

  // The points, each the mean of some around it.
  get smooth() {
    return this.points.map(([x], i, all) => {
      const near = all.slice(Math.max(0, i - Curve.#REACH), i + Curve.#REACH + 1);
      return [x, near.reduce((sum, point) => sum + point[1], 0) / near.length];
    });
  }
}

function svgElement(name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

// A chart in the element `place`, below a legend.
//
// series: { kind: a class of the style sheet, name: [en, zh], dots: whether each point has one, label: a number as text }.
// ranges: what the vertical axis may show, the widest last: the first that leaves few of the points out is taken, and lines beyond it
// are cut off. first: a value to show as long as there are none. tick: a number at the axis as text.
class Chart {
  static #BOX = { width: 440, height: 236, left: 46, right: 378, top: 12, bottom: 198, label: 15 };
  #series; #ranges; #first; #tick; #frame; #lines; #inner; #key = "";

  constructor(place, { name, series, ranges, first, tick }) {
    [this.#series, this.#ranges, this.#first, this.#tick] = [series, ranges, first, tick];
    const { width, height, left, right, top, bottom } = Chart.#BOX;
    const heading = document.createElement("h3");
    tell(heading, ...name);
    const legend = document.createElement("ul");
    legend.className = "legend";
    for (const { kind, name: words, dots } of series) {
      const sample = svgElement("svg", { width: 28, height: 12, "aria-hidden": "true" });
      sample.append(svgElement("path", { class: `line ${kind}`, d: "M0 6H28" }));
      if (dots) sample.append(svgElement("circle", { class: `point ${kind}`, cx: 14, cy: 6, r: 3 }));
      const text = document.createElement("span");
      tell(text, ...words);
      const item = document.createElement("li");
      item.append(sample, text);
      legend.append(item);
    }
    const picture = svgElement("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
    tell(picture, ...name, "aria-label");
    this.#frame = svgElement("g");
    // A nested picture cuts off what is out of range.
    const [x, y, wide, high] = [left - 5, top - 5, right - left + 10, bottom - top + 10];
    this.#inner = svgElement("svg", { x, y, width: wide, height: high, viewBox: `${x} ${y} ${wide} ${high}` });
    this.#lines = svgElement("g");
    picture.append(this.#frame, this.#inner, this.#lines);
    place.append(heading, legend, picture);
    whenLanguageChanges(() => (this.#key = ""));
  }

  // Shows a curve for each series, over that many epochs.
  draw(curves, epochs) {
    const values = curves.flatMap((curve) => curve.map(([, y]) => y));
    if (values.length === 0) values.push(this.#first);
    const isMostly = ([low, high]) => values.filter((y) => y >= low && y <= high).length >= 0.9 * values.length;
    const [low, high, step] = this.#ranges.find(isMostly) ?? this.#ranges.at(-1);
    const { left, right, top, bottom } = Chart.#BOX;
    const toX = (x) => left + (x / epochs) * (right - left);
    const toY = (y) => bottom - ((y - low) / (high - low)) * (bottom - top);
    const key = [low, high, epochs].join();
    if (key !== this.#key) this.#drawFrame({ low, high, step, epochs, toX, toY });
    this.#key = key;

    const labels = [];
    const drawn = curves.flatMap((points, i) => {
      const { kind, dots, label } = this.#series[i];
      if (points.length === 0) return [];
      const places = points.map(([x, y]) => [toX(x).toFixed(1), toY(y).toFixed(1)]);
      const at = Math.min(bottom, Math.max(top, toY(points.at(-1)[1])));
      labels.push({ at, kind, text: label(points.at(-1)[1]) });
      const line = svgElement("path", { class: `line ${kind}`, d: `M${places.map((place) => place.join(" ")).join("L")}` });
      return dots ? [line, ...places.map(([cx, cy]) => svgElement("circle", { class: `point ${kind}`, cx, cy, r: 3 }))] : [line];
    });
    this.#inner.replaceChildren(...drawn);
    this.#lines.replaceChildren(...Chart.#spread(labels).map(({ at, kind, text }) =>
      svgElement("text", { class: `value ${kind}`, x: right + 8, y: (at + 4).toFixed(1) }, text)));
  }

  // Labels that do not lie on each other.
  static #spread(labels) {
    const { top, bottom, label } = Chart.#BOX;
    labels.sort((a, b) => a.at - b.at);
    labels.forEach((each, i) => (each.at = Math.max(each.at, i ? labels[i - 1].at + label : top)));
    labels.toReversed().forEach((each, i, all) => (each.at = Math.min(each.at, i ? all[i - 1].at - label : bottom)));
    return labels;
  }

  #drawFrame({ low, high, step, epochs, toX, toY }) {
    const { height, left, right, bottom } = Chart.#BOX;
    this.#frame.replaceChildren();
    for (let i = 0; low + i * step <= high + step / 100; i++) {
      const [value, at] = [low + i * step, toY(low + i * step)];
      this.#frame.append(
        svgElement("path", { class: "rule", d: `M${left} ${at.toFixed(1)}H${right}` }),
        svgElement("text", { class: "tick end", x: left - 8, y: (at + 4).toFixed(1) }, this.#tick(value)),
      );
    }
    const every = Math.ceil(epochs / 10);
    for (let epoch = 0; epoch <= epochs; epoch += every) {
      this.#frame.append(svgElement("text", { class: "tick middle", x: toX(epoch).toFixed(1), y: bottom + 18 }, epoch));
    }
    const middle = (left + right) / 2;
    this.#frame.append(svgElement("text", { class: "tick middle", x: middle, y: height - 4 }, say("epoch", "轮次")));
  }
}
