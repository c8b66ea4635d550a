// What every reader meets, whatever the chapter: two languages, the tab key, names for screen readers, contrast, stillness, and
// screens of four sizes. Each function returns what it saw, as text.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { equal } from "./places.mjs";

// What stays as it is in a Chinese text: names, code, and the command line.
const KEPT = /\b(LeNet|MNIST|SIMD|ReLU|sigmoid|WebAssembly|WASM|im2col|Rust|simd128|scalar|Sobel [xy]|MIT|Apache 2\.0|CC BY-SA 3\.0|Y\. LeCun|C\. Cortes|C\. Burges|Conv2d|MaxPool2d|AvgPool2d|Flatten|Linear|Sigmoid|KB|MB|ms|Shift|Backspace|Delete|Tab|English|safetensors)\b/g;

// In the page: the texts that are to be seen, and those that are to be heard, as [where, text].
function readAll() {
  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true });
  const place = (element) => `${element.closest("[id]")?.id ?? "page"} ${element.localName}${element.className && `.${element.getAttribute("class")}`}`;
  const found = [["title", document.title]];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement: parent } = walker.currentNode;
    if (data.trim() && isSeen(parent) && !parent.closest("script, style, noscript, code, pre")) found.push([place(parent), data.trim()]);
  }
  for (const element of document.querySelectorAll("body *")) {
    if (!isSeen(element)) continue;
    for (const name of ["aria-label", "aria-valuetext", "aria-roledescription", "title", "alt", "placeholder"]) {
      if (element.getAttribute(name)) found.push([`${place(element)} ${name}`, element.getAttribute(name)]);
    }
  }
  return found;
}

