// Chapters 1 to 5 of the page, operated by mouse, typing and keyboard. Each function returns what it saw, as text.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { correlate, descend, effect, sequence, times } from "./expected.mjs";
import { at, button, cell, equal, formula, input, nearly, frame } from "./places.mjs";

export async function correlation(page) {
  const output = () => page.grid("correlation", "output");
  const start = [19, 25, 37, 43];
  equal(await output(), start);
  equal(await formula(page, "correlation"), { terms: [[0, 0], [1, 1], [3, 2], [4, 3]], result: 19 });
  await page.drag(cell("correlation", "image", 0, 0), cell("correlation", "image", 1, 1));
  equal(await at(page, "correlation", "image"), "1,1");
  equal(await formula(page, "correlation"), { terms: [[4, 0], [5, 1], [7, 2], [8, 3]], result: 43 });

  await page.write("correlation", "image", 1, 1, "-2.5");
  await page.write("correlation", "kernel", 0, 0, "7");
  await page.write("correlation", "bias", 0, 0, "1/2");
  const x = [0, 1, 2, 3, -2.5, 5, 6, 7, 8], w = [7, 1, 2, 3];
  const edited = correlate({ x, w, size: [3, 3], kernel: [2, 2] }).map((value) => value + 0.5);
  equal(await output(), edited);
  equal((await formula(page, "correlation")).result, edited[3]);
  // What is no number changes nothing, and goes away again.
  await page.write("correlation", "image", 0, 0, "-");
  equal(await page.attribute(`${cell("correlation", "image", 0, 0)} input`, "aria-invalid"), "true");
  equal(await output(), edited);
  await page.key("Escape");
  equal(await page.grid("correlation", "image"), x);

  await page.tabTo('#correlation [data-do="reset"]');
  await page.key("Enter");
  equal(await output(), start);
  await page.tabTo(frame("correlation", "image"));
  await page.keys("ArrowRight", "ArrowRight", "ArrowDown");
  equal(await at(page, "correlation", "image"), "1,1");
  await page.tabTo(`${cell("correlation", "kernel", 0, 0)} input`);
  await page.keys("ArrowDown", "ArrowRight", "9", "Enter");
  equal(await page.grid("correlation", "kernel"), [0, 1, 2, 9]);
  equal(await output(), correlate({ x: sequence(9), w: [0, 1, 2, 9], size: [3, 3], kernel: [2, 2] }));
  await page.tabTo(input("correlation", "image"));
  await page.keys("ArrowRight", "ArrowRight");
  await page.tabTo(input("correlation", "kernel"));
  await page.key("ArrowRight");
  equal(await output(), correlate({ x: sequence(25), w: sequence(9), size: [5, 5], kernel: [3, 3] }));
  await page.slide(input("correlation", "image"), 6);
  equal(await output(), correlate({ x: sequence(36), w: sequence(9), size: [6, 6], kernel: [3, 3] }));
  await page.click('#correlation [data-do="reset"]');
  equal(await output(), start);
  return `drag, typing, keyboard: ${start.join(" ")}`;
}

export async function flip(page) {
  const both = async () => [await page.grid("flip", "correlation"), await page.grid("flip", "convolution")];
  const start = [[19, 25, 37, 43], [5, 11, 23, 29]];
  equal(await both(), start);
  await page.drag(cell("flip", "image", 0, 0), cell("flip", "image", 1, 0));
  equal([(await formula(page, "flip", 0)).result, (await formula(page, "flip", 1)).result], [37, 23]);
  await page.click('#flip [data-do="flip"]');
  equal(await both(), start.toReversed());
  equal(await page.grid("flip", "kernel"), [3, 2, 1, 0]);

  await page.write("flip", "kernel", 0, 1, "-4");
  await page.write("flip", "image", 2, 2, "10");
  const x = [...sequence(8), 10], under = (w) => correlate({ x, w, size: [3, 3], kernel: [2, 2] });
  equal(await both(), [under([3, -4, 1, 0]), under([0, 1, -4, 3])]);

  await page.tabTo('#flip [data-do="reset"]');
  await page.key(" ");
  await page.tabTo(frame("flip", "image"));
  await page.key("ArrowRight");
  equal([(await formula(page, "flip", 0)).result, (await formula(page, "flip", 1)).result], [25, 11]);
  await page.tabTo('#flip [data-do="flip"]');
  await page.keys("Enter", "Enter");
  equal(await both(), start);
  return `drag, typing, keyboard: ${start.map((values) => values.join(" ")).join(", flipped ")}`;
}

