// The page under test, operated as readers do: by mouse, finger and keyboard; and groups of checks that are reported by name.

import assert from "node:assert/strict";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Browser, Tab } from "../../crates/im2col-train/tests/browser/browser.mjs";

export const INDEX = resolve(dirname(fileURLToPath(import.meta.url)), "../index.html");
export const DESKTOP = { width: 1400, height: 900 };
export const PHONE = { width: 375, height: 812, isPhone: true };

// Keys without text: their codes in events.
const CODES = {
  Backspace: 8, Tab: 9, Enter: 13, Escape: 27, PageUp: 33, PageDown: 34, End: 35, Home: 36,
  ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40, Delete: 46,
};

export class Page {
  #tab;
  // How long it waits for something, in milliseconds.
  patience = 30_000;

  // Opens the page without a network. Options: the screen; `query` of the address; `before`, a function that runs in the page
  // before its own scripts; `scheme` of colours; `isStill` for readers who want nothing to move; `locale` that they prefer.
  static async open(browser, file = INDEX, { screen = DESKTOP, query = "", before, scheme = "light", isStill = false, locale } = {}) {
    const page = new Page();
    const url = pathToFileURL(resolve(file)).href, folder = url.slice(0, url.lastIndexOf("/") + 1);
    const isAllowed = (requested) => [folder, "data:", "blob:"].some((start) => requested.startsWith(start));
    page.#tab = await Tab.open(browser, isAllowed, { isOffline: true });
    // Pages behind others are slowed down.
    await page.send("Page.bringToFront");
    await page.send("Emulation.setFocusEmulationEnabled", { enabled: true });
    await page.resize(screen);
    await page.prefer(scheme, isStill);
    if (locale) await page.send("Emulation.setUserAgentOverride", { userAgent: "", acceptLanguage: locale });
    if (before) await page.send("Page.addScriptToEvaluateOnNewDocument", { source: `(${before})()` });
    await page.#tab.navigate(url + (query && `?${query}`));
    await page.until(() => "ready" in document.documentElement.dataset);
    // What is drawn in the first frame moves what stands below it.
    await page.#tab.painted();
    return page;
  }

  // What the browser complained about since this was asked last.
  complaints() {
    return this.#tab.complaints.splice(0);
  }

  send(method, params) {
    return this.#tab.send(method, params);
  }

  close() {
    return this.#tab.close();
  }

