// LeNet reads a digit: the output of every layer, as the pen moves.
"use strict";

// Layer by layer: name with ReLU, name in the lecture's network, shape, parameters.
const LAYERS = [
  ["Conv2d", "Conv2d", [1, 6, 28, 28], 156],
  ["ReLU", "Sigmoid", [1, 6, 28, 28]],
  ["MaxPool2d", "AvgPool2d", [1, 6, 14, 14]],
  ["Conv2d", "Conv2d", [1, 16, 10, 10], 2416],
  ["ReLU", "Sigmoid", [1, 16, 10, 10]],
  ["MaxPool2d", "AvgPool2d", [1, 16, 5, 5]],
  ["Flatten", "Flatten", [1, 400]],
  ["Linear", "Linear", [1, 120], 48_120],
  ["ReLU", "Sigmoid", [1, 120]],
  ["Linear", "Linear", [1, 84], 10_164],
  ["ReLU", "Sigmoid", [1, 84]],
  ["Linear", "Linear", [1, 10], 850],
];
const CONVS = [0, 3];
// Below this, `lenet predict` says "unsure" as well.
const SURE = 0.93;
// A three, of the reader's own size.
const EXAMPLE = [[
  0.3, 0.24, 0.36, 0.18, 0.46, 0.15, 0.56, 0.16, 0.64, 0.21, 0.66, 0.29, 0.63, 0.37, 0.55, 0.43, 0.45, 0.46, 0.55, 0.48,
  0.64, 0.53, 0.69, 0.61, 0.68, 0.71, 0.61, 0.79, 0.5, 0.83, 0.38, 0.81, 0.3, 0.75,
]];

// `draw` is called whenever the colours have changed.
function whenColoursChange(draw) {
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

// Colours for canvases: blue for what is positive, orange for what is negative, and ink for an image.
class Palette {
  static #STEPS = 127;
  #signed; #ink;

  constructor() {
    this.#signed = Palette.#ramp(["--wrong", "--zero", "--right"]);
    this.#ink = Palette.#ramp(["--tile", "--ink"]);
    this.outline = Palette.#ramp(["--ink", "--ink"])[0];
  }

  // The colours between some of the style sheet's, as pixels of an ImageData.
  static #ramp(names) {
    const probe = element("span");
    document.body.append(probe);
    const stops = names.map((name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    });
    probe.remove();
    const colours = new Uint32Array((names.length - 1) * Palette.#STEPS + 1);
    const bytes = new Uint8Array(colours.buffer);
    for (let i = 0; i < colours.length; i++) {
      const at = Math.min(Math.floor(i / Palette.#STEPS), names.length - 2), share = i / Palette.#STEPS - at;
      for (let j = 0; j < 3; j++) bytes[4 * i + j] = stops[at][j] + share * (stops[at + 1][j] - stops[at][j]);
      bytes[4 * i + 3] = 255;
    }
    return colours;
  }

  // Of a value from -1 to 1.
  signed(value) {
    return this.#signed[Math.round((1 + value) * Palette.#STEPS)];
  }

  // Of a value from 0 to 1.
  ink(value) {
    return this.#ink[Math.round(value * Palette.#STEPS)];
  }
}

// Maps side by side on a canvas. All are drawn to one scale: `width` pixels are the whole canvas. Each map stands in the middle of
// a column of `pitch` pixels.
class Maps {
  #pen; #image; #pixels;

  constructor(canvas, { count, rows, columns, pitch = columns + 1, width = count * pitch + 1, perLine = count, gap = 1, tall = 1 }) {
    Object.assign(this, { canvas, count, rows, columns, pitch, perLine, gap, tall });
    const lines = Math.ceil(count / perLine);
    [canvas.width, canvas.height] = [width, lines * (rows * tall + gap) + gap];
    this.#pen = canvas.getContext("2d");
    this.#image = new ImageData(canvas.width, canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
  }

  // The column and row of a map's first pixel.
  #corner(map) {
    const line = Math.floor(map / this.perLine);
    const left = this.gap + (map % this.perLine) * this.pitch + Math.floor((this.pitch - this.columns) / 2);
    return [left, this.gap + line * (this.rows * this.tall + this.gap)];
  }

  // `colour` of a value of magnitude 1 at most; `chosen` is the map with a frame around it.
  paint(values, colour, { largest = largestOf(values), chosen = -1, outline = 0 } = {}) {
    const { rows, columns, tall, canvas: { width } } = this;
    const scale = largest > 0 ? 1 / largest : 0;
    this.#pixels.fill(0);
    for (let map = 0, from = 0; map < this.count; map++) {
      const [left, top] = this.#corner(map);
      if (map === chosen) {
        for (let y = -1; y <= rows; y++) this.#pixels.fill(outline, (top + y) * width + left - 1, (top + y) * width + left + columns + 1);
      }
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const pixel = colour(values[from++] * scale);
          for (let i = 0; i < tall; i++) this.#pixels[(top + y * tall + i) * width + left + x] = pixel;
        }
      }
    }
    this.#pen.putImageData(this.#image, 0, 0);
  }

  // The map at a place on the screen.
  at({ clientX }) {
    const box = this.canvas.getBoundingClientRect();
    const column = ((clientX - box.left) / box.width) * this.canvas.width - this.gap;
    return clamp(Math.floor(column / this.pitch), 0, this.count - 1);
  }
}