export async function dense(page) {
  const outputs = () => page.grid("dense", "output");
  const matrix = async () => (await page.grid("dense", "matrix")).map((value) => value ?? 0);
  const counts = await page.texts("#dense [data-steps] b");
  equal(counts, ["625", "81", "9"]);
  const size = [5, 5];
  let image = await page.grid("dense", "image");
  equal(await outputs(), times(await matrix(), image), "each output is its row times the pixels");
  equal((await matrix()).filter((weight) => weight !== 0).length, 625);

  // The last step's kernel is 1 to 9; a column of the matrix is what it makes of a single 1.
  await page.click(button("dense", "steps", 2));
  const near = { w: sequence(9, 1), size, kernel: [3, 3], padding: [1, 1] };
  const columns = sequence(25).map((i) => correlate({ ...near, x: sequence(25).map((j) => Number(i === j)) }));
  equal(await matrix(), sequence(625).map((i) => columns[i % 25][Math.floor(i / 25)]));
  equal(await outputs(), correlate({ ...near, x: image }));
  await page.hover(cell("dense", "matrix", 12, 12));
  equal(await page.attribute("#dense [data-shared]", "data-shared"), "25", "the middle weight stands in 25 places");
  await page.still();
  const colours = await page.run(() => [...document.querySelectorAll('#dense [data-cell="matrix"]')].filter((one) => one.textContent)
    .map((one) => `${one.textContent} ${getComputedStyle(one).backgroundColor}`));
  equal(new Set(colours).size, 9, "shared weights have one colour");

  await page.write("dense", "image", 2, 2, "-3");
  image = image.with(12, -3);
  equal(await outputs(), correlate({ ...near, x: image }));

  await page.tabTo(button("dense", "steps", 1));
  await page.key("Enter");
  equal(await outputs(), times(await matrix(), image));
  assert.match(await page.text("#dense [data-note]"), /25\D+25\D/);
  const shared = await matrix();
  sequence(24 * 25).filter((i) => (i % 25) % 5 < 4 && Math.floor(i / 25) % 5 < 4).forEach((i) => equal(shared[i], shared[i + 26], `${i}`));
  await page.tabTo('#dense [data-cell="matrix"][tabindex="0"]');
  await page.keys("ArrowDown", "ArrowRight");
  equal(await page.run(() => { const { row, column } = document.activeElement.dataset; return [row, column]; }), ["13", "13"]);
  assert.ok(Number(await page.attribute("#dense [data-shared]", "data-shared")) > 0);
  return `pointing, typing, keyboard: ${counts.join(" ")} weights, matrix and convolution equal`;
}

// The planes of a canvas: [red, green, blue].
const planes = async (page, index) => {
  const [width, height, text] = await page.run((which) => {
    const canvas = document.querySelectorAll("#effects canvas")[which];
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    let bytes = "";
    for (let i = 0; i < data.length; i += 4096) bytes += String.fromCharCode(...data.subarray(i, i + 4096));
    return [canvas.width, canvas.height, btoa(bytes)];
  }, index);
  const bytes = Buffer.from(text, "base64");
  return { width, height, colours: [0, 1, 2].map((colour) => sequence(width * height).map((i) => bytes[4 * i + colour])) };
};

