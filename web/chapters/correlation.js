// A window slides over an image: each output is a sum of products.
"use strict";

chapter("correlation", (root, engine) => {
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  const formula = root.querySelector("[data-formula]");
  let at = [0, 0];

  const image = new Grid(find("image"), { name: "image", label: ["image", "图像"], edit: compute });
  const kernel = new Grid(find("kernel"), { name: "kernel", label: ["kernel", "卷积核"], edit: compute });
  const bias = new Grid(find("bias"), { name: "bias", label: ["bias", "偏置"], edit: compute });
  const output = new Grid(find("output"), { name: "output", label: ["output", "输出"], select: moveTo });
  const frame = new Frame(image, { label: ["window on the image", "图像上的窗口"], move: moveTo });
  linkFormula(formula, [image, kernel]);

  function moveTo(row, column) {
    at = [row, column];
    show();
  }

  function compute() {
    const conv = { height: image.rows, width: image.columns, kernel: [kernel.rows, kernel.columns] };
    const { values, height, width } = engine.conv2d(conv, image.values, kernel.values, bias.values);
    for (const grid of [image, kernel, bias]) grid.show(grid.values);
    output.resize(height, width, values);
    show();
  }

  function show() {
    frame.place({ window: [kernel.rows, kernel.columns], count: [output.rows, output.columns], at });
    const { inside } = frame;
    image.cells.forEach((cell, i) => {
      const tap = inside.indexOf(i);
      if (tap < 0) delete cell.dataset.times;
      else cell.dataset.times = `×${kernel.format(kernel.values[tap])}`;
    });
    const index = at[0] * output.columns + at[1];
    output.current = index;
    const added = bias.values[0] ? [chip(bias, 0)] : [];
    showFormula(formula, inside.map((pixel, tap) => [[image, pixel], [kernel, tap]]), added, numberText(output.values[index]));
    const [n, k, m] = [image.rows, kernel.rows, output.rows];
    tell(root.querySelector("[data-size]"),
      `size of the output: n − k + 1 = ${n} − ${k} + 1 = ${m} on each axis`,
      `输出大小：每个轴 n − k + 1 = ${n} − ${k} + 1 = ${m}`);
  }

  function start() {
    const [n, k] = [imageSize.value, kernelSize.value];
    at = [0, 0];
    for (const grid of [image, kernel, bias, output]) grid.place.style.setProperty("--cell", n > 4 ? "44px" : "60px");
    image.resize(n, n, sequence(n * n));
    kernel.resize(k, k, sequence(k * k));
    bias.resize(1, 1, [0]);
    compute();
  }

  const square = (n) => `${n}×${n}`;
  const imageSize = slider(root.querySelector('[data-slider="image"]'), start, square);
  const kernelSize = slider(root.querySelector('[data-slider="kernel"]'), start, square);
  root.querySelector('[data-do="reset"]').addEventListener("click", () => {
    [imageSize.value, kernelSize.value] = [3, 2];
    start();
  });
  start();
});
