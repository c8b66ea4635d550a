// Operates every chapter of the page in a headless Chromium without a network, and checks what it shows.
//
//   node page.mjs [PAGE] [OUT_DIR]   PAGE is web/index.html unless given; pictures of it go to OUT_DIR
//   node page.mjs --self-test [PAGE] fails unless the page, broken in one way after another, fails for each reason
//
// A group of checks fails on what it finds wrong, on any message in the console, and on any request but for the page's own files.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as appearance from "./appearance.mjs";
import * as firstChapters from "./chapters1to5.mjs";
import * as nextChapters from "./chapters6to9.mjs";
import { DESKTOP, INDEX, PHONE, Page, Report, withBrowser } from "./driver.mjs";
import * as lastChapters from "./reading.mjs";

const ON_DESKTOP = { ...firstChapters, ...nextChapters, ...lastChapters, ...appearance };
const { touch, touchPad } = ON_DESKTOP;
const CHAPTERS = ["correlation", "flip", "dense", "effects", "learn", "padding", "channels", "pooling", "im2col", "reading"];
const OTHERS = ["samples", "training", "languages", "tabOrder", "accessibility", "contrast", "stillness", "screens"];

async function test(browser, file, scratch, folder) {
  const report = new Report();
  const page = await Page.open(browser, file, { screen: DESKTOP, query: "language=en" });
  await report.check("opens", [page], async () => page.run(() => document.title));
  for (const group of [...CHAPTERS, ...OTHERS]) {
    await report.check(group, [page], () => ON_DESKTOP[group](page, group === "screens" ? folder : scratch));
  }
  await page.close();
  const chinese = await Page.open(browser, file, { screen: DESKTOP, locale: "zh-CN" });
  await report.check("opens for who prefers Chinese", [chinese], async () => {
    assert.equal(await chinese.run(() => document.documentElement.lang), "zh-Hans");
    return chinese.run(() => document.title);
  });
  for (const group of CHAPTERS) await report.check(`${group}, in Chinese`, [chinese], () => ON_DESKTOP[group](chinese, scratch));
  await chinese.close();
  const phone = await Page.open(browser, file, { screen: PHONE, query: "language=zh" });
  await report.check("touch", [phone], () => touch(phone));
  await report.check("touch on the pad", [phone], () => touchPad(phone));
  await phone.close();
  report.end();
}