// The rows of the layers: what each is called, its shape and its maps.
class LayerRows {
  // Six maps of 28x28, or sixteen of 10x10, each with a pixel between.
  static #WIDTH = 177;
  static #KERNEL = 5;
  #input; #maps = []; #logits; #names = []; #kernels = []; #chosen = [0, 0]; #choose;

  // `choose` is called when another map is pointed at.
  constructor(list, choose) {
    this.#choose = choose;
    this.#input = new Maps(this.#row(list, "input", 0, [1, 1, 28, 28]), { count: 1, rows: 28, columns: 28, width: LayerRows.#WIDTH });
    LAYERS.forEach(([, , shape, params], layer) => {
      const place = this.#row(list, layer, params, shape);
      if (layer === LAYERS.length - 1) return this.#addLogits(place);
      this.#maps.push(new Maps(place, LayerRows.#layout(shape)));
      const conv = CONVS.indexOf(layer);
      if (conv >= 0) this.#addKernels(place, conv, shape[1]);
    });
  }

  static #layout(shape) {
    const width = LayerRows.#WIDTH;
    if (shape.length === 4) {
      const [, count, rows, columns] = shape;
      return { count, rows, columns, width, pitch: count === 6 ? 29 : 11 };
    }
    // Values stand upright, a hundred a line, or as many as there are.
    return { count: shape[1], rows: 1, columns: 1, pitch: 1, width, perLine: shape[1] === 400 ? 100 : shape[1], tall: 5 };
  }

  #row(list, layer, params, shape) {
    const name = element("b"), size = element("span", {}, `(${shape.join(", ")})`);
    const words = element("div", { class: "layer-name" }, name, " ", size);
    if (params) {
      const count = element("small");
      tell(count, `${params.toLocaleString("en")} parameters`, `${params.toLocaleString("en")} 个参数`);
      words.append(count);
    }
    if (layer === "input") tell(name, "Input", "输入");
    else this.#names.push(name);
    const canvas = element("canvas", { class: "maps", "data-layer": layer });
    const place = element("div", { class: "layer-maps" });
    if (layer !== LAYERS.length - 1) place.append(canvas);
    list.append(element("li", { "data-row": layer }, words, place));
    return layer === LAYERS.length - 1 ? place : canvas;
  }

  #addLogits(place) {
    this.#logits = sequence(10).map((digit) => element("span", { class: "logit", "data-logit": digit }));
    place.append(element("div", { class: "logits" }, ...this.#logits));
  }

  // The kernels of one map of a convolution; the map is chosen by pointing, or by arrow keys.
  #addKernels(canvas, conv, channels) {
    const count = conv ? 6 : 1, side = LayerRows.#KERNEL;
    const picture = element("canvas", { class: "kernels", role: "img", "data-kernels": conv });
    const note = element("small", { class: "kernel-note", "data-kernel-note": conv });
    this.#kernels.push({ note, maps: new Maps(picture, { count, rows: side, columns: side, gap: 0, width: count * (side + 1) - 1 }) });
    canvas.parentElement.append(element("div", { class: "kernel-row" }, picture, note));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "slider");
    canvas.setAttribute("aria-valuemin", 0);
    canvas.setAttribute("aria-valuemax", channels - 1);
    tell(canvas, `Map of Conv2d (1, ${channels}, …)`, `Conv2d (1, ${channels}, …) 的特征图`, "aria-label");
    const maps = this.#maps[CONVS[conv]];
    const choose = (channel) => {
      if (channel === this.#chosen[conv]) return;
      this.#chosen[conv] = channel;
      this.#choose();
    };
    const point = (event) => choose(maps.at(event));
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      choose(clamp(this.#chosen[conv] + step, 0, channels - 1));
    });
  }

  // What the layers made of an image.
  show({ pixels, layers, network, params, palette }) {
    this.#input.paint(Array.from(pixels, (ink) => ink / 255), (value) => palette.ink(value), { largest: 1 });
    const colour = (value) => palette.signed(value);
    LAYERS.forEach(([relu, sigmoid], layer) => {
      const name = network === "sigmoid" ? sigmoid : relu;
      if (this.#names[layer].textContent !== name) this.#names[layer].textContent = name;
      if (layer === LAYERS.length - 1) return;
      const chosen = layer < 3 ? this.#chosen[0] : layer < 6 ? this.#chosen[1] : -1;
      this.#maps[layer].paint(layers[layer], colour, { chosen, outline: palette.outline });
    });
    const logits = layers.at(-1), largest = largestOf(logits);
    this.#logits.forEach((place, digit) => {
      place.textContent = numberText(logits[digit], Math.abs(logits[digit]) < 9.95 ? 1 : 0);
      place.dataset.value = logits[digit];
      tint(place, logits[digit], largest);
    });
    this.#showKernels(params, colour);
  }

  #showKernels(params, colour) {
    const starts = [{ weights: 0, len: 25, biases: 150 }, { weights: 156, len: 150, biases: 2556 }];
    starts.forEach(({ weights, len, biases }, conv) => {
      const channel = this.#chosen[conv], { maps, note } = this.#kernels[conv];
      const kernels = params.subarray(weights + channel * len, weights + (channel + 1) * len);
      maps.paint(kernels, colour, { largest: largestOf(params.subarray(weights, biases)) });
      const [least, most] = [Math.min(...kernels), Math.max(...kernels)].map((value) => numberText(value));
      const bias = numberText(params[biases + channel]);
      tell(note, `channel ${channel}: weights ${least} to ${most}, bias ${bias}`, `通道 ${channel}：权重 ${least} 到 ${most}，偏置 ${bias}`);
      const canvas = this.#maps[CONVS[conv]].canvas;
      canvas.setAttribute("aria-valuenow", channel);
      tell(canvas, `channel ${channel}`, `通道 ${channel}`, "aria-valuetext");
      tell(maps.canvas, `kernels of channel ${channel}`, `通道 ${channel} 的卷积核`, "aria-label");
    });
  }
}