// Both languages, switched back and forth: in Chinese no two English words are left, in English no Chinese character.
export async function languages(page) {
  const counts = [];
  const isCleanIn = async (language) => {
    const lang = language === "zh" ? "zh-Hans" : "en";
    equal(await page.run(() => document.documentElement.lang), lang);
    const texts = await page.run(readAll);
    counts.push(`${texts.length} ${language}`);
    const left = texts.filter(([where, text]) => (language === "zh"
      ? /[A-Za-z]{2,}[\s,.:;’'-]+[A-Za-z]{2,}/.test(text.replace(KEPT, "·")) || (/^[a-z]{2,}[ :.…]*$/i.test(text.replace(KEPT, "")) && !where.includes("layer-name"))
      : /\p{Script=Han}/u.test(text) && text !== "中文" && !where.endsWith("aria-label")));
    equal(left, [], `left in ${language}`);
    const names = texts.filter(([where, text]) => where.endsWith("aria-label") && /\p{Script=Han}/u.test(text) !== (language === "zh"));
    equal(names.filter(([, text]) => !/语言/.test(text) && /\p{L}{2,}/u.test(text.replace(KEPT, ""))), [], `names in ${language}`);
    return texts;
  };
  await page.tabTo('button[data-language="en"]');
  await page.key("Enter");
  const english = await isCleanIn("en");
  await page.tabTo('button[data-language="zh"]');
  await page.key(" ");
  const chinese = await isCleanIn("zh");
  await saidOnlyThen(page, isCleanIn);
  await page.click('button[data-language="en"]');
  // But for what is said to screen readers alone, after a while.
  const places = (texts) => texts.map(([where]) => where).filter((where) => !where.includes("unseen"));
  equal(places(await page.run(readAll)), places(english), "English is as before");
  // Each element that is hidden in one language stands beside one of the other.
  const alone = await page.run(() => [...document.querySelectorAll("[lang]:not(html, button)")]
    .filter((one) => !one.textContent.trim() || ![...one.parentElement.children].some((other) => other.lang && other.lang !== one.lang && other.textContent.trim()))
    .map((one) => `${one.closest("[id]").id}: ${one.textContent}`));
  equal(alone, [], "texts in one language only");
  assert.ok(chinese.length > 400, `${chinese.length} texts`);
  return `texts and names: ${counts.join(", ")}`;
}

// What the page says only in some states, in Chinese: a kernel that does not fit, a rate that is too large.
async function saidOnlyThen(page, isCleanIn) {
  await page.slide('#padding [data-slider="n0"] input', 1);
  await page.slide('#padding [data-slider="p0"] input', 0);
  await page.slide('#learn [data-slider="rate"] input', 0.05);
  await page.click('#learn [data-do="ten"]');
  await page.click('#channels [data-choice="mix"]');
  await isCleanIn("zh");
  await page.click('#padding [data-choice="8 8 3 3 1 1 1 1"]');
  for (const chapter of ["learn", "channels"]) await page.click(`#${chapter} [data-do="reset"]`);
}

// The tab key reaches everything that can be operated, in order, and the focus is always seen. In a grid it reaches one number,
// from which arrow keys reach the others.
export async function tabOrder(page) {
  const wanted = await page.run(() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, [tabindex], [role=slider]")];
    const operable = all.filter((one) => one.checkVisibility() && !one.matches(":disabled") && !one.closest(".cell") && one.tabIndex >= 0);
    const grids = [...document.querySelectorAll(".grid")].filter((grid) => grid.checkVisibility() && grid.querySelector(".cell input, .cell[tabindex]"));
    [...operable, ...grids].forEach((one, i) => (one.dataset.tabbed = i));
    // Whatever looks as if it could be pressed or dragged.
    const looks = [...document.querySelectorAll("main *, header *")].filter((one) => ["pointer", "grab", "crosshair"].includes(getComputedStyle(one).cursor));
    const tabbable = "a[href], button, input, select, [tabindex]";
    const unreachable = looks.filter((one) => !one.closest(tabbable) && !one.querySelector(tabbable) && !one.closest("label, .grid, .picture"));
    scrollTo({ top: 0, behavior: "instant" });
    return { count: operable.length + grids.length, unreachable: unreachable.map((one) => one.outerHTML.slice(0, 80)) };
  });
  equal(wanted.unreachable, [], "looks as if it could be pressed, and cannot be reached");
  // From the top.
  await page.stroke([{ x: 1, y: 1 }]);
  const reached = new Set(), unseen = [];
  let last = -1, backwards = 0;
  for (let i = 0; i < wanted.count + 5; i++) {
    await page.key("Tab");
    const [index, top, label] = await page.run(() => {
      const active = document.activeElement;
      const marked = active.closest(".cell")?.closest(".grid") ?? active;
      return [marked.dataset.tabbed ?? null, [...document.querySelectorAll("*")].indexOf(active), active.outerHTML.slice(0, 90)];
    });
    if (index === null || reached.has(index)) break;
    reached.add(index);
    backwards += Number(top < last);
    last = top;
    if (!(await page.isFocusSeen())) unseen.push(label);
  }
  equal(unseen, [], "focus is not seen");
  equal(backwards, 0, "the order is that of the page");
  const missed = await page.run((seen) => [...document.querySelectorAll("[data-tabbed]")].filter((one) => !seen.includes(one.dataset.tabbed)).map((one) => one.outerHTML.slice(0, 90)), [...reached]);
  equal(missed, [], "the tab key does not reach");
  const grids = await everyNumber(page);
  return `${reached.size} stops in order, each seen; ${grids} numbers by arrow keys`;
}

// In each grid, arrow keys from the first number: along each row and down.
async function everyNumber(page) {
  let count = 0;
  const grids = await page.run(() => [...document.querySelectorAll(".grid[data-tabbed]")].map((grid, i) => {
    grid.dataset.walked = i;
    const { row, column } = [...grid.querySelectorAll(".cell")].at(-1).dataset;
    return [Number(row), Number(column)];
  }));
  for (const [i, size] of grids.entries()) {
    const [rows, columns] = size.map((last) => last + 1);
    await page.run((which) => (document.querySelector(`[data-walked="${which}"] .cell input`) ?? document.querySelector(`[data-walked="${which}"] .cell`)).focus(), i);
    // To the last column and row, and back to the first: the way through a corner of large grids.
    await page.key("ArrowRight", { times: columns - 1 });
    await page.key("ArrowDown", { times: rows - 1 });
    const at = () => page.run(() => {
      const { row, column } = document.activeElement.closest(".cell").dataset;
      return [Number(row), Number(column)];
    });
    equal(await at(), [rows - 1, columns - 1]);
    await page.key("ArrowLeft", { times: columns - 1 });
    await page.key("ArrowUp", { times: rows - 1 });
    equal(await at(), [0, 0]);
    count += rows * columns;
  }
  return count;
}