  async resize({ width, height, isPhone = false }) {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: isPhone });
    await this.send("Emulation.setTouchEmulationEnabled", { enabled: isPhone });
  }

  async prefer(scheme, isStill = false) {
    const features = [
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: isStill ? "reduce" : "no-preference" },
    ];
    await this.send("Emulation.setEmulatedMedia", { features });
  }

  // What a function returns in the page.
  run(action, ...args) {
    return this.#tab.evaluate(`(${action})(...${JSON.stringify(args)})`);
  }

  // Waits until a function returns something true in the page; returns it.
  async until(condition, ...args) {
    const deadline = Date.now() + this.patience;
    for (;;) {
      const value = await this.run(condition, ...args);
      if (value) return value;
      if (Date.now() > deadline) {
        const states = await this.run(() => [document, ...document.querySelectorAll("[data-state]")].map((each) =>
          each.visibilityState ?? `${each.id}: ${each.dataset.state}`).join("; "));
        throw new Error(`waited in vain for ${condition} of ${JSON.stringify(args)}: ${states}`);
      }
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  painted() {
    return this.#tab.painted();
  }

  // Transitions have ended.
  still() {
    return this.run(() => Promise.all(document.getAnimations().filter(({ effect }) => effect.getTiming().iterations !== Infinity)
      .map(({ finished }) => finished.catch(() => {}))).then(() => true));
  }

  picture(clip) {
    return this.#tab.picture(clip);
  }

  // The texts of elements, and the numbers that they say.
  texts(selector) {
    return this.run((all) => [...document.querySelectorAll(all)].map((each) =>
      each.matches("input, select") ? each.value : each.textContent.trim()), selector);
  }

  async text(selector) {
    const [text] = await this.texts(selector);
    assert.notEqual(text, undefined, `there is no ${selector}`);
    return text;
  }

  async numbers(selector) {
    return (await this.texts(selector)).map((text) => (text === "" ? null : Number(text.replaceAll("−", "-"))));
  }

  // The numbers of a grid in a chapter.
  grid(chapter, name) {
    const cells = `#${chapter} [data-cell="${name}"]`;
    return this.run((all) => [...document.querySelectorAll(all)].map((cell) => {
      const text = (cell.querySelector("input")?.value ?? cell.textContent).replaceAll("−", "-");
      return text === "" ? null : text.endsWith("/9") ? text.slice(0, -2) / 9 : Number(text);
    }), cells);
  }

  // Its rows and columns.
  shape(chapter, name) {
    return this.run((last) => {
      const { row, column } = [...document.querySelectorAll(last)].at(-1).dataset;
      return [Number(row) + 1, Number(column) + 1];
    }, `#${chapter} [data-cell="${name}"]`);
  }

  attribute(selector, name) {
    return this.run((one, which) => document.querySelector(one).getAttribute(which), selector, name);
  }

  // The place on the screen of a point of an element, in shares of its width and height. The element is brought into view, and
  // this waits until nothing moves it.
  async place(selector, x = 0.5, y = 0.5) {
    const found = await this.run(async (one, across, down) => {
      const element = document.querySelector(one);
      const frame = () => new Promise((done) => requestAnimationFrame(done));
      const box = () => element.getBoundingClientRect();
      const rest = async () => {
        for (let top = NaN; top !== (top = box().top); ) await frame();
      };
      if (!element) return null;
      await rest();
      const { top, left, bottom, right } = box();
      if (top < 0 || left < 0 || bottom > innerHeight || right > innerWidth) {
        element.scrollIntoView({ behavior: "instant", block: "center" });
        await frame();
        await rest();
      }
      return box().width ? { x: box().left + across * box().width, y: box().top + down * box().height } : null;
    }, selector, x, y);
    assert.ok(found, `${selector} is not to be seen`);
    return found;
  }

  mouse(type, { x, y }, isDown = false) {
    const pressed = type === "mouseMoved" ? (isDown ? "left" : "none") : "left";
    return this.send("Input.dispatchMouseEvent", {
      type, x, y, button: pressed, buttons: isDown ? 1 : 0, clickCount: type === "mouseMoved" ? 0 : 1, pointerType: "mouse",
    });
  }

  // Clicks on an element; once more where the click went to another one, as the page had moved meanwhile.
  async click(selector) {
    for (let tries = 0; tries < 3; tries++) {
      await this.run((one) => {
        globalThis.clicked = null;
        const isHit = (target) => target.closest(one) !== null || [...(target.closest("label")?.querySelectorAll(one) ?? [])].length > 0;
        document.addEventListener("mousedown", ({ target }) => (globalThis.clicked = isHit(target)), { capture: true, once: true });
      }, selector);
      const place = await this.place(selector);
      await this.mouse("mouseMoved", place);
      await this.mouse("mousePressed", place, true);
      await this.mouse("mouseReleased", place);
      // Disabled elements hear nothing.
      if ((await this.run(() => globalThis.clicked)) !== false) return;
    }
    assert.fail(`clicks on ${selector} go to other elements`);
  }

  async hover(selector, x, y) {
    await this.mouse("mouseMoved", await this.place(selector, x, y));
    await this.painted();
  }

  touch(type, points) {
    return this.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  }

  async tap(selector) {
    const place = await this.place(selector);
    await this.touch("touchStart", [place]);
    await this.touch("touchEnd", []);
    await this.painted();
  }

  // Draws a line through places on the screen, by the mouse or a finger.
  async stroke(places, isTouch = false) {
    const [first, ...rest] = places, last = places.at(-1);
    if (isTouch) {
      await this.touch("touchStart", [first]);
      for (const place of rest) await this.touch("touchMove", [place]);
      // A finger that rests before it is lifted throws nothing.
      await new Promise((done) => setTimeout(done, 100));
      await this.touch("touchMove", [last]);
      return this.touch("touchEnd", []);
    }
    await this.mouse("mouseMoved", first);
    await this.mouse("mousePressed", first, true);
    for (const place of rest) await this.mouse("mouseMoved", place, true);
    return this.mouse("mouseReleased", last);
  }

  // Drags from the middle of one element to the middle of another.
  async drag(from, to, isTouch = false) {
    await this.place(to);
    // Both are on the screen now.
    const start = await this.place(from), end = await this.place(to);
    const places = Array.from({ length: 7 }, (_, i) => ({ x: start.x + ((end.x - start.x) * i) / 6, y: start.y + ((end.y - start.y) * i) / 6 }));
    await this.stroke(places, isTouch);
    await this.painted();
  }

  // Drags the thumb of a slider to a value.
  async slide(selector, value, isTouch = false) {
    const share = (to) => this.run((one, wanted) => {
      const { min, max, value: now } = document.querySelector(one);
      return ((wanted ?? now) - min) / (max - min);
    }, selector, to);
    const { width } = await this.run((one) => document.querySelector(one).getBoundingClientRect().toJSON(), selector);
    // The thumb is 16 pixels wide.
    const at = async (wanted) => this.place(selector, (8 + (await share(wanted)) * (width - 16)) / width);
    await this.stroke([await at(null), await at(value)], isTouch);
    await this.painted();
  }

  async key(name, { times = 1, shift = false } = {}) {
    const text = name === "Enter" ? "\r" : name.length === 1 ? name : undefined;
    const code = CODES[name] ?? (name === " " ? 32 : /[a-z0-9]/i.test(name) ? name.toUpperCase().charCodeAt(0) : 0);
    const event = { key: name, code: name === " " ? "Space" : name, windowsVirtualKeyCode: code, modifiers: shift ? 8 : 0 };
    for (let i = 0; i < times; i++) {
      await this.send("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", ...event, text });
      await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    }
  }

  async keys(...names) {
    for (const name of names) await this.key(name);
  }

  async type(text) {
    for (const letter of text) await this.key(letter);
  }

  // Clicks into a cell of a grid and types over its number.
  async write(chapter, grid, row, column, text) {
    await this.click(`#${chapter} [data-cell="${grid}"][data-row="${row}"][data-column="${column}"]`);
    await this.type(text);
  }

  // Chooses a file.
  async choose(selector, file) {
    const { root } = await this.send("DOM.getDocument");
    const { nodeId } = await this.send("DOM.querySelector", { nodeId: root.nodeId, selector });
    await this.send("DOM.setFileInputFiles", { nodeId, files: [file] });
  }

  // Presses the tab key until an element has the focus, from the beginning of its chapter or the page's head on.
  async tabTo(selector) {
    await this.run((one) => {
      const place = document.querySelector(one).closest("section, header");
      place.querySelector("a[href], :is(button, input, select):enabled, [tabindex='0']").focus({ preventScroll: true });
    }, selector);
    // From there and back: a focus that the tab key brought is to be seen.
    await this.key("Tab");
    await this.key("Tab", { shift: true });
    for (let i = 0; i < 60; i++) {
      if (await this.run((one) => document.activeElement.matches(one), selector)) {
        assert.ok(await this.isFocusSeen(), `the focus of ${selector} is not to be seen`);
        return;
      }
      await this.key("Tab");
    }
    assert.fail(`the tab key does not lead to ${selector}`);
  }

  // Whether the element that has the focus shows it, or its label does.
  isFocusSeen() {
    return this.run(() => {
      const active = document.activeElement;
      return [active, active.closest("label")].some((each) => {
        const style = each && getComputedStyle(each);
        return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1.5 && style.opacity !== "0" && each.getBoundingClientRect().width > 4;
      });
    });
  }
}

