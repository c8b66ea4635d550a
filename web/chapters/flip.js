// Cross-correlation beside convolution, which flips the kernel.
"use strict";

chapter("flip", (root, engine) => {
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  let at = [0, 0];

  const image = new Grid(find("image"), { name: "image", label: ["image", "图像"], edit: compute });
  const kernel = new Grid(find("kernel"), { name: "kernel", label: ["kernel", "卷积核"], edit: compute });
  const flipped = new Grid(find("flipped"), { name: "flipped", label: ["flipped kernel", "翻转后的卷积核"] });
  const frame = new Frame(image, { label: ["window on the image", "图像上的窗口"], move: moveTo });
  const sides = [["correlation", kernel, ["cross-correlation", "互相关"]], ["convolution", flipped, ["convolution", "卷积"]]];
  const outputs = sides.map(([name, , label]) => new Grid(find(name), { name, label, select: moveTo }));
  const formulas = sides.map(([name, weights]) => {
    const formula = root.querySelector(`[data-formula="${name}"]`);
    linkFormula(formula, [weights]);
    return formula;
  });

  function moveTo(row, column) {
    at = [row, column];
    show();
  }

  function compute() {
    image.show(image.values);
    kernel.show(kernel.values);
    flipped.resize(2, 2, kernel.values.toReversed());
    sides.forEach(([, weights], i) => {
      const { values } = engine.conv2d({ height: 3, width: 3, kernel: [2, 2] }, image.values, weights.values);
      outputs[i].resize(2, 2, values);
    });
    show();
  }

  function show() {
    frame.place({ window: [2, 2], count: [2, 2], at });
    const index = at[0] * 2 + at[1];
    sides.forEach(([, weights], i) => {
      outputs[i].current = index;
      const terms = frame.inside.map((pixel, tap) => [[image, pixel], [weights, tap]]);
      showFormula(formulas[i], terms, [], numberText(outputs[i].values[index]));
    });
  }

  // The values are in their new places at once; the grids turn there from the old ones, their digits upright.
  function turn(grid) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const timing = { duration: 500, easing: "ease-in-out" };
    grid.place.animate([{ rotate: "-180deg" }, { rotate: "0deg" }], timing);
    for (const cell of grid.cells) cell.animate([{ rotate: "180deg" }, { rotate: "0deg" }], timing);
  }

  root.querySelector('[data-do="flip"]').addEventListener("click", () => {
    kernel.show(kernel.values.toReversed());
    compute();
    turn(kernel);
    turn(flipped);
  });
  const start = () => {
    at = [0, 0];
    image.resize(3, 3, sequence(9));
    kernel.resize(2, 2, sequence(4));
    compute();
  };
  root.querySelector('[data-do="reset"]').addEventListener("click", start);
  start();
});