// Names and roles, as screen readers get them; headings in order.
export async function accessibility(page) {
  await page.send("Accessibility.enable");
  const { nodes } = await page.send("Accessibility.getFullAXTree");
  const NAMED = new Set(["button", "textbox", "slider", "spinbutton", "combobox", "link", "image", "application", "grid", "table", "navigation", "listbox", "option", "heading"]);
  const shown = nodes.filter(({ ignored }) => !ignored);
  const nameless = shown.filter(({ role, name, properties = [] }) => !name?.value?.trim()
    && (NAMED.has(role?.value) || properties.some((property) => property.name === "focusable" && property.value.value && !["RootWebArea", "gridcell"].includes(role?.value))));
  equal(await describe(page, nameless), [], "without a name");
  const cells = shown.filter(({ role, name, childIds = [], properties = [] }) => role?.value === "gridcell" && properties.some((property) => property.name === "focusable") && !name?.value && !childIds.length);
  assert.ok(cells.length < 700, "empty cells of a matrix only");
  const levels = shown.filter(({ role }) => role?.value === "heading").map(({ properties }) => properties.find(({ name }) => name === "level").value.value);
  equal(levels[0], 1);
  equal(levels.filter((level) => level === 1).length, 1, "one title");
  levels.forEach((level, i) => assert.ok(i === 0 || level <= levels[i - 1] + 1, `headings ${levels}`));
  const sections = await page.run(() => [...document.querySelectorAll("section.chapter")].map((section) => section.querySelector("h2").textContent.trim()));
  assert.ok(sections.length === 11 && sections.every(Boolean), "a heading for each chapter");
  const doubled = await page.run(() => [...document.querySelectorAll("[id]")].map(({ id }) => id).filter((id, i, all) => all.indexOf(id) !== i));
  equal(doubled, [], "ids are unique");
  return `${shown.filter(({ role }) => NAMED.has(role?.value)).length} names, ${levels.length} headings in order`;
}

const describe = (page, nodes) => Promise.all(nodes.map(async ({ role, backendDOMNodeId }) => {
  const { node } = await page.send("DOM.describeNode", { backendNodeId: backendDOMNodeId });
  return `${role?.value}: <${node.localName} ${node.attributes?.join(" ")}>`;
}));