// A share as text, of about four characters.
const percentText = (share) => `${(100 * share).toFixed(share < 0.9995 ? 1 : 0)} %`;

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

// Median microseconds of an inference: 200 of them, after some to warm up.
async function timeReading(engine, pixels, network) {
  const times = [];
  for (let round = 0; round < 10; round++) {
    const { microseconds } = engine.read(pixels, { network, times: 25 });
    if (round >= 2) times.push(microseconds);
    // The page answers in between.
    await new Promise((done) => setTimeout(done));
  }
  return times.toSorted((a, b) => a - b)[times.length / 2];
}

chapter("lenet", async (root, engine, { name, module }) => {
  const find = (id) => root.querySelector(`#lenet-${id}`);
  const networks = { shipped: { params: await loadWeights(), network: "relu" } };
  let source = "shipped", palette = new Palette(), frame = 0, pause = 0, sample = null;

  const odds = sequence(10).map((digit) => {
    const bar = element("span"), share = element("td");
    const row = element("tr", { "data-digit": digit }, element("th", { scope: "row" }, String(digit)), element("td", {}, element("div", { class: "odds-bar" }, bar)), share);
    find("odds").append(row);
    return { row, bar, share };
  });
  const rows = new LayerRows(find("layers"), () => readSoon());
  const pad = new InkPad(find("pad"), (isDone) => {
    readSoon();
    if (isDone) settle();
  });

  // At most once a frame.
  function readSoon() {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      read();
    });
  }

  function read() {
    const { params, network } = networks[source];
    const pixels = pad.pixels;
    const { digit, layers } = engine.read(pixels, { network });
    rows.show({ pixels, layers, network, params, palette });
    const chances = pad.isBlank ? Array(10).fill(0) : softmax(layers.at(-1));
    odds.forEach(({ row, bar, share }, i) => {
      bar.style.width = `${(100 * chances[i]).toFixed(1)}%`;
      share.textContent = percentText(chances[i]);
      row.classList.toggle("best", !pad.isBlank && i === digit);
    });
    const isSure = chances[digit] >= SURE;
    const verdict = find("verdict");
    verdict.dataset.digit = pad.isBlank ? "" : digit;
    verdict.dataset.sure = isSure;
    find("digit").textContent = pad.isBlank ? "–" : digit;
    const percent = percentText(chances[digit]);
    if (pad.isBlank) tell(find("words"), "Draw a digit.", "写一个数字。");
    else if (isSure) tell(find("words"), percent, percent);
    else tell(find("words"), `unsure: ${percent}`, `不确定：${percent}`);
    const isSample = sample !== null && pad.image === sample.pixels;
    const words = isSample ? [`test digit ${sample.index}, labelled ${sample.label}`, `测试集第 ${sample.index} 个，标签 ${sample.label}`] : ["", ""];
    tell(find("sample"), ...words);
  }

  // When the pen rests: the time, and words for screen readers.
  function settle() {
    clearTimeout(pause);
    pause = setTimeout(() => {
      const { microseconds } = engine.read(pad.pixels, { network: networks[source].network, times: 40 });
      find("time").dataset.microseconds = microseconds.toFixed(1);
      tell(find("time"), `${microseconds.toFixed(0)} µs an image, ${name}`, `每幅图像 ${microseconds.toFixed(0)} 微秒（${name}）`);
      const { digit, sure } = find("verdict").dataset;
      if (digit === "") return tell(find("said"), "blank", "空白");
      tell(find("said"), sure === "true" ? `It reads ${digit}` : `It is unsure: ${digit}`, sure === "true" ? `识别为 ${digit}` : `不确定：${digit}`);
    }, 250);
  }

  function choose(wanted) {
    source = wanted;
    find("network").value = wanted;
    engine.params = networks[source].params;
    readSoon();
    settle();
  }

  find("undo").addEventListener("click", () => pad.undo());
  find("clear").addEventListener("click", () => pad.clear());
  let next = 0;
  find("samples").addEventListener("click", async ({ target }) => {
    const wanted = target.closest("button")?.dataset.sample;
    if (wanted === undefined) return;
    const isAny = wanted === "any";
    try {
      const training = await Training.load(module);
      sample = await training.digit({ label: isAny ? undefined : Number(wanted), from: isAny ? Math.floor(Math.random() * TESTED) : next });
      next = sample.index + 1;
      pad.showImage(sample.pixels);
    } catch (error) {
      tell(find("sample"), error.message, error.message);
    }
  });
  find("network").addEventListener("change", ({ target }) => choose(target.value));
  // From the chapter that trains: { params, network }, and whether it shall be used, or even drawn for.
  document.addEventListener("networktrained", ({ detail: { params, network, isChosen, isWanted } }) => {
    networks.trained = { params, network };
    find("network").querySelector("[value=trained]").disabled = false;
    if (isChosen || source === "trained") choose("trained");
    if (isWanted) find("pad").focus();
  });

  tell(find("network").options[0], "that comes with the page: ReLU", "随页面附带的：ReLU");
  tell(find("network").options[1], "trained or loaded below", "在下面训练或载入的");
  tell(find("pad"), "Drawing pad", "手写板", "aria-label");

  let other;
  find("compare").addEventListener("click", async ({ target }) => {
    target.disabled = true;
    const result = find("comparison");
    try {
      const otherName = name === "simd128" ? "scalar" : "simd128";
      other ??= new Engine(await WebAssembly.compile(await unpacked(ENGINE[otherName])));
      const { params, network } = networks[source];
      other.params = params;
      const times = { [otherName]: await timeReading(other, pad.pixels, network), [name]: await timeReading(engine, pad.pixels, network) };
      const ratio = times.scalar / times.simd128;
      Object.assign(result.dataset, { ...times, ratio: ratio.toFixed(3) });
      const [simd128, scalar] = [times.simd128, times.scalar].map((time) => time.toFixed(0));
      tell(result, `simd128 ${simd128} µs, scalar ${scalar} µs: ${ratio.toFixed(1)} times as fast.`, `simd128 ${simd128} 微秒，scalar ${scalar} 微秒：快 ${ratio.toFixed(1)} 倍。`);
    } catch (error) {
      tell(result, error.message, error.message);
    }
    target.disabled = false;
  });

  whenColoursChange(() => {
    palette = new Palette();
    pad.draw();
    readSoon();
  });
  engine.params = networks.shipped.params;
  pad.showStrokes(EXAMPLE);
});
