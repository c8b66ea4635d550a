// Padding and stride decide the size of the output.
"use strict";

chapter("padding", (root, engine) => {
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  let at = [0, 0];

  const image = new Grid(find("image"), { name: "image", label: ["padded image", "填充后的图像"], cell: 34, largest: 2 });
  const output = new Grid(find("output"), { name: "output", label: ["output", "输出"], cell: 34, select: moveTo });
  const frame = new Frame(image, { label: ["window on the image", "图像上的窗口"], move: moveTo });
  const NAMES = ["n0", "n1", "k0", "k1", "p0", "p1", "s0", "s1"];
  const sliders = NAMES.map((name) => {
    const made = slider(root.querySelector(`[data-slider="${name}"]`), () => {
      press(numbers().join(" "));
      compute();
    });
    const [en, zh] = { n: ["image", "图像"], k: ["kernel", "卷积核"], p: ["padding", "填充"], s: ["stride", "步幅"] }[name[0]];
    tell(made.input, `${en}, ${name[1] === "0" ? "rows" : "columns"}`, `${zh}，${name[1] === "0" ? "行" : "列"}`, "aria-label");
    return made;
  });
  const numbers = () => sliders.map(({ value }) => value);

  function moveTo(row, column) {
    at = [row, column];
    show();
  }

  function compute() {
    const [n0, n1, k0, k1, p0, p1, s0, s1] = numbers();
    const conv = { height: n0, width: n1, kernel: [k0, k1], padding: [p0, p1], stride: [s0, s1] };
    const error = root.querySelector("[data-error]"), shown = root.querySelector("[data-shown]");
    let result;
    try {
      result = engine.conv2d(conv, Array(n0 * n1).fill(1), Array(k0 * k1).fill(1));
    } catch ({ message }) {
      tell(error, `The kernel does not fit into the padded image: ${message}.`, `卷积核比填充后的图像还大：${message}`);
    }
    error.hidden = Boolean(result);
    shown.hidden = !result;
    ["rows", "columns"].forEach((axis, i) => {
      const [n, k, p, s] = [[n0, k0, p0, s0], [n1, k1, p1, s1]][i];
      const size = result ? [result.height, result.width][i] : "?";
      root.querySelector(`[data-formula="${axis}"]`).textContent = `⌊(${n} + 2·${p} − ${k} + ${s}) / ${s}⌋ = ${size}`;
    });
    if (!result) return;

    const { values, height, width } = result;
    const [rows, columns] = [n0 + 2 * p0, n1 + 2 * p1];
    const inside = (i) => {
      const [row, column] = [Math.floor(i / columns) - p0, (i % columns) - p1];
      return row >= 0 && row < n0 && column >= 0 && column < n1;
    };
    image.resize(rows, columns, sequence(rows * columns).map((i) => Number(inside(i))));
    image.mark("padded", sequence(rows * columns).filter((i) => !inside(i)));
    const [anchors, read] = [new Set(), new Set()];
    for (let i = 0; i < height * width; i++) {
      const first = Math.floor(i / width) * s0 * columns + (i % width) * s1;
      anchors.add(first);
      for (let tap = 0; tap < k0 * k1; tap++) read.add(first + Math.floor(tap / k1) * columns + (tap % k1));
    }
    image.mark("anchor", anchors);
    image.mark("unread", sequence(rows * columns).filter((i) => !read.has(i)));
    output.resize(height, width, values);
    tell(root.querySelector("[data-output]"), `output: ${height}×${width}`, `输出：${height}×${width}`);
    at = [Math.min(at[0], height - 1), Math.min(at[1], width - 1)];
    show();
  }

  function show() {
    const [, , k0, k1, , , s0, s1] = numbers();
    frame.place({ window: [k0, k1], count: [output.rows, output.columns], stride: [s0, s1], at });
    output.current = at[0] * output.columns + at[1];
  }

  const press = choices(root.querySelector("[data-presets]"), (choice) => {
    choice.split(" ").forEach((number, i) => (sliders[i].value = Number(number)));
    at = [0, 0];
    compute();
  });
  press(numbers().join(" "));
  compute();
});
