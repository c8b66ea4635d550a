// Draws 200 of MNIST's test digits on the page's pad, by the mouse, and counts those that the page's network recognises.
//
//   node digits.mjs [PAGE] [COUNT]   fails below 97 %; prints the time per inference with and without simd128
//
// A digit is thinned to a skeleton, which is traced as a pen would: what the network gets is the pad's own picture, not MNIST's.

import assert from "node:assert/strict";
import { INDEX, Page, Report, withBrowser } from "./driver.mjs";
import { strokesOf, testDigits } from "./strokes.mjs";

const LEAST = 0.97;
// Of the points of a stroke, every so many are events of the mouse.
const EVERY = 6;
const [file = INDEX, count = 200] = process.argv.slice(2);

// Draws a digit and returns what the page says: { digit, sure }.
async function drawn(page, pad, pixels) {
  await page.key("Delete");
  for (const stroke of strokesOf(pixels)) {
    const points = stroke.filter((_, i) => i % EVERY === 0 || i === stroke.length - 1);
    const places = points.map(([x, y]) => ({ x: pad.x + x * pad.width, y: pad.y + y * pad.height }));
    // The events are sent together, and answered in order.
    const events = [page.mouse("mousePressed", places[0], true), ...places.slice(1).map((place) => page.mouse("mouseMoved", place, true))];
    await Promise.all([...events, page.mouse("mouseReleased", places.at(-1))]);
  }
  return page.run(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
    done({ ...document.querySelector("#lenet-verdict").dataset })))));
}

async function recognised(page) {
  const { pixels, labels } = testDigits();
  await page.click("#lenet-clear");
  await page.click("#lenet-pad");
  const pad = await page.run(() => document.querySelector("#lenet-pad").getBoundingClientRect().toJSON());
  const wrong = [];
  let right = 0, unsure = 0;
  for (let i = 0; i < count; i++) {
    const { digit, sure } = await drawn(page, pad, pixels.subarray(784 * i, 784 * (i + 1)));
    right += Number(Number(digit) === labels[i] && digit !== "");
    unsure += Number(sure !== "true");
    if (Number(digit) !== labels[i]) wrong.push(`${i}: ${labels[i]} as ${digit}`);
  }
  const said = `${right} of ${count} drawn digits, ${((100 * right) / count).toFixed(1)} %; ${unsure} unsure; ${wrong.join(", ")}`;
  assert.ok(right / count >= LEAST, said);
  return said;
}

// The median microseconds of an inference that the page measures.
async function time(page) {
  await page.click("#lenet-compare");
  return page.until(() => {
    const { simd128, scalar, ratio } = document.querySelector("#lenet-comparison").dataset;
    return ratio && { simd128: Number(simd128), scalar: Number(scalar) };
  });
}

await withBrowser(600, async (browser) => {
  const report = new Report();
  for (const engine of ["simd128", "scalar"]) {
    const page = await Page.open(browser, file, { query: engine === "scalar" ? "language=en&engine=scalar" : "language=en" });
    await report.check(`${engine} is used`, [page], async () => assert.match(await page.text("footer"), new RegExp(engine)));
    if (engine === "simd128") {
      await report.check("drawn", [page], async () => {
        const started = Date.now(), said = await recognised(page);
        return `${said}; ${((Date.now() - started) / 1000).toFixed(0)} s`;
      });
      await report.check("time", [page], async () => {
        const { simd128, scalar } = await time(page);
        assert.ok(simd128 < scalar, `simd128 ${simd128}, scalar ${scalar}`);
        return `an inference takes ${simd128.toFixed(0)} µs with simd128, ${scalar.toFixed(0)} µs scalar: ${(scalar / simd128).toFixed(1)} times as fast`;
      });
    } else {
      await report.check("scalar reads", [page], async () => {
        await page.until(() => document.querySelector("#lenet-verdict").dataset.digit === "3");
        const text = await page.until(() => document.querySelector("#lenet-time").dataset.microseconds);
        return `${Number(text).toFixed(0)} µs for the example`;
      });
    }
    await page.close();
  }
  report.end();
});
