// Looks at pages in a headless Chromium: on a desktop and on a phone, light and dark.
//
//   node look.mjs PAGE.html OUT_DIR    saves four pictures of the whole page; fails on anything in the console, on any
//                                      request but for the page itself, and where the page is wider than the screen
//   node look.mjs --crop PAGE.html FILE.png FIRST LAST
//                                      saves some sections as a desktop shows them; 0 is the header
//   node look.mjs --self-test          fails unless bad pages fail and a good one passes
//
// Needs nothing but node and Chromium ($CHROMIUM, or chromium in $PATH), and speaks to it over a pipe.

import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const SCREENS = [
  { name: "desktop", width: 1400, height: 900, scheme: "light" },
  { name: "desktop-dark", width: 1400, height: 900, scheme: "dark" },
  { name: "phone", width: 375, height: 812, scheme: "light", mobile: true },
  { name: "phone-dark", width: 375, height: 812, scheme: "dark", mobile: true },
];
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
];
const PATIENCE_MS = 60_000;

class Browser {
  #process; #pipe; #profile; #waiting = new Map(); #listeners = new Set(); #next = 1; #text = "";

  static async start() {
    const browser = new Browser();
    browser.#profile = await mkdtemp(join(tmpdir(), "look-"));
    const flags = [...FLAGS, `--user-data-dir=${browser.#profile}`];
    browser.#process = spawn(process.env.CHROMIUM ?? "chromium", flags, {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    browser.#process.on("error", (error) => browser.#fail(error));
    browser.#process.on("exit", () => browser.#fail(new Error("the browser has ended")));
    browser.#pipe = browser.#process.stdio[3];
    // A browser that has ended is reported once, above.
    browser.#pipe.on("error", () => {});
    browser.#process.stdio[4].setEncoding("utf8").on("data", (text) => browser.#receive(text));
    return browser;
  }

  // Messages are JSON, each with a zero byte behind it.
  #receive(text) {
    const messages = (this.#text + text).split("\0");
    this.#text = messages.pop();
    for (const message of messages.map((json) => JSON.parse(json))) {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (!waiting) this.#listeners.forEach((listener) => listener(message));
      else if (message.error) waiting.reject(new Error(message.error.message));
      else waiting.resolve(message.result);
    }
  }

  #fail(error) {
    this.#waiting.forEach((waiting) => waiting.reject(error));
    this.#waiting.clear();
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    this.#pipe.write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop() {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    await this.send("Browser.close").catch(() => this.#process.kill());
    await ended;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

// What the page complains about, as text; the page itself may be requested, and data: URLs are no requests.
function complaint({ method, params }, url) {
  switch (method) {
    case "Runtime.consoleAPICalled":
      return `console.${params.type}: ${params.args.map((arg) => arg.value ?? arg.description).join(" ")}`;
    case "Runtime.exceptionThrown":
      return `exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`;
    case "Log.entryAdded":
      return `${params.entry.level}: ${params.entry.text} ${params.entry.url ?? ""}`;
    case "Network.loadingFailed":
      return `failed request: ${params.errorText}`;
    case "Network.requestWillBeSent":
      return [url, "data:"].some((start) => params.request.url.startsWith(start)) ? null : `request: ${params.request.url}`;
    default:
      return null;
  }
}

// Opens the page on a screen; returns its complaints and a picture of all of it, or of some sections.
async function look(browser, url, screen, sections = undefined) {
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => browser.send(method, params, sessionId);
  const complaints = [];
  let loaded;
  const isLoaded = new Promise((resolve) => (loaded = resolve));
  const leave = browser.listen((message) => {
    if (message.sessionId !== sessionId) return;
    if (message.method === "Page.loadEventFired") loaded();
    const text = complaint(message, url);
    if (text) complaints.push(text);
  });
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await send(`${domain}.enable`);
  const { width, height, mobile = false, scheme } = screen;
  await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: mobile ? 2 : 1, mobile });
  await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  const { errorText } = await send("Page.navigate", { url });
  if (errorText) throw new Error(`${url}: ${errorText}`);
  await isLoaded;
  const evaluate = async (expression) =>
    (await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })).result.value;
  // Two frames: everything is laid out and painted.
  await evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  const page = await evaluate(`({
    width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    mode: document.compatMode, broken: [...document.images].filter((image) => !image.naturalWidth).length,
  })`);
  if (page.width > width) complaints.push(`the page is ${page.width} pixels wide`);
  if (page.mode !== "CSS1Compat") complaints.push("the page is in quirks mode");
  if (page.broken) complaints.push(`${page.broken} images are broken`);
  const clip = sections
    ? { scale: 1, ...(await evaluate(`(${boxOf})(${sections.join()})`)) }
    : { x: 0, y: 0, width, height: page.height, scale: 1 };
  const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true, clip });
  leave();
  await browser.send("Target.closeTarget", { targetId });
  return { complaints, picture: Buffer.from(data, "base64") };
}

