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
  const [before, after] = ["before", "after"].map((name) => root.querySelector(`[data-picture="${name}"]`));
  const [file, builtIn] = [root.querySelector("input[type=file]"), root.querySelector('[data-do="built-in"]')];
  const pictures = [...root.querySelectorAll(".picture")];
  let planes = new Float32Array(0), values = planes, looked = [0, 0];

  const fraction = (value) => {
    const ninths = Math.round(value * 9);
    return Math.abs(value * 9 - ninths) < 1e-6 && ninths % 9 ? numberText(ninths) + "/9" : numberText(value);
  };
  const kernel = new Grid(root.querySelector('[data-grid="kernel"]'), {
    name: "kernel", label: ["kernel", "卷积核"], cell: 52, format: fraction,
    edit: () => {
      press("");
      compute();
    },
  });

  // The green values around one pixel: a picture is numbers too.
  const patch = new Grid(root.querySelector('[data-grid="patch"]'), { name: "patch", label: ["pixels", "像素"], cell: 44, largest: 255 });
  const formula = root.querySelector("[data-formula]");
  linkFormula(formula, [patch, kernel]);

  function look(x, y) {
    const { width, height } = before, pixels = width * height;
    looked = [clamp(x, 0, width - 1), clamp(y, 0, height - 1)];
    const around = sequence(9).map((tap) => {
      const [column, row] = [clamp(looked[0] + (tap % 3) - 1, 0, width - 1), clamp(looked[1] + Math.floor(tap / 3) - 1, 0, height - 1)];
      return planes[pixels + row * width + column];
    });
    patch.resize(3, 3, around);
    showFormula(formula, sequence(9).map((tap) => [[patch, tap], [kernel, tap]]), [], numberText(values[pixels + looked[1] * width + looked[0]]));
    tell(root.querySelector("[data-looked]"), `green at ${looked.join(", ")}`, `(${looked.join(", ")}) 处的绿色值`);
    for (const { lastElementChild: { style } } of pictures) {
      style.left = `calc(${(100 * (looked[0] + 0.5)) / width}% - 6px)`;
      style.top = `calc(${(100 * (looked[1] + 0.5)) / height}% - 6px)`;
    }
  }

  // The colours of the picture as three planes, which is how a convolution wants them.
  function take(draw, width, height) {
    for (const canvas of [before, after]) Object.assign(canvas, { width, height });
    const context = before.getContext("2d", { willReadFrequently: true });
    draw(context, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const pixels = width * height;
    planes = new Float32Array(3 * pixels);
    looked = [Math.floor(width * 0.27), Math.floor(height * 0.446)];
    for (let i = 0; i < 3 * pixels; i++) planes[i] = data[(i % pixels) * 4 + Math.floor(i / pixels)];
    compute();
  }

  function compute() {
    kernel.show(kernel.values);
    const { width, height } = before, pixels = width * height;
    const conv = { inChannels: 3, outChannels: 3, groups: 3, height, width, kernel: [3, 3], padding: [1, 1], mode: "border" };
    const weight = [...kernel.values, ...kernel.values, ...kernel.values];
    const begun = performance.now();
    ({ values } = engine.conv2d(conv, planes, weight));
    const milliseconds = (performance.now() - begun).toFixed(1);
    // A kernel of sum 0 is dark where nothing changes, and its answers have both signs: their size is shown.
    const [sum] = engine.linear({ inputs: 9, outputs: 1 }, kernel.values, Array(9).fill(1));
    const isSigned = Math.abs(sum) < 1e-6;
    const picture = new ImageData(width, height);
    for (let i = 0; i < pixels; i++) {
      for (let colour = 0; colour < 3; colour++) {
        const value = values[colour * pixels + i];
        picture.data[4 * i + colour] = isSigned ? Math.abs(value) : value;
      }
      picture.data[4 * i + 3] = 255;
    }
    after.getContext("2d").putImageData(picture, 0, 0);
    const total = numberText(Math.round(sum * 1e6) / 1e6);
    const shown = isSigned ? ["; shown without sign", "；显示时取绝对值"] : ["", ""];
    tell(root.querySelector("[data-sum]"), `sum of the kernel: ${total}${shown[0]}`, `卷积核之和：${total}${shown[1]}`);
    tell(root.querySelector("[data-time]"), `${milliseconds} ms for 3 × ${width} × ${height} values`, `3 × ${width} × ${height} 个值，用时 ${milliseconds} 毫秒`);
    look(...looked);
    tell(after, "the picture under the kernel", "卷积之后的图片", "aria-label");
  }

  async function open(chosen) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(chosen);
    } catch {
      tell(root.querySelector("[data-time]"), `${chosen.name} is no picture that this browser can read`, `浏览器无法读取图片 ${chosen.name}`);
      return;
    }
    // Within the engine's memory.
    const scale = Math.min(1, Math.sqrt((400 * 300) / (bitmap.width * bitmap.height)));
    const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.floor(size * scale)));
    tell(before, "your picture", "你的图片", "aria-label");
    take((context) => context.drawImage(bitmap, 0, 0, width, height), width, height);
    builtIn.hidden = false;
  }

  function showBuiltIn() {
    tell(before, "a lighthouse by the sea, and a boat", "海边的灯塔和一艘帆船", "aria-label");
    take(drawLighthouse, 320, 240);
    builtIn.hidden = true;
  }

  const press = choices(root.querySelector("[data-effects]"), (choice) => {
    kernel.show(EFFECTS[choice]);
    compute();
  });
  pictures[0].setAttribute("role", "group");
  tell(pictures[0], "arrow keys choose a pixel", "用方向键选择像素", "aria-label");
  for (const picture of pictures) {
    const point = (event) => {
      const box = picture.getBoundingClientRect();
      look(Math.floor(((event.clientX - box.left) / box.width) * before.width), Math.floor(((event.clientY - box.top) / box.height) * before.height));
    };
    picture.addEventListener("pointerdown", point);
    picture.addEventListener("pointermove", point);
    picture.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      const far = event.shiftKey ? 10 : 1;
      look(looked[0] + arrow[1] * far, looked[1] + arrow[0] * far);
    });
  }
  file.addEventListener("change", () => file.files[0] && open(file.files[0]));
  builtIn.addEventListener("click", showBuiltIn);
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  press("edges");
  kernel.resize(3, 3, EFFECTS.edges);
  showBuiltIn();
  // The first time is longer: the browser still compiles.
  setTimeout(compute);
});

