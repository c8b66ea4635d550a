// Several channels in, several out, and kernels of 1x1.
"use strict";

chapter("channels", (root, engine) => {
  const SIDE = 3;
  const first = [...sequence(4), ...sequence(4, 1)];
  // The kernels of each output: of two channels.
  const MODES = {
    one: [first],
    three: [0, 1, 2].map((more) => first.map((weight) => weight + more)),
    mix: [[1, 1], [1, -1], [2, 5]],
  };
  const formulas = [...root.querySelectorAll(".formula")];
  const [dense, place] = [root.querySelector("[data-dense]"), root.querySelector(".channels")];
  const inputs = [0, 1].map((channel) => new Grid(null, `input-${channel}`, { label: [`input ${channel}`, `输入 ${channel}`], cell: 46, edit: compute }));
  const links = inputs.map((input, channel) => linkFormula(formulas[channel], [input]));
  const frames = inputs.map((input) => new Frame(input, (...to) => select(at[0], ...to)));
  const [positions, linear] = ["positions", "linear"].map((name) => new Grid(root, name, { cell: 28 }));
  const rows = [positions, linear].map((grid) => new Frame(grid));
  let size, kernels, outputs, at;

  // A row for each input channel, with a kernel for each output beside it, and the outputs below.
  function begin(mode) {
    press(mode);
    at = [0, 0, 0];
    size = Math.sqrt(MODES[mode][0].length / 2);
    kernels = MODES[mode].map((weights, o) => [0, 1].map((channel) => {
      const grid = new Grid(null, `kernel-${o}-${channel}`, { label: [`kernel ${o}, ${channel}`, `核 ${o}, ${channel}`], cell: 46, edit: compute });
      grid.resize(size, size, weights.slice(channel * size * size, (channel + 1) * size * size));
      return grid;
    }));
    outputs = kernels.map((_, o) => new Grid(null, `output-${o}`, {
      label: [`output ${o}`, `输出 ${o}`], cell: mode === "mix" ? 34 : 46, select: (...to) => select(o, ...to),
    }));
    place.style.setProperty("--outputs", outputs.length);
    place.classList.toggle("mix", mode === "mix");
    const figures = (grids) => grids.map(({ figure }) => figure);
    place.replaceChildren(...[0, 1].flatMap((channel) => figures([inputs[channel], ...kernels.map((pair) => pair[channel])])),
      span("sign", "Σ"), ...figures(outputs));
    for (const pair of kernels) pair.forEach((kernel, channel) => links[channel](kernel));
    dense.hidden = mode !== "mix";
    compute();
  }

  const valuesOf = (grids) => grids.flatMap(({ values }) => values);
  const conv = (outChannels) => ({ inChannels: 2, outChannels, height: SIDE, width: SIDE, kernel: [size, size] });

  function compute() {
    const weights = valuesOf(kernels.flat());
    const { values, height, width } = engine.conv2d(conv(outputs.length), valuesOf(inputs), weights);
    // One scale of colours for all kernels.
    for (const grid of kernels.flat()) grid.largest = largestOf(weights);
    for (const grid of [...inputs, ...kernels.flat()]) grid.show(grid.values);
    outputs.forEach((output, o) => output.resize(height, width, values.slice(o * height * width, (o + 1) * height * width)));
    const factors = [2, outputs.length, size, size, height, width];
    root.querySelector("[data-cost]").textContent = `${factors.join(" · ")} = ${factors.reduce((product, factor) => product * factor)}`;
    if (!dense.hidden) {
      // The pixels as rows of two features, under the same weights.
      const pixels = sequence(SIDE * SIDE).flatMap((i) => inputs.map((input) => input.values[i]));
      const features = engine.linear({ rows: SIDE * SIDE, inputs: 2, outputs: 3 }, pixels, weights);
      positions.resize(SIDE * SIDE, 2, pixels);
      linear.resize(SIDE * SIDE, 3, features);
      const equal = features.filter((value, i) => value === values[(i % 3) * 9 + Math.floor(i / 3)]).length;
      tell(dense.querySelector("figcaption"), `fully connected, a pixel a row: ${equal} of 27 equal`, `全连接，每个像素一行：27 个中有 ${equal} 个相等`);
    }
    show();
  }

  function select(...to) {
    at = to;
    show();
  }

  function show() {
    const [o, ...position] = at, { rows: high, columns: wide, values } = outputs[o];
    const index = position[0] * wide + position[1];
    for (const frame of frames) frame.place(position, [size, size], outputs[o]);
    outputs.forEach((output, i) => i !== o && (output.current = -1));
    // Each channel alone: two groups.
    const apart = engine.conv2d({ ...conv(2), groups: 2 }, valuesOf(inputs), valuesOf(kernels[o])).values;
    const parts = [0, 1].map((channel) => numberText(apart[channel * high * wide + index]));
    parts.forEach((part, channel) => {
      showFormula(formulas[channel], frames[channel].inside.map((pixel, tap) => [[inputs[channel], pixel], [kernels[o][channel], tap]]), part);
    });
    showResult(formulas[2], [parts.join(" + ")], numberText(values[index]));
    if (dense.hidden) return;
    for (const frame of rows) frame.place([index, 0], [1, frame.grid.columns]);
    linear.current = index * 3 + o;
  }

  const press = choices(root, "modes", begin);
  const start = () => {
    inputs.forEach((input, channel) => input.resize(SIDE, SIDE, sequence(9, channel)));
    begin("one");
  };
  whenPressed(root, "reset", start);
  start();
});
