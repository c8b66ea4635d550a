// Patches as columns: convolution as one matrix product.
"use strict";

chapter("im2col", (root, engine) => {
  const SIDE = 4;
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  const formula = root.querySelector("[data-formula]");
  let channels = 1, size = 2, images = [], sources = [], at = 0;

  const kernel = new Grid(find("kernel"), { name: "kernel", label: ["kernel", "卷积核"], cell: 36, edit: compute });
  const matrix = new Grid(find("matrix"), { name: "matrix", label: ["patches", "小块"], cell: 36, select: (row, column) => select(column, row) });
  const product = new Grid(find("product"), { name: "product", label: ["kernel times each column", "卷积核乘每一列"], cell: 36, select: (_, column) => select(column) });
  const output = new Grid(find("output"), { name: "output", label: ["convolution", "卷积"], cell: 40, select: (row, column) => select(row * output.columns + column) });
  const column = new Frame(matrix, { handle: false });
  let patches = [];

  const conv = () => ({ inChannels: channels, height: SIDE, width: SIDE, kernel: [size, size] });

  function begin() {
    at = 0;
    images = sequence(channels).map((channel) => new Grid(element("div"), {
      name: `image-${channel}`, label: [`image, channel ${channel}`, `图像，通道 ${channel}`], cell: 40, edit: compute,
    }));
    root.querySelector("[data-images]").replaceChildren(...images.map(({ place }) => place));
    patches = images.map((image) => new Frame(image, { move: (i, j) => select(i * output.columns + j) }));
    images.forEach((image, channel) => {
      image.resize(SIDE, SIDE, sequence(SIDE * SIDE, channel));
      image.place.addEventListener("focusin", ({ target }) => showPixel(channel, image.indexOf(target)));
      image.place.addEventListener("pointerover", ({ target }) => showPixel(channel, image.indexOf(target)));
      for (const event of ["pointerleave", "focusout"]) image.place.addEventListener(event, unmark);
    });
    // Where each entry of the matrix comes from: the matrix of an image of indices.
    sources = engine.im2col(conv(), sequence(channels * SIDE * SIDE)).values;
    const taps = channels * size * size;
    kernel.resize(taps, 1, sequence(taps).map((tap) => (tap % (size * size)) + Math.floor(tap / (size * size))));
    compute();
  }

  function compute() {
    for (const grid of [...images, kernel]) grid.show(grid.values);
    const planes = images.flatMap(({ values }) => values);
    const columns = engine.im2col(conv(), planes);
    matrix.resize(columns.height, columns.width, columns.values);
    // `linear` wants the matrix column by column.
    const [taps, positions] = [columns.height, columns.width];
    // The kernel stands beside the rows that it is multiplied with: all cells are of one size.
    const { style } = root.querySelector(".product");
    style.gridTemplateColumns = `minmax(0, 1fr) minmax(0, ${positions}fr)`;
    style.width = `${(positions + 1) * (taps > 9 ? 30 : 36) + 22}px`;
    const transposed = sequence(taps * positions).map((i) => columns.values[(i % taps) * positions + Math.floor(i / taps)]);
    const products = engine.linear({ inputs: taps, outputs: positions }, kernel.values, transposed);
    product.resize(1, positions, products);
    const convolved = engine.conv2d(conv(), planes, kernel.values);
    output.resize(convolved.height, convolved.width, convolved.values);
    const equal = sequence(positions).filter((i) => products[i] === convolved.values[i]).length;
    const [pixels, entries] = [planes.length, taps * positions];
    tell(root.querySelector("[data-size]"),
      `${pixels} pixels become a matrix of ${taps}×${positions} = ${entries} values, ${numberText(entries / pixels)} times as many.`,
      `${pixels} 个像素变成 ${taps}×${positions} = ${entries} 个值的矩阵，是原来的 ${numberText(entries / pixels)} 倍。`);
    tell(root.querySelector("[data-equal]"), `Product and convolution: ${equal} of ${positions} values are equal.`, `矩阵乘积与卷积：${positions} 个值中有 ${equal} 个相等。`);
    select(at);
  }

  // A column: its patch, its output, its sum.
  function select(position, tap = undefined) {
    at = position;
    const [i, j] = [Math.floor(at / output.columns), at % output.columns];
    for (const patch of patches) patch.place({ window: [size, size], count: [output.rows, output.columns], at: [i, j] });
    column.place({ window: [matrix.rows, 1], count: [1, matrix.columns], at: [0, at] });
    output.current = at;
    product.current = at;
    const terms = sequence(matrix.rows).map((row) => [[kernel, row], [matrix, row * matrix.columns + at]]);
    showFormula(formula, terms, [], numberText(product.values[at]));
    if (tap !== undefined) showPlaces(sources[tap * matrix.columns + at]);
  }

  const unmark = () => [matrix, ...images].forEach((grid) => grid.mark("marked", []));

  // A pixel, and all its places in the matrix.
  function showPlaces(source) {
    matrix.mark("marked", sequence(sources.length).filter((i) => sources[i] === source));
    images.forEach((image, channel) => image.mark("marked", [source - channel * SIDE * SIDE]));
  }

  function showPixel(channel, index) {
    if (index >= 0) showPlaces(channel * SIDE * SIDE + index);
  }

  matrix.place.addEventListener("pointerover", ({ target }) => {
    const index = matrix.indexOf(target);
    if (index >= 0) select(index % matrix.columns, Math.floor(index / matrix.columns));
  });
  for (const event of ["pointerleave", "focusout"]) matrix.place.addEventListener(event, unmark);
  choices(root.querySelector("[data-channels]"), (choice) => {
    channels = Number(choice);
    begin();
  })("1");
  choices(root.querySelector("[data-kernels]"), (choice) => {
    size = Number(choice);
    begin();
  })("2");
  begin();
});