// The built-in picture: flat surfaces, straight and round edges, fine textures, and letters.
function drawLighthouse(context, width, height) {
  const fill = (colour, ...points) => {
    context.fillStyle = colour;
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x, y));
    context.fill();
  };
  const box = (colour, x, y, w, h) => fill(colour, [x, y], [x + w, y], [x + w, y + h], [x, y + h]);
  const disc = (colour, x, y, radius) => {
    context.fillStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  };
  box("#bcd9ea", 0, 0, width, height);
  disc("#f6d77a", 236, 52, 22);
  for (const [x, y, size] of [[150, 40, 1], [172, 46, 0.7], [52, 30, 0.8]]) {
    for (const [dx, dy, radius] of [[0, 0, 11], [13, -5, 14], [28, 0, 10]]) disc("#eef5f9", x + dx * size, y + dy * size, radius * size);
    box("#eef5f9", x, y, 28 * size, 10.5 * size);
  }
  // Hills, the sea and its waves.
  fill("#8ba9a5", [120, 142], [176, 106], [212, 124], [262, 96], [320, 130], [320, 150], [120, 150]);
  box("#2f6f99", 0, 142, width, 98);
  context.lineWidth = 1.6;
  for (let y = 150; y < height; y += 9) {
    context.strokeStyle = y % 2 ? "#5b96bb" : "#7fb2d0";
    context.beginPath();
    for (let x = 0; x <= width; x += 2) context.lineTo(x, y + 2.2 * Math.sin(x / (4 + (y - 140) / 18) + y));
    context.stroke();
  }
  // The rock, with grass on it.
  fill("#6b6257", [0, 172], [30, 158], [112, 160], [134, 178], [150, 206], [128, 240], [0, 240]);
  context.lineWidth = 1.3;
  for (let i = 0; i < 230; i++) {
    // As if at random.
    const [x, y] = [1, 2].map((axis) => Math.abs(Math.sin(i * 12.9898 + axis * 78.233) * 43758.5453) % 1);
    context.strokeStyle = ["#4f7f4a", "#79a65c", "#8d8377"][i % 3];
    context.beginPath();
    context.moveTo(x * 130, 168 + y * 72);
    context.lineTo(x * 130 + 2 - (i % 5), 163 + y * 72 - (i % 3));
    context.stroke();
  }
  // The lighthouse: stripes, a gallery, a lamp.
  for (let i = 0; i < 6; i++) {
    const half = (y) => 12 + ((y - 62) * 9) / 108, [top, bottom] = [62 + i * 18, 80 + i * 18];
    fill(i % 2 ? "#f3efe6" : "#c2412f", [70 - half(top), top], [70 + half(top), top], [70 + half(bottom), bottom], [70 - half(bottom), bottom]);
  }
  box("#2b3138", 54, 57, 32, 5);
  box("#f9e9a8", 61, 40, 18, 17);
  for (let x = 61; x <= 79; x += 6) box("#2b3138", x - 0.6, 40, 1.6, 17);
  fill("#2b3138", [57, 41], [70, 26], [83, 41]);
  for (const y of [88, 124]) box("#2b3138", 67, y, 6, 9);
  box("#4a2f22", 63, 152, 14, 18);
  // A house of bricks.
  box("#b5744f", 92, 142, 34, 26);
  for (let row = 0; row < 6; row++) {
    box("#dcb89c", 92, 142 + row * 4.4, 34, 0.9);
    for (let x = row % 2 ? 92 : 96; x < 126; x += 8) box("#dcb89c", x, 142 + row * 4.4, 0.9, 4.4);
  }
  fill("#4d4f57", [88, 143], [109, 126], [130, 143]);
  box("#f4e6b0", 104, 150, 10, 9);
  // The boat, with its name.
  fill("#f7f4ec", [226, 104], [226, 172], [188, 172]);
  fill("#e3a33c", [231, 116], [231, 172], [264, 172]);
  box("#3a2a20", 227, 98, 3, 82);
  fill("#28323c", [176, 178], [284, 178], [268, 206], [192, 206]);
  context.fillStyle = "#ffffff";
  context.font = "bold 17px sans-serif";
  context.textAlign = "center";
  context.fillText("im2col", 230, 198, 70);
  // Gulls.
  context.strokeStyle = "#39434c";
  context.lineWidth = 1.6;
  for (const [x, y] of [[140, 84], [158, 92], [126, 98]]) {
    context.beginPath();
    context.arc(x - 4, y, 4.5, Math.PI * 1.1, Math.PI * 1.95);
    context.arc(x + 4, y, 4.5, Math.PI * 1.05, Math.PI * 1.9);
    context.stroke();
  }
}