// What is broken, the group that must fail, what it must say, and how the page is broken before its own scripts run.
const BROKEN = [
  ["a sum", "correlation", /19/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { conv2d } = Engine.prototype;
      Engine.prototype.conv2d = function (...operands) {
        const result = conv2d.apply(this, operands);
        result.values[0] += 1;
        return result;
      };
    });
  }],
  ["one of 625 weights", "dense", /strictly deep-equal/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { denseMatrix } = Engine.prototype;
      Engine.prototype.denseMatrix = function (...operands) {
        const result = denseMatrix.apply(this, operands);
        result.values[624] += 1;
        return result;
      };
    });
  }],
  ["the mean", "pooling", /1 4 3 3 1 1 2 2|for/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { pool2d } = Engine.prototype;
      Engine.prototype.pool2d = function (pool, input) {
        return pool2d.call(this, { ...pool, average: false }, input);
      };
    });
  }],
  ["the gradient", "learn", /the kernel/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { conv2dBackwardWeight } = Engine.prototype;
      Engine.prototype.conv2dBackwardWeight = function (...operands) {
        return conv2dBackwardWeight.apply(this, operands).map((value) => 0.9 * value);
      };
    });
  }],
  ["the border", "effects", /pixel \d+: /, () => {
    addEventListener("DOMContentLoaded", () => {
      const { conv2d } = Engine.prototype;
      Engine.prototype.conv2d = function (conv, ...operands) {
        return conv2d.call(this, { ...conv, mode: "zeros" }, ...operands);
      };
    });
  }],
  ["a fully connected layer", "channels", /strictly deep-equal/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { linear } = Engine.prototype;
      Engine.prototype.linear = function (...operands) {
        return linear.apply(this, operands).toReversed();
      };
    });
  }],
  ["a patch", "im2col", /strictly deep-equal/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { im2col } = Engine.prototype;
      Engine.prototype.im2col = function (conv, input) {
        return im2col.call(this, conv, input.with(5, 0));
      };
    });
  }],
  ["a weight of LeNet", "samples", /logits|map/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { set } = Object.getOwnPropertyDescriptor(Engine.prototype, "params");
      Object.defineProperty(Engine.prototype, "params", { set(values) { set.call(this, values.with(61_700, 1)); } });
    });
  }],
  ["the arrow keys of windows", "flip", /37|25/, () => {
    addEventListener("keydown", (event) => event.target.classList?.contains("frame") && event.stopImmediatePropagation(), true);
  }],
  ["dragging", "padding", /0,0/, () => addEventListener("pointermove", (event) => event.stopImmediatePropagation(), true)],
  ["the pen", "reading", /pictures change|strictly deep-equal/, () => addEventListener("pointermove", (event) => event.stopImmediatePropagation(), true)],
  ["the seed", "training", /the same seed/, () => {
    addEventListener("DOMContentLoaded", () => {
      const { start } = Training.prototype;
      let starts = 0;
      Training.prototype.start = function (options, rate) {
        start.call(this, { ...options, seed: starts++ }, rate);
      };
    });
  }],
  ["fingers, which scroll", "touch", /'\d,\d' !== '\d,\d'/, () => {
    addEventListener("DOMContentLoaded", () => document.head.append(Object.assign(document.createElement("style"), { textContent: "* { touch-action: auto !important }" })));
  }],
  ["a message", "opens", /console.log: hello/, () => console.log("hello")],
  ["an exception", "opens", /thrown/, () => { throw new Error("thrown"); }],
  ["a request", "opens", /request: https:\/\/example.org/, () => { fetch("https://example.org/").catch(() => {}); }],
  ["a request of a worker", "training", /request: https:\/\/example.org/, () => {
    const { Worker } = globalThis;
    globalThis.Worker = class extends Worker {
      constructor(...script) {
        super(...script);
        new Worker("data:text/javascript,fetch('https://example.org/').catch(() => {})");
      }
    };
  }],
  ["an English text", "languages", /Nobody speaks Chinese/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("#flip .words").append("Nobody speaks Chinese"));
  }],
  ["a Chinese name", "languages", /\u6309\u94ae/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("#flip button").setAttribute("aria-label", "\u6309\u94ae"));
  }],
  ["a button without a name", "accessibility", /button: <button/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("#flip .words").append(document.createElement("button")));
  }],
  ["a heading too deep", "accessibility", /headings/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("#flip .words").append(Object.assign(document.createElement("h5"), { textContent: "deep" })));
  }],
  ["the tab key", "tabOrder", /data-do="flip"/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector('[data-do="flip"]').addEventListener("focus", ({ target }) => target.nextElementSibling.focus()));
  }],
  ["a focus that is not seen", "tabOrder", /focus is not seen/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector('[data-do="flip"]').style.setProperty("outline", "none", "important"));
  }],
  ["a faint text", "contrast", /live": 1\.\d\d/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("h1").style.setProperty("color", "#bbb"));
  }],
  ["a movement", "stillness", /at rest/, () => {
    addEventListener("DOMContentLoaded", () => document.querySelector("h1").animate([{ opacity: 1 }, { opacity: 0.5 }], { duration: 1000, iterations: Infinity }));
  }],
  ["a wide element", "screens", /wider than the screen/, () => {
    addEventListener("DOMContentLoaded", () => (document.querySelector("#flip .words").style.width = "500px"));
  }],
];

async function selfTest(browser, file, folder) {
  let failures = 0;
  for (const [name, group, reason, breakIt] of BROKEN) {
    const page = await Page.open(browser, file, { screen: group === "touch" ? PHONE : DESKTOP, query: "language=en", before: breakIt });
    const report = new Report(true);
    if (group === "opens") await report.check(group, [page], () => {});
    else {
      page.complaints();
      await report.check(group, [page], () => ON_DESKTOP[group](page, folder));
    }
    await page.close();
    const isRight = report.failed.length === 1 && reason.test(report.reasons[0]);
    console.log(`${isRight ? "ok  " : "FAILED  "}broken: ${name}: ${group} ${report.failed.length ? "fails" : "passes"}`);
    if (!isRight) console.log(report.reasons.join("\n"));
    failures += isRight ? 0 : 1;
  }
  console.log(`${BROKEN.length - failures} passed, ${failures} failed`);
  process.exitCode = failures ? 1 : 0;
}

const [first, second] = process.argv.slice(2);
const scratch = await mkdtemp(join(tmpdir(), "page-"));
await withBrowser(600, async (browser) => {
  if (first === "--self-test") return selfTest(browser, second ?? INDEX, scratch);
  if (second) await mkdir(second, { recursive: true });
  return test(browser, first ?? INDEX, scratch, second ?? scratch);
});
await rm(scratch, { recursive: true });
