// The weights of a fully connected layer, under two demands, become a convolution.
"use strict";

chapter("dense", (root, engine) => {
  const SIDE = 5, PIXELS = 25;
  const size = { height: SIDE, width: SIDE };
  // The second step's convolution has weights for all offsets, the third's for neighbours.
  const convs = [null, { ...size, kernel: [9, 9], padding: [4, 4] }, { ...size, kernel: [3, 3], padding: [1, 1] }];

  // From -9 to 9 without 0, on every visit in the same order.
  let state = 2026;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return [-9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9][(state >>> 16) % 18];
  };
  const all = Array.from({ length: PIXELS * PIXELS }, random);
  const offsets = Array.from({ length: 81 }, random);
  const near = sequence(9, 1);
  near.forEach((weight, i) => (offsets[(3 + Math.floor(i / 3)) * 9 + 3 + (i % 3)] = weight));
  const kernels = [all, offsets, near];
  let step = 0, row = 12, shared = [];

  const format = (value) => (value === 0 ? "" : numberText(value));
  const matrix = new Grid(root, "matrix", { cell: 18, select: point, largest: 9, format });
  const image = new Grid(root, "image", { cell: 44, edit: compute });
  const output = new Grid(root, "output", { cell: 44, select: (i, j) => select(i * SIDE + j) });
  const frame = new Frame(matrix);
  const note = root.querySelector("[data-note]");

  // A weight: its row, and all places that share it.
  function point(to, column) {
    const at = to * PIXELS + column, weight = format(matrix.values[at]);
    const places = sequence(shared.length).filter((i) => weight && shared[i] === shared[at]);
    matrix.mark("marked", places);
    matrix.place.dataset.shared = places.length;
    if (weight) tell(matrix.caption, `the weight ${weight} stands in ${places.length} of 625 places`, `权重 ${weight} 出现在 625 处中的 ${places.length} 处`);
    select(to);
  }

  function select(to) {
    row = to;
    show();
  }

  function compute() {
    image.show(image.values);
    const conv = convs[step], kernel = kernels[step];
    const weights = conv ? engine.denseMatrix(conv, kernel).values : all;
    // Which weight of the kernel stands where: the matrix of a kernel of numbers from 1 on.
    shared = conv ? engine.denseMatrix(conv, sequence(kernel.length, 1)).values : sequence(weights.length, 1);
    matrix.resize(PIXELS, PIXELS, weights);
    matrix.mark("empty", sequence(weights.length).filter((i) => !weights[i]));
    const outputs = engine.linear({ inputs: PIXELS, outputs: PIXELS }, image.values, weights);
    output.resize(SIDE, SIDE, outputs);
    tell(matrix.caption, `${kernel.length} free weights: a row for each output, a column for each pixel`, `${kernel.length} 个自由权重：每个输出一行，每个像素一列`);
    if (conv) {
      const equal = engine.conv2d(conv, image.values, kernel).values.filter((value, i) => value === outputs[i]).length;
      const side = conv.kernel[0];
      tell(note, `Matrix times pixels, and the convolution with a ${side}×${side} kernel: ${equal} of ${PIXELS} outputs are equal.`,
        `矩阵乘像素，与 ${side}×${side} 的卷积相比：${PIXELS} 个输出中有 ${equal} 个相等。`);
    } else {
      tell(note, "Each output has weights of its own: no kernel computes that.", "每个输出都有自己的权重：没有哪个卷积核能算出同样的结果。");
    }
    show();
  }

  function show() {
    frame.place([row, 0], [1, PIXELS]);
    const weights = matrix.values.slice(row * PIXELS, (row + 1) * PIXELS);
    image.cells.forEach((cell, i) => {
      cell.classList.toggle("unread", !weights[i]);
      cell.dataset.times = weights[i] ? `×${format(weights[i])}` : "";
    });
    matrix.current = row * PIXELS + row;
    output.current = row;
    const used = weights.filter(Boolean).length, place = `${Math.floor(row / SIDE) + 1}, ${(row % SIDE) + 1}`;
    tell(image.caption, `output ${place} reads ${used} pixels`, `输出 (${place}) 读取 ${used} 个像素`);
  }

  listen(matrix.place, "pointerover", ({ target }) => {
    const index = matrix.indexOf(target);
    if (index >= 0) point(Math.floor(index / PIXELS), index % PIXELS);
  });
  const press = choices(root, "steps", (choice) => {
    step = Number(choice);
    matrix.mark("marked", []);
    compute();
  });
  press("0");
  image.resize(SIDE, SIDE, sequence(PIXELS).map((i) => (i * i) % 7));
  compute();
});
