// A kernel as an effect on a picture.
"use strict";

chapter("effects", (root, engine) => {
  const EFFECTS = {
    identity: [0, 0, 0, 0, 1, 0, 0, 0, 0],
    blur: Array(9).fill(1 / 9),
    sharpen: [0, -1, 0, -1, 5, -1, 0, -1, 0],
    edges: [-1, -1, -1, -1, 8, -1, -1, -1, -1],
    emboss: [-2, -1, 0, -1, 1, 1, 0, 1, 2],
    "sobel-x": [-1, 0, 1, -2, 0, 2, -1, 0, 1],
    "sobel-y": [-1, -2, -1, 0, 0, 0, 1, 2, 1],
  };
  const [before, after] = root.querySelectorAll("canvas");
  const [file, builtIn] = root.querySelectorAll('[type="file"], [data-do]'), time = root.querySelector("[data-time]");
  let planes, requests = 0;

  const fraction = (value) => (Math.abs(value) === 1 / 9 ? `${value < 0 ? "−" : ""}1/9` : numberText(value));
  const kernel = new Grid(root, "kernel", {
    cell: 52, format: fraction,
    edit: () => {
      press("");
      compute();
    },
  });

  // Draws a picture; takes its colours as three planes, which is how a convolution wants them.
  function take(draw, width, height) {
    for (const canvas of [before, after]) Object.assign(canvas, { width, height });
    const context = before.getContext("2d", { willReadFrequently: true });
    draw(context);
    const { data } = context.getImageData(0, 0, width, height), pixels = width * height;
    planes = Float32Array.from({ length: 3 * pixels }, (_, i) => data[(i % pixels) * 4 + Math.floor(i / pixels)]);
    compute();
  }

  function compute() {
    kernel.show(kernel.values);
    const { width, height } = before, pixels = width * height;
    const conv = { inChannels: 3, outChannels: 3, groups: 3, height, width, kernel: [3, 3], padding: [1, 1], mode: "border" };
    const weight = [...kernel.values, ...kernel.values, ...kernel.values];
    const begun = performance.now();
    const { values } = engine.conv2d(conv, planes, weight);
    const milliseconds = (performance.now() - begun).toFixed(1);
    // Under a kernel of sum 0 an even surface is black, and edges have both signs: their size is shown.
    const [sum] = engine.linear({ inputs: 9, outputs: 1 }, kernel.values, Array(9).fill(1));
    const isSigned = Math.abs(sum) < 1e-6, picture = new ImageData(width, height);
    for (let i = 0; i < 4 * pixels; i++) {
      const value = i % 4 < 3 ? values[(i % 4) * pixels + (i >> 2)] : 255;
      picture.data[i] = isSigned ? Math.abs(value) : value;
    }
    after.getContext("2d").putImageData(picture, 0, 0);
    const [en, zh] = isSigned ? ["; shown without sign", "；显示时取绝对值"] : ["", ""], total = numberText(sum, 4);
    tell(root.querySelector("[data-sum]"), `sum of the kernel: ${total}${en}`, `卷积核之和：${total}${zh}`);
    tell(time, `${milliseconds} ms for 3 × ${width} × ${height} values`, `3 × ${width} × ${height} 个值，用时 ${milliseconds} 毫秒`);
  }

  async function open(chosen) {
    const request = ++requests, bitmap = await createImageBitmap(chosen).catch(() => null);
    // Another picture has been asked for since.
    if (request !== requests) return bitmap?.close();
    if (!bitmap) return tell(time, `${chosen.name} is no picture that this browser can read`, `浏览器无法读取图片 ${chosen.name}`);
    // Not larger than the built-in one.
    const scale = Math.min(1, Math.sqrt((320 * 240) / (bitmap.width * bitmap.height)));
    const size = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.floor(side * scale)));
    take((context) => context.drawImage(bitmap, 0, 0, ...size), ...size);
    bitmap.close();
    tell(before, "your picture", "你的图片", "aria-label");
    builtIn.hidden = false;
  }

  function showBuiltIn() {
    requests += 1;
    tell(before, "a lighthouse by the sea, and a boat", "海边的灯塔和一艘帆船", "aria-label");
    take(drawLighthouse, 320, 240);
    withdraw(builtIn, true, file, "hidden");
  }

  const press = choices(root, "effects", (choice) => {
    kernel.show(EFFECTS[choice]);
    compute();
  });
  tell(after, "the picture under the kernel", "卷积之后的图片", "aria-label");
  listen(file, "change", () => {
    if (file.files[0]) open(file.files[0]);
    file.value = "";
  });
  listen(builtIn, "click", showBuiltIn);
  listen(root, "dragover drop", (event) => event.preventDefault());
  listen(root, "drop", ({ dataTransfer }) => dataTransfer.files[0] && open(dataTransfer.files[0]));
  press("edges");
  kernel.resize(3, 3, EFFECTS.edges);
  showBuiltIn();
  // The first time is longer: the browser still compiles.
  setTimeout(compute);
});

