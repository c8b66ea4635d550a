// Looks at pages in a headless Chromium: on a desktop and on a phone, light and dark.
//
//   node look.mjs PAGE.html OUT_DIR    saves four pictures of the whole page; fails on anything in the console, on any
//                                      request but for the page itself, and where the page is wider than the screen
//   node look.mjs --crop PAGE.html FILE.png FIRST LAST
//                                      saves some sections as a desktop shows them; 0 is the header
//   node look.mjs --self-test          fails unless bad pages fail and a good one passes
//
// Needs nothing but node and Chromium ($CHROMIUM, or chromium in $PATH), and speaks to it over a pipe.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Browser, Tab } from "./browser.mjs";

const SCREENS = [
  { name: "desktop", width: 1400, height: 900, scheme: "light" },
  { name: "desktop-dark", width: 1400, height: 900, scheme: "dark" },
  { name: "phone", width: 375, height: 812, scheme: "light", mobile: true },
  { name: "phone-dark", width: 375, height: 812, scheme: "dark", mobile: true },
];
const PATIENCE_MS = 60_000;

// Opens the page on a screen; returns its complaints and a picture of all of it, or of some sections.
async function look(browser, url, screen, sections = undefined) {
  // The page itself may be requested, and data: URLs are no requests.
  const tab = await Tab.open(browser, (requested) => [url, "data:"].some((start) => requested.startsWith(start)));
  const { complaints } = tab;
  const { width, height, mobile = false, scheme } = screen;
  await tab.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: mobile ? 2 : 1, mobile });
  await tab.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  await tab.navigate(url);
  await tab.painted();
  const page = await tab.evaluate(`({
    width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight,
    mode: document.compatMode, broken: [...document.images].filter((image) => !image.naturalWidth).length,
  })`);
  if (page.width > width) complaints.push(`the page is ${page.width} pixels wide`);
  if (page.mode !== "CSS1Compat") complaints.push("the page is in quirks mode");
  if (page.broken) complaints.push(`${page.broken} images are broken`);
  const clip = sections ? await tab.evaluate(`(${boxOf})(${sections.join()})`) : { x: 0, y: 0, width, height: page.height };
  const picture = await tab.picture(clip);
  await tab.close();
  return { complaints, picture };
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
