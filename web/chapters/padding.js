// Padding and stride decide the size of the output.
"use strict";

chapter("padding", (root, engine) => {
  const image = new Grid(root, "image", { cell: 34, largest: 2 });
  const output = new Grid(root, "output", { cell: 34, select: moveTo });
  const frame = new Frame(image, moveTo);
  let at = [0, 0];

  // Two for each of the four: rows and columns.
  const sliders = [["Image n", "图像 n", 1, 10, 8], ["Kernel k", "卷积核 k", 1, 5, 3], ["Padding p", "填充 p", 0, 3, 1], ["Stride s", "步幅 s", 1, 4, 1]]
    .flatMap(([en, zh, min, max, value]) => {
      const words = element("span"), letter = en.at(-1);
      tell(words, en, zh);
      const labels = [["rows", "行"], ["columns", "列"]].map((axis, i) => {
        const input = element("input", { type: "range", min, max, value });
        tell(input, `${en}, ${axis[0]}`, `${zh}，${axis[1]}`, "aria-label");
        return element("label", { "data-slider": letter + i }, input);
      });
      root.querySelector(".axes").append(words, ...labels);
      return labels.map((label) => slider(label, () => {
        press(numbers().join(" "));
        compute();
      }));
    });
  const numbers = () => sliders.map(({ value }) => value);

  function moveTo(...to) {
    at = to;
    show();
  }

  function compute() {
    const [n0, n1, k0, k1, p0, p1, s0, s1] = numbers();
    const conv = { height: n0, width: n1, kernel: [k0, k1], padding: [p0, p1], stride: [s0, s1] };
    let result;
    try {
      result = engine.conv2d(conv, Array(n0 * n1).fill(1), Array(k0 * k1).fill(1));
    } catch {
      // The kernel is larger than what it slides over.
    }
    root.querySelector("[data-error]").hidden = Boolean(result);
    root.querySelector("[data-shown]").hidden = !result;
    for (const [axis, [n, k, p, s], size] of [["rows", [n0, k0, p0, s0], result?.height], ["columns", [n1, k1, p1, s1], result?.width]]) {
      root.querySelector(`[data-size="${axis}"]`).textContent = `⌊(${n} + 2·${p} − ${k} + ${s}) / ${s}⌋ = ${size ?? "?"}`;
    }
    if (!result) return;

    const { values, height, width } = result;
    const columns = n1 + 2 * p1, pixels = padded([n0, n1], [p0, p1]), places = [...pixels.keys()];
    image.resize(n0 + 2 * p0, columns, pixels.map((pixel) => Number(pixel !== undefined)));
    image.mark("padded", places.filter((i) => pixels[i] === undefined));
    // Where windows begin, and what they see.
    const anchors = sequence(height * width).map((i) => Math.floor(i / width) * s0 * columns + (i % width) * s1);
    const seen = new Set(anchors.flatMap((first) => sequence(k0 * k1).map((tap) => first + Math.floor(tap / k1) * columns + (tap % k1))));
    image.mark("anchor", anchors);
    image.mark("unread", places.filter((i) => !seen.has(i)));
    output.resize(height, width, values);
    tell(output.caption, `output: ${height}×${width}`, `输出：${height}×${width}`);
    at = [Math.min(at[0], height - 1), Math.min(at[1], width - 1)];
    show();
  }

  function show() {
    const [, , k0, k1, , , ...stride] = numbers();
    frame.place(at, [k0, k1], output, stride);
  }

  const press = choices(root, "presets", (choice) => {
    choice.split(" ").forEach((number, i) => (sliders[i].value = number));
    at = [0, 0];
    compute();
  });
  press(numbers().join(" "));
  compute();
});
