// Pooling: the maximum or the mean of each window, and an edge that moves.
"use strict";

chapter("pooling", (root, engine) => {
  const formula = root.querySelector(".formula");
  let kind = "max", preset = "1 3 2 2 0 0 1 1", channels = [], at;
  // channels, side, window, padding, stride
  const numbers = () => preset.split(" ").map(Number);

  function begin() {
    const [count, side] = numbers();
    at = [0, 0, 0];
    channels = sequence(count).map((channel) => {
      const input = new Grid(null, `input-${channel}`, { label: [`input ${channel}`, `输入 ${channel}`], cell: 44, format: (value) => (value === -Infinity ? "" : numberText(value)) });
      const output = new Grid(null, `output-${channel}`, { label: [`output ${channel}`, `输出 ${channel}`], cell: 44, select: (...to) => select(channel, ...to) });
      return { data: sequence(side * side, channel), input, output, frame: new Frame(input, (...to) => select(channel, ...to)) };
    });
    root.querySelector("[data-pools]").replaceChildren(...channels.map(({ input, output }) =>
      element("div", { class: "with" }, input.figure, span("sign", "→"), output.figure)));
    compute();
  }

  function compute() {
    const [count, side, w0, w1, p0, p1, s0, s1] = numbers();
    const pool = { average: kind === "average", channels: count, height: side, width: side, window: [w0, w1], padding: [p0, p1], stride: [s0, s1] };
    const { values, height, width } = engine.pool2d(pool, channels.flatMap(({ data }) => data));
    const pixels = padded([side, side], [p0, p1]);
    channels.forEach(({ data, input, output }, channel) => {
      // Padding is 0 for a mean, and never the maximum.
      input.largest = largestOf(data);
      input.resize(side + 2 * p0, side + 2 * p1, pixels.map((pixel) => data[pixel] ?? (pool.average ? 0 : -Infinity)));
      input.mark("padded", [...pixels.keys()].filter((i) => pixels[i] === undefined));
      output.resize(height, width, values.slice(channel * height * width, (channel + 1) * height * width));
    });
    show();
  }

  function select(...to) {
    at = to;
    show();
  }

  function show() {
    const [, , w0, w1, , , ...stride] = numbers(), [chosen, ...position] = at;
    channels.forEach(({ input, output, frame }, channel) => {
      frame.place(position, [w0, w1], output, stride);
      const result = output.values[position[0] * output.columns + position[1]];
      if (channel !== chosen) output.current = -1;
      const seen = frame.inside.filter((i) => input.values[i] !== -Infinity), isMax = kind === "max";
      input.mark("marked", isMax && channel === chosen ? [seen.find((i) => input.values[i] === result)] : []);
      if (channel !== chosen) return;
      const terms = seen.map((i, first) => span("bound", ...(first ? [span("plus", isMax ? ", " : " + ")] : []), chip(input, i)));
      showResult(formula, [span("plus", isMax ? "max (" : "("), ...terms], numberText(result), isMax ? ") = " : `) / ${frame.inside.length} = `);
    });
  }

  choices(root, "kinds", (choice) => {
    kind = choice;
    compute();
  })(kind);
  choices(root, "presets", (choice) => {
    preset = choice;
    begin();
  })(preset);
  begin();
  startEdge(root, engine);
});

// White up to a column, black behind it.
function startEdge(root, engine) {
  const ROWS = 6, COLUMNS = 9;
  const [image, map] = ["edge", "map"].map((name) => new Grid(root, name, { cell: 26 }));
  const maxima = new Grid(root, "maxima", { cell: 52 });
  let edge = 1, counts;

  function state() {
    const pixels = sequence(ROWS * COLUMNS).map((i) => Number(i % COLUMNS < edge));
    const found = engine.conv2d({ height: ROWS, width: COLUMNS, kernel: [1, 2] }, pixels, [1, -1]).values;
    return { pixels, found, pooled: engine.pool2d({ height: ROWS, width: COLUMNS - 1, window: [2, 2] }, found).values };
  }

  // By one pixel at a time, so that each move is counted.
  function moveTo(to) {
    while (edge !== to) {
      const before = state();
      edge += Math.sign(to - edge);
      const after = state();
      counts.moves += 1;
      for (const [name, grid] of [["found", map], ["pooled", maxima]]) {
        const changed = sequence(after[name].length).filter((i) => before[name][i] !== after[name][i]);
        counts[name] += Number(changed.length > 0);
        grid.mark("marked", changed);
      }
    }
    show();
  }

  function show() {
    const { pixels, found, pooled } = state(), { moves } = counts;
    image.resize(ROWS, COLUMNS, pixels);
    map.resize(ROWS, COLUMNS - 1, found);
    maxima.resize(ROWS / 2, (COLUMNS - 1) / 2, pooled);
    position.value = edge;
    tell(root.querySelector(".noticed"), `The edge moved ${moves} times; the map changed ${counts.found} times, the maxima ${counts.pooled} times.`,
      `边缘移动 ${moves} 次；特征图改变了 ${counts.found} 次，最大汇聚的输出改变了 ${counts.pooled} 次。`);
  }

  function count() {
    counts = { moves: 0, found: 0, pooled: 0 };
    for (const grid of [map, maxima]) grid.mark("marked", []);
    show();
  }

  const drag = (event) => {
    const box = image.place.getBoundingClientRect();
    moveTo(clamp(Math.round(((event.clientX - box.left) / box.width) * COLUMNS), 1, COLUMNS - 1));
  };
  image.place.classList.add("dragged");
  listen(image.place, "pointerdown", ({ pointerId }) => image.place.setPointerCapture(pointerId));
  listen(image.place, "pointerdown pointermove", (event) => image.place.hasPointerCapture(event.pointerId) && drag(event));
  const position = slider(root.querySelector("[data-slider]"), moveTo);
  whenPressed(root, "count", count);
  count();
}