// In the page: texts whose contrast is below 4.5, or 3 where they are large. What cannot be operated at the moment is left out.
function faintTexts() {
  const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (known.has(colour)) return known.get(colour);
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = probe.getImageData(0, 0, 1, 1).data;
    known.set(colour, [r, g, b, a / 255]);
    return known.get(colour);
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
  const ground = (element) => {
    if (!element) return rgba(getComputedStyle(document.documentElement).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "black" : "white");
    const colour = rgba(getComputedStyle(element).backgroundColor);
    return colour[3] === 1 ? colour : over(colour, ground(element.parentElement));
  };
  const luminance = (colour) => colour.slice(0, 3).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const opacity = (element) => (element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1);
  const faint = new Map();
  let count = 0;
  const judge = (element, style, text) => {
    if (!element.checkVisibility() || element.closest(":disabled, .unseen, noscript")) return;
    count += 1;
    const below = ground(element);
    const ink = rgba(element.closest("svg") ? style.fill : style.color);
    const shade = over([...ink.slice(0, 3), ink[3] * opacity(element)], below);
    const [light, dark] = [luminance(shade), luminance(below)].toSorted((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const where = `${element.closest("[id]")?.id} .${element.getAttribute("class")}`;
    if (ratio < least && !(faint.get(where)?.ratio <= ratio)) faint.set(where, { ratio, text: text.trim().slice(0, 30) });
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (data.trim() && !parentElement.closest("script, style")) judge(parentElement, getComputedStyle(parentElement), data);
  }
  for (const input of document.querySelectorAll("input[type=text], input[type=number], select")) judge(input, getComputedStyle(input), input.value);
  for (const element of document.querySelectorAll(".cell[data-times], h2, #contents li")) {
    const style = getComputedStyle(element, "::before");
    if (style.content !== "none" && style.content !== '""') judge(element, style, style.content);
  }
  return { count, faint: [...faint].map(([where, { ratio, text }]) => `${where} "${text}": ${ratio.toFixed(2)}`) };
}

// AA in both themes, chosen by the switch and by the system.
export async function contrast(page) {
  const counts = [];
  // With pixels that are not read, padding, and an error.
  const states = ['#dense [data-choice="2"]', '#padding [data-choice="8 8 3 5 0 1 3 4"]', '#channels [data-choice="mix"]', '#pooling [data-choice="1 4 3 3 1 1 2 2"]'];
  for (const selector of states) await page.click(selector);
  for (const [theme, scheme] of [["light", "dark"], ["dark", "light"], ["auto", "light"], ["auto", "dark"]]) {
    await page.prefer(scheme);
    await page.tabTo(`button[data-theme="${theme}"]`);
    await page.key("Enter");
    await page.painted();
    await page.still();
    const { count, faint } = await page.run(faintTexts);
    equal(faint, [], `${theme} in a ${scheme} system`);
    counts.push(count);
  }
  await page.prefer("light");
  return `AA in light and dark: ${Math.min(...counts)} texts`;
}

// Nothing moves by itself, and for those who want it still nothing moves at all.
export async function stillness(page) {
  const running = () => page.run(() => document.getAnimations().filter(({ playState }) => playState === "running").length);
  await page.still();
  await new Promise((done) => setTimeout(done, 300));
  equal(await running(), 0, "at rest");
  await page.click('#flip [data-do="flip"]');
  assert.ok((await running()) > 0, "the kernel turns");
  await page.still();
  await page.prefer("light", true);
  const seen = [];
  for (const selector of ['#flip [data-do="flip"]', '#dense [data-choice="2"]', '#learn [data-do="step"]', '#pooling [data-choice="average"]', 'button[data-theme="dark"]', 'button[data-theme="auto"]']) {
    await page.click(selector);
    seen.push(await running());
  }
  await page.drag('#correlation [data-cell="image"][data-row="0"][data-column="0"]', '#correlation [data-cell="image"][data-row="1"][data-column="1"]');
  seen.push(await running());
  equal(Math.max(...seen), 0, `animations ${seen}`);
  await page.click('#flip [data-do="reset"]');
  await page.prefer("light");
  return `${seen.length} actions without an animation`;
}

const SCREENS = [
  { width: 1400, height: 900 }, { width: 1024, height: 768 }, { width: 768, height: 1024 }, { width: 375, height: 812, isPhone: true },
];

// Pictures of the whole page; it is never wider than the screen.
export async function screens(page, folder) {
  const wide = [];
  for (const screen of SCREENS) {
    await page.resize(screen);
    for (const language of ["en", "zh"]) {
      await page.run((wanted) => document.querySelector(`button[data-language="${wanted}"]`).click(), language);
      const isDarkToo = (screen.width === 1400 && language === "en") || (screen.width === 375 && language === "zh");
      for (const scheme of isDarkToo ? ["light", "dark"] : ["light"]) {
        await page.prefer(scheme);
        await page.painted();
        const { width, height, beyond } = await page.run((most) => ({
          width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
          beyond: [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest(".unseen, svg svg") && one.getBoundingClientRect().right > most + 0.5)
            .map((one) => `${one.closest("[id]")?.id} ${one.localName}.${one.getAttribute("class")}`),
        }), screen.width);
        if (width > screen.width || beyond.length) wide.push(`${screen.width} ${language}: ${width}, ${[...new Set(beyond)].slice(0, 5)}`);
        const name = `${screen.width}x${screen.height}-${language}${scheme === "dark" ? "-dark" : ""}.png`;
        await writeFile(join(folder, name), await page.picture({ x: 0, y: 0, width: screen.width, height }));
      }
    }
  }
  equal(wide, [], "wider than the screen");
  return "10 pictures in four sizes";
}