// The built-in picture of 320x240: even surfaces, straight and round edges, fine textures, and letters.
function drawLighthouse(context) {
  const fill = (colour, path) => {
    context.fillStyle = colour;
    context.fill(new Path2D(path));
  };
  const stroke = (colour, path) => {
    context.strokeStyle = colour;
    context.stroke(new Path2D(path));
  };
  const disc = (x, y, radius) => `M${x - radius} ${y}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0`;
  context.lineWidth = 1.5;
  // The sky and the hills.
  fill("#bcd9ea", "M0 0H320V240H0");
  fill("#f6d77a", disc(236, 52, 22));
  for (const [x, y] of [[146, 46], [48, 36]]) fill("#eef5f9", disc(x, y, 9) + disc(x + 13, y - 4, 13) + disc(x + 27, y, 9) + `M${x} ${y}v9h27v-9`);
  fill("#8ba9a5", "M120 142 176 106 212 124 262 96 320 130V150H120");
  stroke("#39434c", "M132 84q4 -5 8 0q4 -5 8 0M150 92q4 -5 8 0q4 -5 8 0");
  // The sea and its waves.
  fill("#2f6f99", "M0 142H320V240H0");
  for (let y = 150; y < 240; y += 9) {
    stroke(y % 2 ? "#5b96bb" : "#7fb2d0", `M${sequence(161).map((i) => `${2 * i} ${y + 2.2 * Math.sin((2 * i) / (4 + (y - 140) / 18) + y)}`).join("L")}`);
  }
  // The rock and its grass, as if at random.
  fill("#6b6257", "M0 172 30 158 112 160 134 178 150 206 128 240H0");
  for (let i = 0; i < 230; i++) {
    const [x, y] = [1, 2].map((axis) => Math.abs(Math.sin(i * 12.9898 + axis * 78.233) * 43758.5453) % 1);
    stroke(["#4f7f4a", "#79a65c", "#8d8377"][i % 3], `M${x * 130} ${168 + y * 72}l${2 - (i % 5)} ${-5 - (i % 3)}`);
  }
  // The lighthouse and its house.
  for (let i = 0; i < 6; i++) {
    const half = 12 + i * 1.5;
    fill(i % 2 ? "#f3efe6" : "#c2412f", `M${70 - half} ${62 + i * 18}h${2 * half}l1.5 18h${-2 * half - 3}`);
  }
  fill("#f9e9a8", "M61 40H79V57H61");
  fill("#b5744f", "M92 142H126V168H92");
  for (let y = 143; y < 168; y += 5) stroke("#dcb89c", `M92 ${y}h34`);
  fill("#2b3138", "M54 57H86V62H54M57 41 70 26 83 41M67 88h6v9h-6M67 124h6v9h-6M60 40h2v17h-2M66 40h2v17h-2M72 40h2v17h-2M78 40h2v17h-2M63 152H77V170H63M88 143 109 126 130 143M104 150h10v9h-10");
  // The boat and its name.
  fill("#f7f4ec", "M226 104V172H188");
  fill("#e3a33c", "M231 116V172H264");
  fill("#28323c", "M176 178H284L268 206H192M227 98h3v82h-3");
  context.fillStyle = "#ffffff";
  context.font = "bold 17px sans-serif";
  context.textAlign = "center";
  context.fillText("im2col", 230, 198, 70);
}
