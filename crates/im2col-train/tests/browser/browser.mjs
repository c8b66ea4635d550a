// A headless Chromium ($CHROMIUM, or chromium in $PATH) over a pipe, and what pages in it complain about. Needs nothing but node.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe",
];
const OFFLINE = { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 };

// The browser, and its end of the pipe.
export class Browser {
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

// What a message of the browser complains about, as text, or null. `isAllowed` tells of a URL whether it may be requested.
function complaint({ method, params }, isAllowed) {
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
      return isAllowed(params.request.url) ? null : `request: ${params.request.url}`;
    default:
      return null;
  }
}

// A page of the browser; `complaints` are those so far, of the page and of its workers.
export class Tab {
  complaints = [];
  #browser; #targetId; #sessions; #leave; #loaded;

  // `isAllowed` tells of a URL whether it may be requested; `isOffline` cuts the network.
  static async open(browser, isAllowed, { isOffline = false } = {}) {
    const tab = new Tab();
    tab.#browser = browser;
    ({ targetId: tab.#targetId } = await browser.send("Target.createTarget", { url: "about:blank" }));
    const { sessionId } = await browser.send("Target.attachToTarget", { targetId: tab.#targetId, flatten: true });
    tab.#sessions = [sessionId];
    tab.#leave = browser.listen((message) => {
      if (!tab.#sessions.includes(message.sessionId)) return;
      if (message.method === "Page.loadEventFired") tab.#loaded?.();
      if (message.method === "Target.attachedToTarget") tab.#watchWorker(message.params.sessionId, isOffline);
      const text = complaint(message, isAllowed);
      if (text) tab.complaints.push(text);
    });
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await tab.send(`${domain}.enable`);
    if (isOffline) await tab.send("Network.emulateNetworkConditions", OFFLINE);
    await tab.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: true, flatten: true });
    return tab;
  }

  // Workers wait until they are watched. What a kind of worker does not know is an error, and so is a worker that has ended.
  #watchWorker(sessionId, isOffline) {
    this.#sessions.push(sessionId);
    const send = (method, params = {}) => this.#browser.send(method, params, sessionId).catch(() => {});
    send("Runtime.enable");
    send("Network.enable");
    if (isOffline) send("Network.emulateNetworkConditions", OFFLINE);
    send("Runtime.runIfWaitingForDebugger");
  }

  send(method, params = {}) {
    return this.#browser.send(method, params, this.#sessions[0]);
  }

  // Opens a URL; resolves when it is loaded.
  async navigate(url) {
    const isLoaded = new Promise((resolve) => (this.#loaded = resolve));
    const { errorText } = await this.send("Page.navigate", { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await isLoaded;
  }

  // The value of an expression in the page.
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  // Two frames later everything is laid out and painted.
  painted() {
    return this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  }

  // A picture (PNG) of a part of the page, { x, y, width, height } in its pixels, or of what is on the screen.
  async picture(clip = undefined) {
    const area = clip && { captureBeyondViewport: true, clip: { scale: 1, ...clip } };
    const { data } = await this.send("Page.captureScreenshot", { format: "png", ...area });
    return Buffer.from(data, "base64");
  }

  async close() {
    this.#leave();
    await this.#browser.send("Target.closeTarget", { targetId: this.#targetId });
  }
}
