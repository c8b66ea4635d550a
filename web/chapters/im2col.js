// Patches as columns: convolution as one matrix product.
"use strict";

chapter("im2col", (root, engine) => {
  const SIDE = 4, PIXELS = 16;
  const formula = root.querySelector(".formula");
  let channels = 1, size = 2, images = [], patches = [], sources = [], at = 0;

  const kernel = new Grid(root, "kernel", { edit: compute });
  const matrix = new Grid(root, "matrix", { select: (row, column) => select(column, row) });
  const product = new Grid(root, "product", { select: (_, column) => select(column) });
  const output = new Grid(root, "output", { cell: 40, select: (row, column) => select(row * output.columns + column) });
  const column = new Frame(matrix);

  const conv = () => ({ inChannels: channels, height: SIDE, width: SIDE, kernel: [size, size] });

  function begin() {
    at = 0;
    images = sequence(channels).map((channel) => {
      const image = new Grid(null, `image-${channel}`, { label: [`image ${channel}`, `图像 ${channel}`], cell: 40, edit: compute });
      image.resize(SIDE, SIDE, sequence(PIXELS, channel));
      listen(image.place, "pointerover focusin", ({ target }) => showPlaces(channel * PIXELS + image.indexOf(target)));
      return image;
    });
    patches = images.map((image) => new Frame(image, (i, j) => select(i * output.columns + j)));
    for (const { place } of images) listen(place, "pointerleave focusout", unmark);
    root.querySelector("[data-images]").replaceChildren(...images.map(({ figure }) => figure));
    // Where each entry of the matrix comes from: the matrix of an image of indices.
    sources = engine.im2col(conv(), sequence(channels * PIXELS)).values;
    const taps = size * size;
    kernel.resize(channels * taps, 1, sequence(channels).flatMap((channel) => sequence(taps, channel)));
    compute();
  }

  function compute() {
    for (const grid of [...images, kernel]) grid.show(grid.values);
    const planes = images.flatMap(({ values }) => values);
    const { values, height: taps, width: positions } = engine.im2col(conv(), planes);
    matrix.resize(taps, positions, values);
    // `linear` wants the matrix column by column.
    const columns = sequence(taps * positions).map((i) => values[(i % taps) * positions + Math.floor(i / taps)]);
    const products = engine.linear({ inputs: taps, outputs: positions }, kernel.values, columns);
    product.resize(1, positions, products);
    const convolved = engine.conv2d(conv(), planes, kernel.values);
    output.resize(convolved.height, convolved.width, convolved.values);
    // The kernel stands beside the rows that it is multiplied with: all cells are of one size.
    const { style } = root.querySelector(".product");
    style.gridTemplateColumns = `minmax(0, 1fr) minmax(0, ${positions}fr)`;
    style.width = `${(positions + 1) * (taps > 9 ? 30 : 36) + 22}px`;
    const equal = products.filter((value, i) => value === convolved.values[i]).length, times = numberText(values.length / planes.length);
    tell(root.querySelector("[data-size]"),
      `${planes.length} pixels become a matrix of ${taps}×${positions} = ${values.length} values, ${times} times as many.`,
      `${planes.length} 个像素变成 ${taps}×${positions} = ${values.length} 个值的矩阵，是原来的 ${times} 倍。`);
    tell(root.querySelector("[data-equal]"), `Product and convolution: ${equal} of ${positions} values are equal.`, `矩阵乘积与卷积：${positions} 个值中有 ${equal} 个相等。`);
    select(at);
  }

  // A column: its patch, its output, its sum.
  function select(position, tap = undefined) {
    at = position;
    for (const patch of patches) patch.place([Math.floor(at / output.columns), at % output.columns], [size, size], output);
    column.place([0, at], [matrix.rows, 1]);
    product.current = at;
    showFormula(formula, sequence(matrix.rows).map((row) => [[kernel, row], [matrix, row * matrix.columns + at]]), numberText(product.values[at]));
    if (tap !== undefined) showPlaces(sources[tap * matrix.columns + at]);
  }

  // A pixel, and all its places in the matrix.
  function showPlaces(source) {
    matrix.mark("marked", sequence(sources.length).filter((i) => sources[i] === source));
    images.forEach((image, channel) => image.mark("marked", [source - channel * PIXELS]));
  }

  const unmark = () => showPlaces(-1);
  listen(matrix.place, "pointerleave focusout", unmark);
  listen(matrix.place, "pointerover", ({ target }) => {
    const index = matrix.indexOf(target);
    if (index >= 0) select(index % matrix.columns, Math.floor(index / matrix.columns));
  });
  choices(root, "channels", (choice) => {
    channels = Number(choice);
    begin();
  })("1");
  choices(root, "kernels", (choice) => {
    size = Number(choice);
    begin();
  })("2");
  begin();
});
