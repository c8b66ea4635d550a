// The last two chapters: LeNet reads what is drawn, and a network learns. Each function returns what it saw, as text.

import assert from "node:assert/strict";
import { lenet, sequence } from "./expected.mjs";
import { equal, nearly } from "./places.mjs";

const SHAPES = [
  [1, 1, 28, 28], [1, 6, 28, 28], [1, 6, 28, 28], [1, 6, 14, 14], [1, 16, 10, 10], [1, 16, 10, 10], [1, 16, 5, 5], [1, 400], [1, 120], [1, 120],
  [1, 84], [1, 84], [1, 10],
];
const PAD = "#lenet-pad";
const verdict = (page) => page.attribute("#lenet-verdict", "data-digit");

// A line through points of the pad, in shares of its width and height.
export async function draw(page, points, isTouch = false) {
  const places = [];
  for (const [x, y] of points) places.push(await page.place(PAD, x, y));
  await page.stroke(places, isTouch);
  await page.painted();
}

const line = (from, to, count = 8) => sequence(count + 1).map((i) => from.map((value, axis) => value + ((to[axis] - value) * i) / count));
const SEVEN = [...line([0.28, 0.22], [0.72, 0.22]), ...line([0.72, 0.22], [0.42, 0.82])];
const ONE = line([0.55, 0.15], [0.47, 0.85]);

// A number for each canvas of the layers: another one when another map is painted.
const paintings = (page) => page.run(() => [...document.querySelectorAll("#lenet-layers canvas.maps")].map((canvas) => {
  let sum = 0;
  for (const letter of canvas.toDataURL()) sum = (sum * 31 + letter.charCodeAt(0)) % 1000003;
  return sum;
}));

export async function reading(page) {
  const shapes = (await page.texts("#lenet-layers .layer-name")).map((text) => /\([\d, ]+\)/.exec(text)[0]);
  equal(shapes, SHAPES.map((shape) => `(${shape.join(", ")})`));
  const params = (await page.texts("#lenet-layers small")).flatMap((text) => (/^([\d,]+) (?:parameters|个参数)$/.exec(text) ?? []).slice(1));
  equal(params.reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0), 61_706, "the parameters of the layers");
  equal(await verdict(page), "3", "the example");

  // By mouse: every map follows the pen before it is lifted.
  const before = await paintings(page);
  await page.click("#lenet-clear");
  await page.painted();
  equal(await verdict(page), "");
  const first = await page.place(PAD, ...ONE[0]);
  await page.mouse("mousePressed", first, true);
  for (const point of ONE.slice(1)) await page.mouse("mouseMoved", await page.place(PAD, ...point), true);
  await page.painted();
  const meanwhile = await paintings(page);
  assert.ok(before.length === 12 && meanwhile.every((sum, i) => sum !== before[i]), "the pen moves, and all twelve pictures change");
  await page.mouse("mouseReleased", first);
  equal(await verdict(page), "1");
  await page.click("#lenet-clear");
  await draw(page, SEVEN);
  equal(await verdict(page), "7");
  const shares = await page.run(() => [...document.querySelectorAll("#lenet-odds tr")].map((row) => parseFloat(row.lastChild.textContent)));
  nearly([shares.reduce((a, b) => a + b)], [100], 0.6, "ten probabilities");

  // By keyboard: the pen is in the middle; space puts it down.
  await page.tabTo("#lenet-clear");
  await page.key("Enter");
  await page.tabTo(PAD);
  await page.key("ArrowUp", { times: 8 });
  await page.key(" ");
  await page.key("ArrowDown", { times: 16 });
  await page.key(" ");
  await page.painted();
  equal(await verdict(page), "1");
  await page.key("Backspace");
  await page.painted();
  equal(await verdict(page), "", "Backspace undoes");
  await draw(page, SEVEN);
  await draw(page, line([0.4, 0.5], [0.66, 0.5]));
  await page.click("#lenet-undo");
  await page.painted();
  equal(await verdict(page), "7", "without the second stroke");
  await page.tabTo(PAD);
  await page.key("Delete");
  await page.painted();
  equal(await verdict(page), "");

  // A map is chosen by pointing and by arrow keys; its kernel's numbers are those of the weights.
  const weights = await page.run(async () => [...(await loadWeights())]);
  const says = async (conv, channel, kernel, bias) => {
    const numbers = (await page.text(`[data-kernel-note="${conv}"]`)).replaceAll("−", "-").match(/-?\d+(\.\d+)?/g).map(Number);
    nearly(numbers, [channel, Math.min(...kernel), Math.max(...kernel), bias], 0.0051, "the kernel");
  };
  await page.hover('[data-layer="0"]', 0.58, 0.5);
  await says(0, 3, weights.slice(75, 100), weights[153]);
  await page.tabTo('[data-layer="3"]');
  await page.keys("ArrowRight", "ArrowRight");
  await page.painted();
  await says(1, 2, weights.slice(456, 606), weights[2558]);
  await page.click("#lenet-compare");
  const ratio = await page.until(() => document.querySelector("#lenet-comparison").dataset.ratio);
  assert.ok(ratio > 1, `simd128 is ${ratio} times as fast as scalar`);
  return `mouse, keyboard: 1, 7; twelve layers, 61,706 parameters; simd128 ${Number(ratio).toFixed(1)} times as fast`;
}

