// LeNet reads a digit: the output of every layer, as the pen moves.
"use strict";

// Layer by layer: its name, the shape of its output, its parameters.
const LAYERS = [
  ["Conv2d", [1, 6, 28, 28], 156], ["ReLU", [1, 6, 28, 28]], ["MaxPool2d", [1, 6, 14, 14]],
  ["Conv2d", [1, 16, 10, 10], 2416], ["ReLU", [1, 16, 10, 10]], ["MaxPool2d", [1, 16, 5, 5]],
  ["Flatten", [1, 400]], ["Linear", [1, 120], 48_120], ["ReLU", [1, 120]], ["Linear", [1, 84], 10_164], ["ReLU", [1, 84]],
  ["Linear", [1, 10], 850],
];
const NAMES_IN_LECTURE = { ReLU: "Sigmoid", MaxPool2d: "AvgPool2d" };
// The convolutions, and where their kernels are among the parameters; their biases follow.
const CONVS = [
  { layer: 0, channels: 6, start: 0, taps: 25, biases: 150 },
  { layer: 3, channels: 16, start: 156, taps: 150, biases: 2556 },
];
// Below this, it is unsure. `lenet predict` compares the mean of eleven copies with it.
const SURE = 0.93;
const EXAMPLE = [[
  0.3, 0.24, 0.36, 0.18, 0.46, 0.15, 0.56, 0.16, 0.64, 0.21, 0.66, 0.29, 0.63, 0.37, 0.55, 0.43, 0.45, 0.46, 0.55, 0.48,
  0.64, 0.53, 0.69, 0.61, 0.68, 0.71, 0.61, 0.79, 0.5, 0.83, 0.38, 0.81, 0.3, 0.75,
]];