// In the page: where these sections are, with a margin around them.
function boxOf(first, last) {
  const boxes = [...document.querySelectorAll("header, section")].map((section) => section.getBoundingClientRect());
  const margin = 28;
  const [x, y] = [boxes[first].x - margin, boxes[first].y - margin];
  return { x, y, width: boxes[first].right + margin - x, height: boxes[last].bottom + margin - y };
}

async function crop(browser, page, file, first, last) {
  const { picture } = await look(browser, pathToFileURL(resolve(page)).href, SCREENS[0], [Number(first), Number(last)]);
  await writeFile(file, picture);
}

async function lookAt(browser, page, folder) {
  const url = pathToFileURL(resolve(page)).href;
  await mkdir(folder, { recursive: true });
  const complaints = [];
  for (const screen of SCREENS) {
    const seen = await look(browser, url, screen);
    const file = join(folder, `${screen.name}.png`);
    await writeFile(file, seen.picture);
    console.log(`${file}: ${seen.complaints.length} complaints`);
    complaints.push(...seen.complaints.map((text) => `${screen.name}: ${text}`));
  }
  return complaints;
}

// Each bad page must fail for its own reason, and the good one must not.
async function selfTest(browser) {
  const folder = await mkdtemp(join(tmpdir(), "look-self-test-"));
  const pages = {
    "good": ["<p>fine</p><img src=\"data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7\" alt=\"\">", null],
    "console error": ["<script>console.error('wrong')</script>", "console.error: wrong"],
    "console warning": ["<script>console.warn('odd')</script>", "console.warning: odd"],
    "exception": ["<script>throw new Error('thrown')</script>", "exception: Error: thrown"],
    "missing file": ["<img src=\"missing.png\" alt=\"\">", "missing.png"],
    "too wide": ["<div style=\"width: 2000px\">wide</div>", "2000 pixels wide"],
  };
  let failures = 0;
  for (const [name, [body, expected]] of Object.entries(pages)) {
    const page = join(folder, `${name}.html`);
    const style = "<style>body { margin: 0 }</style>";
    await writeFile(page, `<!DOCTYPE html><html lang="en"><title>x</title><link rel="icon" href="data:,">${style}${body}`);
    const { complaints } = await look(browser, pathToFileURL(page).href, SCREENS[0]);
    const isRight = expected ? complaints.some((text) => text.includes(expected)) : complaints.length === 0;
    console.log(`${isRight ? "ok" : "FAILED"}: ${name}: ${complaints.join("; ") || "no complaints"}`);
    failures += isRight ? 0 : 1;
  }
  await rm(folder, { recursive: true });
  return failures;
}

const args = process.argv.slice(2);
const wanted = { "--self-test": 1, "--crop": 5 }[args[0]] ?? 2;
if (args.length !== wanted) {
  console.error("usage: node look.mjs PAGE.html OUT_DIR | --crop PAGE.html FILE.png FIRST LAST | --self-test");
  process.exit(2);
}
const timer = setTimeout(() => {
  console.error(`no answer for ${PATIENCE_MS / 1000} seconds`);
  process.exit(1);
}, PATIENCE_MS);
const browser = await Browser.start();
try {
  if (args[0] === "--self-test") {
    process.exitCode = (await selfTest(browser)) ? 1 : 0;
  } else if (args[0] === "--crop") {
    await crop(browser, ...args.slice(1));
  } else {
    const complaints = await lookAt(browser, ...args);
    complaints.forEach((text) => console.error(text));
    process.exitCode = complaints.length ? 1 : 0;
  }
} finally {
  await browser.stop();
  clearTimeout(timer);
}