export async function effects(page, scratch) {
  const KERNELS = {
    identity: [0, 0, 0, 0, 1, 0, 0, 0, 0], blur: Array(9).fill(1 / 9), sharpen: [0, -1, 0, -1, 5, -1, 0, -1, 0],
    edges: [-1, -1, -1, -1, 8, -1, -1, -1, -1], "sobel-x": [-1, 0, 1, -2, 0, 2, -1, 0, 1],
  };
  const { width, height, colours } = await planes(page, 0);
  const shows = async (kernel) => {
    nearly(await page.grid("effects", "kernel"), kernel, 1e-9, "the kernel");
    const after = await planes(page, 1);
    // A value may be rounded from the other side of a half.
    after.colours.forEach((plane, colour) => {
      const expected = effect(colours[colour], width, height, kernel);
      const wrong = plane.findIndex((value, i) => Math.abs(value - expected[i]) > 1);
      equal(wrong, -1, `pixel ${wrong}: ${plane[wrong]} for ${expected[wrong]}`);
    });
  };
  await shows(KERNELS.edges);
  for (const name of ["identity", "blur", "sharpen"]) {
    await page.click(button("effects", "effects", name));
    await shows(KERNELS[name]);
  }
  await page.write("effects", "kernel", 0, 0, "-1/9");
  await shows(KERNELS.sharpen.with(0, -1 / 9));
  await page.tabTo(button("effects", "effects", "sobel-x"));
  await page.key("Enter");
  await shows(KERNELS["sobel-x"]);

  // A picture of the reader's, chosen and dropped, and what is none.
  await writeFile(`${scratch}/picture.png`, await page.picture({ x: 0, y: 0, width: 60, height: 40 }));
  await page.choose("#effects input[type=file]", `${scratch}/picture.png`);
  await page.until(() => document.querySelector("#effects canvas").width === 60);
  await writeFile(`${scratch}/none.png`, "no picture");
  await page.choose("#effects input[type=file]", `${scratch}/none.png`);
  await page.until(() => document.querySelector("#effects").textContent.includes("none.png"));
  await page.tabTo('#effects [data-do="built-in"]');
  await page.key("Enter");
  equal((await planes(page, 0)).colours, colours);
  const place = await page.place("#effects canvas"), data = { items: [], files: [`${scratch}/picture.png`], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await page.send("Input.dispatchDragEvent", { type, ...place, data });
  await page.until(() => document.querySelector("#effects canvas").width === 60);
  await page.click('#effects [data-do="built-in"]');
  return `drop, typing, keyboard, files: ${3 * width * height} values each equal under six kernels`;
}

export async function learn(page) {
  const kernel = () => page.grid("learn", "kernel");
  // The words, the kernel and the curve are those of so many steps.
  const follows = async (history) => {
    const { loss, kernel: wanted } = history.at(-1);
    const [count, a, b, error] = (await page.text("#learn [data-state]")).replaceAll("−", "-").match(/-?\d+(\.\d+)?(e-?\d+)?/g).map(Number);
    equal(count, history.length - 1);
    nearly([a, b], wanted, 0.0051, "the kernel in words");
    nearly(await kernel(), wanted, 0.0051, "the kernel");
    nearly([error], [loss], Math.max(6e-5, loss * 0.06), "the error");
    const points = (await page.attribute("#learn .curve", "d")).slice(1).split("L").map((point) => point.split(" ").map(Number));
    equal(points.length, history.length);
    const logs = history.map((entry) => Math.log10(entry.loss)), [first, last] = [points[0][1], points.at(-1)[1]];
    const share = (value, from, to) => (value - from) / (to - from);
    nearly(points.map(([, y]) => share(y, first, last)), logs.map((log) => share(log, logs[0], logs.at(-1))), 0.01, "the curve");
  };
  equal(await page.grid("learn", "target"), sequence(6).flatMap(() => [0, 1, 0, 0, 0, -1, 0]));
  const start = await kernel(), history = descend(start, 0.03, 10);
  await page.click('#learn [data-do="step"]');
  await follows(history.slice(0, 2));
  await page.tabTo('#learn [data-do="ten"]');
  await page.key("Enter");
  await follows(descend(start, 0.03, 11));
  await page.tabTo('#learn [data-do="reset"]');
  await page.key("Enter");
  equal(await kernel(), start);
  await page.click('#learn [data-do="ten"]');
  await follows(history);
  const learned = await kernel();
  nearly(learned, [1, -1], 0.03, "after ten steps");

  await page.write("learn", "kernel", 0, 0, "-1");
  await page.write("learn", "kernel", 0, 1, "2");
  await page.click('#learn [data-do="ten"]');
  await follows(descend([-1, 2], 0.03, 10));
  // Above the bound it grows.
  await page.tabTo(input("learn", "rate"));
  await page.key("End");
  await page.click('#learn [data-do="step"]');
  await page.click('#learn [data-do="ten"]');
  equal(await page.attribute("#learn [data-state]", "data-state"), "diverges");
  await page.slide(input("learn", "rate"), 0.01);
  nearly(await page.numbers(input("learn", "rate")), [0.01], 0.0005, "the rate");
  await page.click('#learn [data-do="reset"]');
  equal(await kernel(), start);
  return `drag, typing, keyboard: [${learned.join(", ")}] after ten steps, and a rate that diverges`;
}
