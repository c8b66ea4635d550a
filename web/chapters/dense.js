// The weights of a fully connected layer, under two demands, become a convolution.
"use strict";

chapter("dense", (root, engine) => {
  const SIDE = 5, PIXELS = 25;
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  const size = { height: SIDE, width: SIDE };
  // The convolutions behind the second and the third step: all offsets, and those of neighbours.
  const convs = [null, { ...size, kernel: [9, 9], padding: [4, 4] }, { ...size, kernel: [3, 3], padding: [1, 1] }];

  // From -9 to 9 without 0, the same on every visit.
  let state = 2026;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const digit = (state >>> 16) % 18;
    return digit < 9 ? digit - 9 : digit - 8;
  };
  const all = Array.from({ length: PIXELS * PIXELS }, random);
  const offsets = Array.from({ length: 81 }, random);
  const near = sequence(9, 1);
  near.forEach((weight, i) => (offsets[(3 + Math.floor(i / 3)) * 9 + 3 + (i % 3)] = weight));
  const kernels = [all, offsets, near];
  let step = 0, row = 12, shared = [];

  const text = (value) => (value === 0 ? "" : numberText(value));
  const matrix = new Grid(find("matrix"), { name: "matrix", label: ["weights", "权重"], cell: 18, select: point, largest: 9, format: text });
  const image = new Grid(find("image"), { name: "image", label: ["image", "图像"], cell: 44, edit: compute });
  const output = new Grid(find("output"), { name: "output", label: ["outputs", "输出"], cell: 44, select: (i, j) => select(i * SIDE + j) });
  const frame = new Frame(matrix, { handle: false });

  function select(to) {
    row = to;
    show();
  }

  // A weight: its row, and all places that share it.
  function point(to, column) {
    const places = sequence(shared.length).filter((i) => shared[i] && shared[i] === shared[to * PIXELS + column]);
    matrix.mark("marked", places);
    const text = root.querySelector("[data-shared]"), count = places.length;
    text.dataset.shared = count;
    const weight = numberText(matrix.values[to * PIXELS + column]);
    if (count) tell(text, `the weight ${weight} stands in ${count} ${count === 1 ? "place" : "places"}`, `权重 ${weight} 出现在 ${count} 处`);
    else tell(text, "no weight here", "此处没有权重");
    select(to);
  }

  function compute() {
    image.show(image.values);
    const conv = convs[step];
    const weights = conv ? engine.denseMatrix(conv, kernels[step]).values : all;
    matrix.resize(PIXELS, PIXELS, weights);
    // Which weight of the kernel stands where: the matrix of a kernel of numbers from 1 on.
    shared = conv ? engine.denseMatrix(conv, sequence(kernels[step].length, 1)).values : sequence(weights.length, 1);
    matrix.mark("empty", sequence(weights.length).filter((i) => weights[i] === 0));
    const outputs = engine.linear({ inputs: PIXELS, outputs: PIXELS }, image.values, weights);
    output.resize(SIDE, SIDE, outputs);
    const convolved = conv && engine.conv2d(conv, image.values, kernels[step]).values;
    const equal = convolved?.filter((value, i) => value === outputs[i]).length;
    const note = root.querySelector("[data-note]");
    const side = conv?.kernel[0];
    note.dataset.equal = equal ?? "";
    if (conv) {
      tell(note, `Matrix times pixels, and the convolution with a ${side}×${side} kernel: ${equal} of ${PIXELS} outputs are equal.`,
        `矩阵乘像素，与 ${side}×${side} 的卷积相比：${PIXELS} 个输出中有 ${equal} 个相等。`);
    } else {
      tell(note, "Each output has weights of its own: no kernel computes that.", "每个输出都有自己的权重：没有哪个卷积核能算出同样的结果。");
    }
    show();
  }

  function show() {
    frame.place({ window: [1, PIXELS], count: [PIXELS, 1], at: [row, 0] });
    const weights = matrix.values.slice(row * PIXELS, (row + 1) * PIXELS);
    image.cells.forEach((cell, i) => {
      cell.classList.toggle("unread", weights[i] === 0);
      if (weights[i] === 0) delete cell.dataset.times;
      else cell.dataset.times = `×${numberText(weights[i])}`;
    });
    matrix.current = row * PIXELS + row;
    output.current = row;
    const used = weights.filter((weight) => weight !== 0).length;
    const [i, j] = [Math.floor(row / SIDE) + 1, (row % SIDE) + 1];
    tell(root.querySelector("[data-reads]"), `output ${i}, ${j} reads ${used} pixels`, `输出 (${i}, ${j}) 读取 ${used} 个像素`);
  }

  matrix.place.addEventListener("pointerover", ({ target }) => {
    const index = matrix.indexOf(target);
    if (index >= 0) point(Math.floor(index / PIXELS), index % PIXELS);
  });
  const press = choices(root.querySelector("[data-steps]"), (choice) => {
    step = Number(choice);
    matrix.mark("marked", []);
    tell(root.querySelector("[data-shared]"), "", "");
    for (const count of root.querySelectorAll("[data-count]")) count.textContent = kernels[step].length;
    compute();
  });
  press("0");
  image.resize(SIDE, SIDE, sequence(PIXELS).map((i) => (i * i) % 7));
  compute();
});
