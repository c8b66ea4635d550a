// Several channels in, several out, and kernels of 1x1.
"use strict";

chapter("channels", (root, engine) => {
  const SIDE = 3;
  const first = [...sequence(4), ...sequence(4, 1)];
  // The kernels of each output, [outputs, 2 channels, size, size].
  const MODES = {
    one: { size: 2, kernels: [first] },
    three: { size: 2, kernels: [0, 1, 2].map((more) => first.map((weight) => weight + more)) },
    mix: { size: 1, kernels: [[1, 1], [1, -1], [2, 5]] },
  };
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  const formulas = [0, 1].map((channel) => root.querySelector(`[data-formula="${channel}"]`));
  const dense = root.querySelector("[data-dense]");
  let mode, kernels, outputs, at;

  const inputs = [0, 1].map((channel) => new Grid(element("div"), {
    name: `input-${channel}`, label: [`input, channel ${channel}`, `输入，通道 ${channel}`], cell: 46, edit: compute,
  }));
  const frames = inputs.map((input) => new Frame(input, { label: ["window on the image", "图像上的窗口"], move: (i, j) => select(at[0], i, j) }));
  const positions = new Grid(find("positions"), { name: "positions", label: ["pixels as rows", "每个像素一行"], cell: 28 });
  const linear = new Grid(find("linear"), { name: "linear", label: ["outputs of the fully connected layer", "全连接层的输出"], cell: 28 });
  const rows = [positions, linear].map((grid) => new Frame(grid, { handle: false }));

  // The grids of a mode: a row for each input channel, with a kernel for each output beside it, and the outputs below.
  function begin(chosen) {
    mode = MODES[chosen];
    press(chosen);
    at = [0, 0, 0];
    const count = mode.kernels.length, taps = mode.size ** 2;
    kernels = mode.kernels.map((weights, o) => [0, 1].map((channel) => {
      const grid = new Grid(element("div"), {
        name: `kernel-${o}-${channel}`, cell: 46, edit: compute,
        label: [`kernel of output ${o} for channel ${channel}`, `输出 ${o} 对通道 ${channel} 的卷积核`],
      });
      grid.resize(mode.size, mode.size, weights.slice(channel * taps, (channel + 1) * taps));
      return grid;
    }));
    outputs = sequence(count).map((o) => new Grid(element("div"), {
      name: `output-${o}`, cell: chosen === "mix" ? 34 : 46, label: [`output ${o}`, `输出 ${o}`], select: (i, j) => select(o, i, j),
    }));
    const labelled = (grid, en, zh) => {
      const caption = element("figcaption");
      tell(caption, en, zh);
      return element("figure", {}, caption, grid.place);
    };
    const place = root.querySelector("[data-outs]");
    place.style.setProperty("--outputs", count);
    place.classList.toggle("mix", chosen === "mix");
    place.replaceChildren(
      ...[0, 1].flatMap((channel) => [
        labelled(inputs[channel], `input ${channel}`, `输入 ${channel}`),
        ...kernels.map((pair, o) => labelled(pair[channel], `kernel ${o}, ${channel}`, `核 ${o}, ${channel}`)),
      ]),
      element("span", { class: "sign" }, "Σ"),
      ...outputs.map((output, o) => labelled(output, `output ${o}`, `输出 ${o}`)),
    );
    formulas.forEach((formula, channel) => linkFormula(formula, [inputs[channel], ...kernels.map((pair) => pair[channel])]));
    dense.hidden = chosen !== "mix";
    compute();
  }

  const conv = (outChannels) => ({ inChannels: 2, outChannels, height: SIDE, width: SIDE, kernel: [mode.size, mode.size] });
  const planes = () => inputs.flatMap(({ values }) => values);

  // One scale of colours for grids of one kind.
  const colour = (grids, values) => grids.forEach((grid) => (grid.largest = Math.max(...values.map(Math.abs))));

  function compute() {
    const weights = kernels.flat().flatMap(({ values }) => values);
    colour(inputs, planes());
    colour(kernels.flat(), weights);
    for (const grid of [...inputs, ...kernels.flat()]) grid.show(grid.values);
    const { values, height, width } = engine.conv2d(conv(outputs.length), planes(), weights);
    colour(outputs, values);
    outputs.forEach((output, o) => output.resize(height, width, values.slice(o * height * width, (o + 1) * height * width)));
    const factors = [2, outputs.length, mode.size, mode.size, height, width];
    root.querySelector("[data-cost]").textContent = `${factors.join(" · ")} = ${factors.reduce((product, factor) => product * factor)}`;
    if (!dense.hidden) {
      // The pixels as rows of two features: the same weights, as a fully connected layer.
      const pixels = sequence(SIDE * SIDE).flatMap((i) => inputs.map((input) => input.values[i]));
      const rowsOut = engine.linear({ rows: SIDE * SIDE, inputs: 2, outputs: 3 }, pixels, weights);
      positions.resize(SIDE * SIDE, 2, pixels);
      linear.resize(SIDE * SIDE, 3, rowsOut);
      const equal = sequence(27).filter((i) => rowsOut[i] === values[(i % 3) * 9 + Math.floor(i / 3)]).length;
      tell(dense.querySelector("figcaption"), `fully connected, a pixel a row: ${equal} of 27 equal`, `全连接，每个像素一行：27 个中有 ${equal} 个相等`);
    }
    show();
  }

  function select(o, row, column) {
    at = [o, row, column];
    show();
  }

  function show() {
    const [o, row, column] = at;
    const count = [outputs[o].rows, outputs[o].columns];
    frames.forEach((frame) => frame.place({ window: [mode.size, mode.size], count, at: [row, column] }));
    outputs.forEach((output, i) => {
      if (i === o) output.current = row * output.columns + column;
      else output.mark("current", []);
    });
    // Each channel alone: two groups.
    const index = row * count[1] + column;
    const apart = engine.conv2d({ ...conv(2), groups: 2 }, planes(), kernels[o].flatMap(({ values }) => values)).values;
    const parts = [0, 1].map((channel) => numberText(apart[channel * count[0] * count[1] + index]));
    formulas.forEach((formula, channel) => {
      const terms = frames[channel].inside.map((pixel, tap) => [[inputs[channel], pixel], [kernels[o][channel], tap]]);
      showFormula(formula, terms, [], parts[channel]);
    });
    const total = numberText(outputs[o].values[index]);
    root.querySelector('[data-formula="sum"]').replaceChildren(
      element("span", { class: "plus" }, `${parts[0]} + ${parts[1]} = `), element("output", { class: "result", "data-result": "" }, total));
    if (dense.hidden) return;
    rows.forEach((frame) => frame.place({ window: [1, frame.grid.columns], count: [SIDE * SIDE, 1], at: [index, 0] }));
    linear.current = index * 3 + o;
  }

  const press = choices(root.querySelector("[data-modes]"), begin);
  const start = () => {
    inputs.forEach((input, channel) => input.resize(SIDE, SIDE, sequence(9, channel)));
    begin("one");
  };
  root.querySelector('[data-do="reset"]').addEventListener("click", start);
  start();
});
