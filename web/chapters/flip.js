// Cross-correlation beside convolution, which flips the kernel.
"use strict";

chapter("flip", (root, engine) => {
  const image = new Grid(root, "image", { edit: compute });
  const kernel = new Grid(root, "kernel", { edit: compute });
  const flipped = new Grid(root, "flipped");
  const frame = new Frame(image, moveTo);
  const formulas = root.querySelectorAll(".formula");
  const sides = [["correlation", kernel], ["convolution", flipped]].map(([name, weights], i) => {
    linkFormula(formulas[i], [weights]);
    return { weights, output: new Grid(root, name, { select: moveTo }), formula: formulas[i] };
  });
  let at;

  function moveTo(...to) {
    at = to;
    show();
  }

  function compute() {
    image.show(image.values);
    kernel.show(kernel.values);
    flipped.resize(2, 2, kernel.values.toReversed());
    for (const { weights, output } of sides) {
      output.resize(2, 2, engine.conv2d({ height: 3, width: 3, kernel: [2, 2] }, image.values, weights.values).values);
    }
    show();
  }

  function show() {
    const index = at[0] * 2 + at[1];
    for (const { weights, output, formula } of sides) {
      frame.place(at, [2, 2], output);
      showFormula(formula, frame.inside.map((pixel, tap) => [[image, pixel], [weights, tap]]), numberText(output.values[index]));
    }
  }

  function start() {
    at = [0, 0];
    image.resize(3, 3, sequence(9));
    kernel.resize(2, 2, sequence(4));
    compute();
  }

  whenPressed(root, "flip", () => {
    kernel.show(kernel.values.toReversed());
    compute();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    // The values are in their new places already: the grids turn there from the old ones, their digits upright.
    for (const grid of [kernel, flipped]) {
      const turn = (target, from) => target.animate([{ rotate: `${from}deg` }, { rotate: "0deg" }], { duration: 500, easing: "ease-in-out" });
      turn(grid.place, -180);
      for (const cell of grid.cells) turn(cell, 180);
    }
  });
  whenPressed(root, "reset", start);
  start();
});
