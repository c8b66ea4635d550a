// Pooling: the maximum or the mean of each window, and an edge that moves.
"use strict";

chapter("pooling", (root, engine) => {
  startWindows(root, engine);
  startEdge(root, engine);

  // The upper part: presets are channels, side, window, padding, stride.
  function startWindows() {
    const formula = root.querySelector("[data-formula]");
    let kind = "max", preset = [1, 3, 2, 2, 0, 0, 1, 1], pairs = [], at = [0, 0, 0], data = [];

    function begin() {
      const [channels, side] = preset;
      data = sequence(channels).map((channel) => sequence(side * side, channel));
      at = [0, 0, 0];
      pairs = data.map((_, channel) => {
        const places = [element("div"), element("div")];
        const row = element("div", { class: "with" }, places[0], element("span", { class: "sign" }, "→"), places[1]);
        const input = new Grid(places[0], { name: `input-${channel}`, label: [`input, channel ${channel}`, `输入，通道 ${channel}`], cell: 44 });
        const output = new Grid(places[1], {
          name: `output-${channel}`, label: [`output, channel ${channel}`, `输出，通道 ${channel}`], cell: 44, select: (i, j) => select(channel, i, j),
        });
        const frame = new Frame(input, { label: ["window on the image", "图像上的窗口"], move: (i, j) => select(channel, i, j) });
        return { row, input, output, frame };
      });
      root.querySelector("[data-pools]").replaceChildren(...pairs.map(({ row }) => row));
      compute();
    }

    function compute() {
      const [channels, side, w0, w1, p0, p1, s0, s1] = preset;
      const pool = { average: kind === "average", channels, height: side, width: side, window: [w0, w1], padding: [p0, p1], stride: [s0, s1] };
      const { values, height, width } = engine.pool2d(pool, data.flat());
      const [rows, columns] = [side + 2 * p0, side + 2 * p1];
      pairs.forEach(({ input, output }, channel) => {
        const inner = (i) => {
          const [row, column] = [Math.floor(i / columns) - p0, (i % columns) - p1];
          return row >= 0 && row < side && column >= 0 && column < side ? row * side + column : -1;
        };
        const places = sequence(rows * columns);
        // Padding is 0 for a mean, and never the maximum.
        input.format = (value) => (value === -Infinity ? "" : numberText(value));
        const filler = kind === "average" ? 0 : -Infinity;
        input.largest = Math.max(...data[channel]);
        input.resize(rows, columns, places.map((i) => (inner(i) < 0 ? filler : data[channel][inner(i)])));
        input.mark("padded", places.filter((i) => inner(i) < 0));
        output.resize(height, width, values.slice(channel * height * width, (channel + 1) * height * width));
      });
      show();
    }

    function select(channel, row, column) {
      at = [channel, row, column];
      show();
    }

    function show() {
      const [, , w0, w1, , , s0, s1] = preset, [channel, row, column] = at;
      pairs.forEach(({ output, frame }, i) => {
        frame.place({ window: [w0, w1], count: [output.rows, output.columns], stride: [s0, s1], at: [row, column] });
        if (i === channel) output.current = row * output.columns + column;
        else output.mark("current", []);
      });
      const { input, output, frame } = pairs[channel];
      const result = output.values[row * output.columns + column];
      const seen = frame.inside.filter((i) => input.values[i] !== -Infinity);
      pairs.forEach((pair) => pair.input.mark("marked", kind === "max" && pair.input === input ? [seen.find((i) => input.values[i] === result)] : []));
      const chips = seen.flatMap((i, at) => [...(at ? [element("span", { class: "plus" }, kind === "max" ? ", " : " + ")] : []), chip(input, i)]);
      const around = kind === "max" ? ["max (", ")"] : ["(", `) / ${frame.inside.length}`];
      const sign = (text) => element("span", { class: "plus" }, text);
      formula.replaceChildren(sign(around[0]), ...chips, element("span", { class: "total" }, sign(`${around[1]} = `),
        element("output", { class: "result", "data-result": "" }, numberText(result))));
    }

    choices(root.querySelector("[data-kinds]"), (choice) => {
      kind = choice;
      compute();
    })(kind);
    choices(root.querySelector("[data-presets]"), (choice) => {
      preset = choice.split(" ").map(Number);
      begin();
    })(preset.join(" "));
    begin();
  }

  // The lower part: white up to a column, black behind it.
  function startEdge() {
    const ROWS = 6, COLUMNS = 9;
    const find = (name) => root.querySelector(`[data-grid="${name}"]`);
    const image = new Grid(find("edge"), { name: "edge", label: ["image", "图像"], cell: 26 });
    const map = new Grid(find("map"), { name: "map", label: ["map under [1, −1]", "特征图"], cell: 26 });
    const maxima = new Grid(find("maxima"), { name: "maxima", label: ["maxima", "最大汇聚"], cell: 52 });
    let edge = 1, counts;

    function state(at) {
      const pixels = sequence(ROWS * COLUMNS).map((i) => Number(i % COLUMNS < at));
      const found = engine.conv2d({ height: ROWS, width: COLUMNS, kernel: [1, 2] }, pixels, [1, -1]).values;
      const pooled = engine.pool2d({ height: ROWS, width: COLUMNS - 1, window: [2, 2] }, found).values;
      return { pixels, found, pooled };
    }

    const changed = (before, after) => sequence(after.length).filter((i) => before[i] !== after[i]);

    // By one pixel at a time, so that each move is counted.
    function moveTo(to) {
      while (edge !== to) {
        const before = state(edge);
        edge += Math.sign(to - edge);
        const after = state(edge);
        const [inMap, inMaxima] = [changed(before.found, after.found), changed(before.pooled, after.pooled)];
        counts.moves += 1;
        counts.map += Number(inMap.length > 0);
        counts.maxima += Number(inMaxima.length > 0);
        map.mark("marked", inMap);
        maxima.mark("marked", inMaxima);
      }
      show();
    }

    function show() {
      const { pixels, found, pooled } = state(edge);
      image.show(pixels);
      map.show(found);
      maxima.show(pooled);
      position.value = edge;
      for (const [name, count] of Object.entries(counts)) root.querySelector(`[data-count="${name}"]`).textContent = count;
    }

    function count() {
      counts = { moves: 0, map: 0, maxima: 0 };
      map.mark("marked", []);
      maxima.mark("marked", []);
      show();
    }

    const drag = (event) => {
      const box = image.place.getBoundingClientRect();
      moveTo(clamp(Math.round(((event.clientX - box.left) / box.width) * COLUMNS), 1, COLUMNS - 1));
    };
    image.place.classList.add("dragged");
    image.place.addEventListener("pointerdown", (event) => {
      image.place.setPointerCapture(event.pointerId);
      drag(event);
    });
    image.place.addEventListener("pointermove", (event) => {
      if (image.place.hasPointerCapture(event.pointerId)) drag(event);
    });
    const position = slider(root.querySelector('[data-slider="edge"]'), moveTo);
    root.querySelector('[data-do="count"]').addEventListener("click", count);
    const { pixels, found, pooled } = state(edge);
    image.resize(ROWS, COLUMNS, pixels);
    map.resize(ROWS, COLUMNS - 1, found);
    maxima.resize(ROWS / 2, (COLUMNS - 1) / 2, pooled);
    count();
  }
});