// The colours of the maps of a convolution, [red - blue] a value.
const tints = (page, layer, [, count, rows, columns], pitch) => page.run((which, maps, height, width, apart) => {
  const canvas = document.querySelector(`canvas[data-layer="${which}"]`);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const values = [];
  for (let map = 0; map < maps; map++) for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const at = 4 * ((1 + y) * canvas.width + 1 + map * apart + Math.floor((apart - width) / 2) + x);
    values.push(data[at] - data[at + 2]);
  }
  return values;
}, layer, count, rows, columns, pitch);

// Test digits, whose maps and logits are computed here as well.
export async function samples(page) {
  const params = await page.run(async () => [...(await loadWeights())]);
  let right = 0, largestError = 0;
  for (const digit of sequence(10)) {
    await page.tabTo(`#lenet-samples [data-sample="${digit}"]`);
    await page.key("Enter");
    await page.until((label) => document.querySelector("#lenet-sample").textContent.endsWith(label), `${digit}`);
    right += Number((await verdict(page)) === `${digit}`);
    if (digit > 1) continue;
    const index = Number(/\d+/.exec(await page.text("#lenet-sample"))[0]);
    const pixels = await page.run(async (from) => {
      const { module } = await loadModule();
      return [...(await (await Training.load(module)).digit({ from })).pixels];
    }, index);
    const { first, second, logits } = lenet(pixels, params);
    const shown = await page.numbers("[data-logit]");
    nearly(shown, logits, 0.051, `logits of test digit ${index}`);
    largestError = Math.max(largestError, ...shown.map((value, i) => Math.abs(value - logits[i])));
    for (const [layer, values, pitch] of [[0, first, 29], [3, second, 11]]) {
      const colours = await tints(page, layer, SHAPES[layer + 1], pitch), most = Math.max(...values.map(Math.abs));
      // Blue is positive, orange negative.
      values.forEach((value, i) => Math.abs(value) > 0.2 * most && equal(colours[i] > 0, value < 0, `map of layer ${layer}, value ${i}`));
    }
  }
  assert.ok(right >= 9, `${right} of ten are read right`);
  await page.click('[data-sample="any"]');
  await page.until(() => /\d/.test(document.querySelector("#lenet-sample").textContent));
  return `keyboard: ${right} of 10 digits right; maps and logits as computed here`;
}

const state = (page, wanted) => page.until((one) => document.querySelector("#train-run").dataset.state === one, wanted);
const steps = async (page) => Number(await page.attribute("#train-steps", "data-steps"));

// Trains shortly; the rest is in training.mjs.
export async function training(page) {
  await page.tabTo("#train-digits");
  await page.key("Home");
  await page.tabTo("#train-epochs");
  await page.keys("2", "Enter");
  assert.match(await page.text("#train-command"), /--epochs 2 --seed 1$/);
  await page.tabTo("#train-step");
  await page.key("Enter");
  await page.until(() => document.querySelector("#train-steps").dataset.steps === "1");
  await page.tabTo("#train-run");
  await page.key("Enter");
  await state(page, "finished");
  // 2,000 digits in batches of 32, twice.
  equal(await steps(page), 126);
  const accuracy = Number(await page.attribute("#train-tested", "data-accuracy"));
  assert.ok(accuracy > 0.8, `accuracy ${accuracy}`);
  const lines = await page.run(() => [...document.querySelectorAll("#train-loss path.line, #train-accuracy path.line")].filter((path) => path.closest("figure svg.chart"))
    .map((path) => path.getAttribute("d").split("L").length));
  assert.ok(lines.length === 4 && lines.every((points) => points >= 2), `four curves: ${lines}`);
  const digest = await page.attribute("#train-digest", "data-digest");

  // The slider while it learns; then from the beginning.
  await page.click("#train-run");
  await page.tabTo("#train-rate");
  const rate = await page.text("#train-command");
  await page.keys("ArrowLeft");
  await page.click("#train-reset");
  await state(page, "ready");
  assert.notEqual(await page.text("#train-command"), rate);
  await page.tabTo("#train-rate");
  await page.keys("ArrowRight");
  await page.tabTo("#train-run");
  await page.key("Enter");
  await state(page, "finished");
  equal(await page.attribute("#train-digest", "data-digest"), digest, "the same seed has the same weights");

  // What was trained reads what is drawn.
  await page.tabTo("#train-draw");
  await page.key("Enter");
  await page.until(() => document.activeElement.id === "lenet-pad");
  equal(await page.run(() => document.querySelector("#lenet-network").value), "trained");
  await page.key("Delete");
  await page.still();
  await draw(page, ONE);
  equal(await verdict(page), "1");
  return `step, run, rate, reset, keyboard: 126 steps, test accuracy ${(100 * accuracy).toFixed(1)} %, digest ${digest} twice`;
}

export async function touchPad(page) {
  await page.tap("#lenet-clear");
  await draw(page, SEVEN, true);
  equal(await verdict(page), "7");
  const scrolled = await page.run(() => scrollY);
  await draw(page, ONE, true);
  equal(await page.run(() => scrollY), scrolled, "the page stays where it is");
  await page.tap("#lenet-undo");
  await page.painted();
  equal(await verdict(page), "7");
  return "7, and undone";
}