// `draw` is called whenever the colours have changed.
function whenColoursChange(draw) {
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

// Colours for canvases, as pixels of an ImageData: blue for what is positive, orange for what is negative; ink for an image.
class Palette {
  static #STEPS = 127;
  #signed = Palette.#ramp("--wrong", "--zero", "--right");
  #ink = Palette.#ramp("--tile", "--ink");
  outline = this.ink(1);

  // The colours between some of the style sheet's.
  static #ramp(...names) {
    const probe = span("");
    document.body.append(probe);
    const stops = names.map((name) => {
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
    });
    probe.remove();
    const colours = new Uint32Array((names.length - 1) * Palette.#STEPS + 1);
    const bytes = new Uint8Array(colours.buffer);
    colours.forEach((_, i) => {
      const at = Math.min(Math.floor(i / Palette.#STEPS), names.length - 2), share = i / Palette.#STEPS - at;
      bytes.set([0, 1, 2].map((j) => stops[at][j] + share * (stops[at + 1][j] - stops[at][j])), 4 * i);
      bytes[4 * i + 3] = 255;
    });
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

// Maps of rows x columns pixels side by side on a canvas, each in the middle of a column of `pitch` pixels; `perLine` of them
// in a line; `gap` pixels around; each pixel `tall` times as high as wide; `width` pixels are the whole canvas.
class Maps {
  #pen; #image; #pixels;

  constructor(canvas, { count, rows, columns, pitch = columns + 1, width = count * pitch - 1, perLine = count, gap = 0, tall = 1 }) {
    Object.assign(this, { canvas, count, rows, columns, pitch, perLine, gap, tall });
    canvas.width = width;
    canvas.height = Math.ceil(count / perLine) * (rows * tall + gap) + gap;
    this.#pen = canvas.getContext("2d");
    this.#image = new ImageData(canvas.width, canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
  }

  // `colour(value)` gets values of magnitude 1 at most; `chosen` is the map with a frame around it.
  paint(values, colour, { largest = largestOf(values), chosen, outline } = {}) {
    const { rows, columns, tall, canvas: { width } } = this;
    const scale = largest > 0 ? 1 / largest : 0;
    this.#pixels.fill(0);
    for (let map = 0, from = 0; map < this.count; map++) {
      const left = this.gap + (map % this.perLine) * this.pitch + ((this.pitch - columns) >> 1);
      const top = this.gap + Math.floor(map / this.perLine) * (rows * tall + this.gap);
      for (let y = -1; y <= rows && map === chosen; y++) {
        this.#pixels.fill(outline, (top + y) * width + left - 1, (top + y) * width + left + columns + 1);
      }
      for (let y = 0; y < rows * tall; y++) {
        const row = from + Math.floor(y / tall) * columns;
        for (let x = 0; x < columns; x++) this.#pixels[(top + y) * width + left + x] = colour(values[row + x] * scale);
      }
      from += rows * columns;
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

// The rows of the layers: what each is called, its shape and its maps. All maps are drawn to one scale.
class LayerRows {
  // Sixteen maps of 10x10 with a pixel between; six of 28x28 take hardly less.
  static #WIDTH = 177;
  #maps = []; #names = []; #kernels = []; #chosen = [0, 0]; #input; #logits;

  // `choose` is called when another map is pointed at.
  constructor(list, choose) {
    this.choose = choose;
    this.#input = new Maps(this.#addRow(list, "input", [1, 1, 28, 28]), { count: 1, rows: 28, columns: 28, gap: 1, width: LayerRows.#WIDTH });
    tell(this.#names.pop(), "Input", "输入");
    LAYERS.forEach(([, shape, params], layer) => {
      const canvas = this.#addRow(list, layer, shape, params);
      const [, count, rows = 1, columns = 1] = shape;
      // Values that are no maps stand upright, at most 120 in a line.
      const upright = { pitch: 1, perLine: Math.min(count, count === 400 ? 100 : 120), tall: 5 };
      const layout = rows === 1 ? upright : { pitch: count === 6 ? 29 : 11 };
      this.#maps.push(new Maps(canvas, { count, rows, columns, gap: 1, width: LayerRows.#WIDTH, ...layout }));
    });
    CONVS.forEach((_, conv) => this.#addKernels(conv));
    // The last ten are numbers.
    this.#logits = sequence(10).map((digit) => element("span", { class: "logit", "data-logit": digit }));
    this.#maps.pop().canvas.replaceWith(element("div", { class: "logits" }, ...this.#logits));
  }

  #addRow(list, layer, shape, params) {
    const name = element("b"), words = element("div", { class: "layer-name" }, name, ` (${shape.join(", ")})`);
    this.#names.push(name);
    if (params) {
      const count = element("small");
      tell(count, `${countText(params)} parameters`, `${countText(params)} 个参数`);
      words.append(count);
    }
    const canvas = element("canvas", { class: "maps", "data-layer": layer });
    list.append(element("li", {}, words, element("div", {}, canvas)));
    return canvas;
  }

  // The kernels of one map of a convolution, which is chosen by pointing, or by arrow keys.
  #addKernels(conv) {
    const { layer, channels, taps } = CONVS[conv], { canvas } = this.#maps[layer];
    const picture = element("canvas", { class: "kernels", role: "img" });
    const note = element("small", { "data-kernel-note": conv });
    this.#kernels.push({ note, maps: new Maps(picture, { count: taps / 25, rows: 5, columns: 5 }) });
    canvas.parentElement.append(element("div", { class: "kernel-row" }, picture, note));
    const hint = element("small");
    hint.style.whiteSpace = "normal";
    tell(hint, "point at a map, or use the arrow keys, for its kernel", "指向特征图或按方向键，可看卷积核");
    canvas.closest("li").firstChild.append(hint);
    Object.assign(canvas, { tabIndex: 0, role: "slider", ariaValueMin: 0, ariaValueMax: channels - 1 });
    tell(canvas, `Map of Conv2d (1, ${channels}, …)`, `Conv2d (1, ${channels}, …) 的特征图`, "aria-label");
    const choose = (channel) => {
      if (channel === this.#chosen[conv]) return;
      this.#chosen[conv] = channel;
      this.choose();
    };
    listen(canvas, "pointermove pointerdown", (event) => choose(this.#maps[layer].at(event)));
    listen(canvas, "keydown", (event) => {
      if (!ARROWS[event.key] || isModified(event)) return;
      event.preventDefault();
      const [down, right] = ARROWS[event.key];
      choose(clamp(this.#chosen[conv] + right - down, 0, channels - 1));
    });
  }

  // What the layers made of an image.
  show({ pixels, layers, network, params, palette }) {
    this.#input.paint(Array.from(pixels), (value) => palette.ink(value), { largest: 255 });
    const colour = (value) => palette.signed(value), { outline } = palette;
    LAYERS.forEach(([name], layer) => {
      this.#names[layer].textContent = (network === "sigmoid" && NAMES_IN_LECTURE[name]) || name;
      this.#maps[layer]?.paint(layers[layer], colour, { outline, chosen: this.#chosen[Math.floor(layer / 3)] });
    });
    const logits = layers.at(-1), largest = largestOf(logits);
    this.#logits.forEach((place, digit) => {
      place.textContent = numberText(logits[digit], Math.abs(logits[digit]) < 9.95 ? 1 : 0);
      tint(place, logits[digit], largest);
    });
    CONVS.forEach(({ layer, start, taps, biases }, conv) => {
      const channel = this.#chosen[conv], { maps, note } = this.#kernels[conv], { canvas } = this.#maps[layer];
      const kernels = params.subarray(start + channel * taps, start + (channel + 1) * taps);
      maps.paint(kernels, colour, { largest: largestOf(params.subarray(start, biases)) });
      const [least, most, bias] = [Math.min(...kernels), Math.max(...kernels), params[biases + channel]].map((value) => numberText(value));
      tell(note, `channel ${channel}: weights ${least} to ${most}, bias ${bias}`, `通道 ${channel}：权重 ${least} 到 ${most}，偏置 ${bias}`);
      canvas.ariaValueNow = channel;
      tell(canvas, `channel ${channel}`, `通道 ${channel}`, "aria-valuetext");
      tell(maps.canvas, `kernels of channel ${channel}`, `通道 ${channel} 的卷积核`, "aria-label");
    });
  }
}

const countText = (count) => Math.round(count).toLocaleString("en");
// A share as text, of about four characters.
const percentText = (share) => `${(100 * share).toFixed(share < 0.9995 ? 1 : 0)} %`;

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

// Microseconds of an inference: of eight means of 25 inferences, after two to warm up, the fifth smallest.
async function timeReading(engine, pixels, network) {
  const times = [];
  for (let round = 0; round < 10; round++) {
    times.push(engine.read(pixels, { network, times: 25 }).microseconds);
    // The page answers in between.
    await new Promise((done) => setTimeout(done));
  }
  return times.slice(2).sort((a, b) => a - b)[4];
}

chapter("lenet", async (root, engine, { name, module }) => {
  const find = (id) => root.querySelector(`#lenet-${id}`);
  // By name: { params, network }.
  const networks = {};
  let source, palette = new Palette(), frame = 0, pause = 0, sample;

  const odds = sequence(10).map((digit) => {
    const bar = span(""), share = element("td");
    const row = element("tr", { "data-digit": digit }, element("th", { scope: "row" }, digit), element("td", {}, element("div", {}, bar)), share);
    find("odds").append(row);
    return { row, bar, share };
  });
  const rows = new LayerRows(find("layers"), readSoon);
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
    if (!source) return tell(find("words"), "Train a network below, or load one.", "请在下面训练或载入一个网络。");
    const { pixels, isBlank } = pad, { params, network } = networks[source];
    const { digit, layers } = engine.read(pixels, { network });
    rows.show({ pixels, layers, network, params, palette });
    const chances = isBlank ? Array(10).fill(0) : softmax(layers.at(-1));
    odds.forEach(({ row, bar, share }, i) => {
      bar.style.width = `${(100 * chances[i]).toFixed(1)}%`;
      share.textContent = percentText(chances[i]);
      row.classList.toggle("best", !isBlank && i === digit);
    });
    const isSure = chances[digit] >= SURE, percent = percentText(chances[digit]);
    Object.assign(find("verdict").dataset, { digit: isBlank ? "" : digit, sure: isSure });
    find("digit").textContent = isBlank ? "–" : digit;
    const words = isSure ? [percent, percent] : [`unsure: ${percent}`, `不确定：${percent}`];
    tell(find("words"), ...(isBlank ? ["Draw a digit.", "写一个数字。"] : words));
    const isSample = sample && pad.image === sample.pixels;
    tell(find("sample"), isSample ? `test digit ${sample.index}, labelled ${sample.label}` : "", isSample ? `测试集第 ${sample.index} 个，标签 ${sample.label}` : "");
  }

  // When the pen rests: the time, and words for screen readers.
  function settle() {
    clearTimeout(pause);
    if (!source) return;
    pause = setTimeout(() => {
      const { microseconds } = engine.read(pad.pixels, { network: networks[source].network, times: 40 });
      const time = microseconds.toFixed(0);
      find("time").dataset.microseconds = microseconds;
      tell(find("time"), `${time} µs per image, ${name}`, `每幅图像 ${time} 微秒（${name}）`);
      const { digit } = find("verdict").dataset;
      find("said").textContent = digit && `${digit}, ${find("words").textContent}`;
    }, 250);
  }

  function choose(wanted) {
    source = wanted;
    find("network").value = wanted;
    engine.params = networks[source].params;
    readSoon();
    settle();
  }

  listen(find("undo"), "click", () => pad.undo());
  listen(find("clear"), "click", () => pad.clear());
  find("samples").prepend(...sequence(10).map((digit) => element("button", { type: "button", "data-sample": digit }, digit)));
  let next = 0;
  listen(find("samples"), "click", async ({ target }) => {
    const wanted = target.closest("button")?.dataset.sample;
    if (!wanted) return;
    const query = wanted === "any" ? { from: Math.floor(Math.random() * TESTED) } : { label: Number(wanted), from: next };
    try {
      sample = await (await Training.load(module)).digit(query);
      next = sample.index + 1;
      pad.showImage(sample.pixels);
    } catch (error) {
      tellError(find("sample"), error);
    }
  });
  listen(find("network"), "change", ({ target }) => choose(target.value));
  // A network that can read, and whether it shall do so, or even be drawn for.
  function take({ detail: { name, network, isChosen, isWanted } }) {
    networks[name] = network;
    find("network").querySelector(`[value="${name}"]`).disabled = false;
    if (isChosen || !source || source === name) choose(name);
    if (isWanted) find("pad").focus();
  }
  listen(document, "networktrained", take);

  let other;
  listen(find("compare"), "click", async ({ currentTarget: button }) => {
    const result = find("comparison");
    if (!source || button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try {
      const otherName = name === "simd128" ? "scalar" : "simd128", { params, network } = networks[source];
      other ??= new Engine(await compileEngine(otherName));
      other.params = params;
      const times = { [otherName]: await timeReading(other, pad.pixels, network), [name]: await timeReading(engine, pad.pixels, network) };
      const ratio = times.scalar / times.simd128;
      Object.assign(result.dataset, times, { ratio });
      const [simd128, scalar] = [times.simd128, times.scalar].map((time) => time.toFixed(0));
      tell(result, `simd128 ${simd128} µs, scalar ${scalar} µs: ${ratio.toFixed(1)} times as fast.`, `simd128 ${simd128} 微秒，scalar ${scalar} 微秒：速度是后者的 ${ratio.toFixed(1)} 倍。`);
    } catch (error) {
      tellError(result, error);
    }
    button.ariaDisabled = "false";
  });

  tell(find("odds").parentElement, "Probabilities", "概率", "aria-label");
  tell(find("pad"), "Drawing pad", "手写板", "aria-label");
  whenColoursChange(() => {
    palette = new Palette();
    pad.draw();
    readSoon();
  });
  find("network").replaceChildren();
  for (const [value, ...texts] of [
    ["shipped", "shipped with the page: ReLU", "随页面附带的：ReLU"], ["trained", "trained below", "在下面训练的"], ["loaded", "loaded from a file", "从文件载入的"],
  ]) {
    tell(find("network").appendChild(element("option", { value, disabled: "" })), ...texts);
  }
  try {
    take({ detail: { name: "shipped", network: { params: await loadWeights(), network: "relu" } } });
  } catch (error) {
    sayFailure(root, error, ["The network of the page is not there: ", "缺少随页面附带的网络："]);
  }
  pad.showStrokes(EXAMPLE);
});