// Runs groups of checks and reports them.
export class Report {
  passed = 0;
  failed = [];
  reasons = [];
  #isSilent;

  constructor(isSilent = false) {
    this.#isSilent = isSilent;
  }

  // Runs `action`, which returns what to say of it; it fails on an error, and on what the browser complains about these pages.
  async check(name, pages, action) {
    try {
      const said = await action();
      const complaints = pages.flatMap((page) => page.complaints());
      assert.deepEqual(complaints, [], "the browser complains");
      if (!this.#isSilent) console.log(`ok  ${name}${said ? `: ${said}` : ""}`);
      this.passed += 1;
    } catch (error) {
      const lines = [...error.stack.split("\n"), ...pages.flatMap((page) => page.complaints().slice(0, 5))];
      const reason = lines.filter((line, i) => !line.includes("node:internal") && (i < 24 || line.includes("web/tests/"))).join("\n");
      if (!this.#isSilent) console.log(`FAILED  ${name}: ${reason}`);
      this.failed.push(name);
      this.reasons.push(reason);
    }
  }

  // The last line, and the exit code.
  end() {
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
    process.exitCode = this.failed.length ? 1 : 0;
  }
}

// Runs an action with a browser, and fails where it takes too long.
export async function withBrowser(seconds, action) {
  const timer = setTimeout(() => {
    console.error(`no end after ${seconds} seconds`);
    process.exit(1);
  }, 1000 * seconds);
  const browser = await Browser.start();
  try {
    await action(browser);
  } finally {
    await browser.stop();
    clearTimeout(timer);
  }
}
