// The page: languages, themes, and the start of the chapters.
"use strict";

const CHAPTERS = new Map();

// Registers a chapter, the section of that id. `start(root, engine, { name, module })` is called once, when the engine is there.
function chapter(id, start) {
  CHAPTERS.set(id, start);
}

let language = "en";
const SAID = new WeakMap();

// One of two texts, in the language of this moment.
const say = (en, zh) => (language === "zh" ? zh : en);

// Gives an element a text, or an attribute, in both languages: it changes with the language from then on.
function tell(element, en, zh, attribute = "textContent") {
  if (!SAID.has(element)) SAID.set(element, new Map());
  SAID.get(element).set(attribute, [en, zh]);
  element.dataset.said = "";
  applySaid(element, attribute);
}

function applySaid(element, attribute) {
  const text = say(...SAID.get(element).get(attribute));
  if (attribute === "textContent") {
    if (element.textContent !== text) element.textContent = text;
  } else {
    element.setAttribute(attribute, text);
  }
}

// An error that speaks both languages.
const errorOf = (en, zh) => Object.assign(new Error(en), { zh });

// Tells what an error says, after some words; in a chapter, at the end of its text.
function tellError(target, { message, zh = message }, before = ["", ""]) {
  target.hidden = false;
  tell(target, before[0] + message, before[1] + zh);
}

function sayFailure(section, ...told) {
  const failure = element("p", { class: "failure", role: "alert" });
  section.querySelector(".words").append(failure);
  tellError(failure, ...told);
}

function setLanguage(wanted) {
  language = wanted;
  set("language", language);
  document.documentElement.lang = say("en", "zh-Hans");
  document.title = say("Convolutional networks, live", "动手看卷积神经网络");
  for (const element of document.querySelectorAll("[data-said]")) {
    for (const attribute of SAID.get(element)?.keys() ?? []) applySaid(element, attribute);
  }
  document.dispatchEvent(new Event("languagechange"));
}

// A setting of the whole page: `language` or `theme`.
function set(name, value) {
  document.documentElement.dataset[name] = value;
  for (const button of document.querySelectorAll(`button[data-${name}]`)) button.ariaPressed = String(button.dataset[name] === value);
}

function startSwitches() {
  const asked = new URLSearchParams(location.search).get("language") ?? navigator.language;
  set("theme", "auto");
  setLanguage(asked.startsWith("zh") ? "zh" : "en");
  tell(document.getElementById("themes"), "Colours", "配色", "aria-label");
  tell(document.getElementById("contents"), "Contents", "目录", "aria-label");
  document.querySelector(".switches").addEventListener("click", ({ target }) => {
    const { language: toLanguage, theme } = target.closest("button")?.dataset ?? {};
    if (toLanguage) setLanguage(toLanguage);
    if (theme) set("theme", theme);
  });
}

// Short texts have their Chinese in `data-zh`. What has `data-en` as well is for others to show.
function tellShortTexts() {
  for (const place of document.querySelectorAll("[data-zh]:not([data-en])")) {
    const text = document.createElement("span");
    tell(text, place.firstChild.data, place.dataset.zh);
    place.firstChild.replaceWith(text);
  }
}

// A link to each chapter, in the words of its heading.
function listContents() {
  for (const heading of document.querySelectorAll("h2")) {
    const link = document.createElement("a"), item = document.createElement("li");
    link.href = `#${heading.closest("section").id}`;
    Object.assign(link.dataset, heading.dataset);
    link.append(...heading.cloneNode(true).childNodes);
    item.append(link);
    document.querySelector("#contents ol").append(item);
  }
}

async function startChapters() {
  let loaded, engine;
  try {
    loaded = await loadModule();
    engine = new Engine(loaded.module);
  } catch (error) {
    return tellError(document.getElementById("failure"), error,
      ["The engine is not there (web/build makes it), or cannot run here: ", "缺少计算引擎（由 web/build 生成），或无法在此运行："]);
  }
  const size = ((BUILT[loaded.name].length * 0.8) / 1024).toFixed(0);
  for (const place of document.querySelectorAll("[data-engine]")) {
    tell(place, `WebAssembly, ${loaded.name}, ${size} KB compressed`, `WebAssembly（${loaded.name}，压缩后 ${size} KB）`);
  }
  for (const section of document.querySelectorAll("section.chapter")) {
    // Each in a task of its own, so that the page answers in between.
    await new Promise((done) => setTimeout(done));
    try {
      await CHAPTERS.get(section.id)?.(section, engine, loaded);
    } catch (error) {
      sayFailure(section, error, ["This does not work here: ", "本节无法在此运行："]);
      reportError(error);
    }
  }
  document.documentElement.dataset.ready = "";
  // The chapters have grown in the meantime.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

startSwitches();
listContents();
tellShortTexts();
document.addEventListener("DOMContentLoaded", startChapters);
