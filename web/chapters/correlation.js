// A window slides over an image: each output is a sum of products.
"use strict";

chapter("correlation", (root, engine) => {
  const formula = root.querySelector(".formula");
  const [image, kernel, bias] = ["image", "kernel", "bias"].map((name) => new Grid(root, name, { edit: compute }));
  const output = new Grid(root, "output", { select: moveTo });
  const frame = new Frame(image, moveTo);
  let at;
  linkFormula(formula, [image, kernel]);

  function moveTo(...to) {
    at = to;
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
    frame.place(at, [kernel.rows, kernel.columns], output);
    const { inside } = frame;
    image.cells.forEach((cell, i) => {
      const tap = inside.indexOf(i);
      cell.dataset.times = tap < 0 ? "" : `×${numberText(kernel.values[tap])}`;
    });
    const index = at[0] * output.columns + at[1];
    showFormula(formula, inside.map((pixel, tap) => [[image, pixel], [kernel, tap]]), numberText(output.values[index]), bias.values[0] ? [[bias, 0]] : []);
    const size = `n − k + 1 = ${image.rows} − ${kernel.rows} + 1 = ${output.rows}`;
    tell(root.querySelector(".size"), `size of the output: ${size} on each axis`, `输出大小：每个轴 ${size}`);
  }

  function start() {
    const [n, k] = [imageSize.value, kernelSize.value];
    for (const grid of [image, kernel, bias, output]) grid.place.style.setProperty("--cell", n > 4 ? "44px" : "60px");
    at = [0, 0];
    image.resize(n, n, sequence(n * n));
    kernel.resize(k, k, sequence(k * k));
    bias.resize(1, 1, [0]);
    compute();
  }

  const [imageSize, kernelSize] = ["image", "kernel"].map((name) =>
    slider(root.querySelector(`[data-slider="${name}"]`), start, (n) => `${n}×${n}`));
  whenPressed(root, "reset", () => {
    [imageSize.value, kernelSize.value] = [3, 2];
    start();
  });
  start();
});
