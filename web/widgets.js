// What the chapters share: numbers, grids of numbers with windows on them, sums of products, controls.
"use strict";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const span = (kind, ...children) => element("span", { class: kind }, ...children);

// A number as text, of at most so many decimals, with a true minus.
function numberText(value, decimals = 2) {
  const text = Math.abs(value) >= 1e5 ? value.toExponential(1).replace("e+", "e") : String(Number(value.toFixed(decimals)) || 0);
  return text.replaceAll("-", "−");
}

// The number that a text means, or undefined: 3, -0.5, −.5, 1/9.
function parseNumber(text) {
  const match = /^([+-]?)(\d*\.?\d*)(?:\/(\d+))?$/.exec(text.trim().replace("−", "-").replace(",", "."));
  if (!match || !/\d/.test(match[2])) return undefined;
  const value = ((match[1] === "-" ? -1 : 1) * match[2]) / (match[3] ?? 1);
  return Math.abs(value) <= 999 ? value : undefined;
}

const sequence = (length, from = 0) => Array.from({ length }, (_, i) => from + i);
const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
const largestOf = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const listen = (target, types, listener) => types.split(" ").forEach((type) => target.addEventListener(type, listener));
// The pixels of a padded image, undefined where there is padding.
const padded = ([height, width], [top, left]) =>
  sequence((height + 2 * top) * (width + 2 * left)).map((i) => {
    const [row, column] = [Math.floor(i / (width + 2 * left)) - top, (i % (width + 2 * left)) - left];
    return row >= 0 && row < height && column >= 0 && column < width ? row * width + column : undefined;
  });
const isModified = ({ ctrlKey, altKey, metaKey }) => ctrlKey || altKey || metaKey;
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// Colours an element by a value: the largest magnitude gets the whole colour.
function tint(target, value, largest) {
  const share = largest > 0 ? Math.min(Math.abs(value) / largest, 1) : 0;
  target.classList.toggle("positive", value > 0);
  target.classList.toggle("negative", value < 0);
  target.style.setProperty("--share", `${(share * 46).toFixed(1)}%`);
}

const LABELS = { image: ["image", "图像"], kernel: ["kernel", "卷积核"], output: ["output", "输出"] };

// A grid of numbers, in which arrow keys move. It takes the place of `data-grid="NAME"` in `root`, with the caption `data-en` and
// `data-zh`, and `data-sign` before it; without one it has a `label`, and its `figure` is to be placed.
// cell: pixels; edit(values): makes the numbers editable; select(row, column): called when a cell gets the focus; largest: the
// magnitude with the whole colour; format(value): a number's text.
class Grid {
  values = [];
  cells = [];

  constructor(root, name, { label, cell = 48, edit, select, largest, format = numberText } = {}) {
    const place = root?.querySelector(`[data-grid="${name}"]`) ?? element("div");
    const { en, zh, sign } = place.dataset;
    label ??= en ? [en, zh] : LABELS[name];
    Object.assign(this, { place, name, label, edit, select, largest, format });
    place.classList.add("grid");
    place.style.setProperty("--cell", `${cell}px`);
    this.body = element("div", { role: edit || select ? "grid" : "table" });
    this.caption = element("figcaption");
    this.figure = element("figure");
    place.replaceWith(sign ? element("div", { class: "with" }, span("sign", sign), this.figure) : this.figure);
    if (!place.classList.contains("bare")) this.figure.append(this.caption);
    this.figure.append(place);
    place.append(this.body);
    for (const [target, attribute] of [[this.body, "aria-label"], [this.caption]]) tell(target, ...label, attribute);

    if (!edit && !select) return;
    listen(place, "keydown", (event) => this.#key(event));
    listen(place, "focusin", ({ target }) => this.#focus(target));
    if (!edit) return listen(place, "click", ({ target }) => target.closest(".cell")?.focus());
    listen(place, "input", ({ target }) => this.#input(target));
    listen(place, "focusout", ({ target }) => this.#restore(target));
  }

  // Makes it this large and fills it.
  resize(rows, columns, values) {
    if (this.rows !== rows || this.columns !== columns) {
      Object.assign(this, { rows, columns, cells: [] });
      this.place.style.setProperty("--columns", columns);
      this.body.replaceChildren(...sequence(rows).map((row) =>
        element("div", { role: "row" }, ...sequence(columns).map((column) => this.#cell(row, column)))));
      this.#rove(0);
    }
    this.show(values);
  }

  #cell(row, column) {
    const role = this.edit || this.select ? "gridcell" : "cell";
    const cell = element("div", { class: "cell", role, "data-cell": this.name, "data-row": row, "data-column": column });
    if (this.edit) {
      const input = element("input", { type: "text", autocomplete: "off", enterkeyhint: "next" });
      tell(input, `row ${row + 1}, column ${column + 1}`, `第 ${row + 1} 行第 ${column + 1} 列`, "aria-label");
      cell.append(input);
    }
    this.cells.push(cell);
    return cell;
  }

  // Leads the tab key to one cell, or the input in it.
  #rove(index) {
    if (this.edit || this.select) this.cells.forEach((cell, i) => ((cell.firstElementChild ?? cell).tabIndex = i === index ? 0 : -1));
  }

  // Shows values; what is being typed is left alone.
  show(values) {
    this.values = Array.from(values);
    this.tinted = this.largest ?? largestOf(this.values);
    this.cells.forEach((cell, i) => {
      const value = this.values[i], text = this.format(value), input = cell.firstElementChild;
      tint(cell, value, this.tinted);
      cell.style.setProperty("--length", text.length);
      if (!input) cell.textContent = text;
      else if (document.activeElement !== input || parseNumber(input.value) !== value) this.#restore(input);
    });
  }

  // Gives the cells of these indices a class, and takes it from all others.
  mark(kind, indices) {
    const marked = new Set(indices);
    this.cells.forEach((cell, i) => cell.classList.toggle(kind, marked.has(i)));
  }

  set current(index) {
    this.mark("current", [index]);
    if (index >= 0 && !this.place.contains(document.activeElement)) this.#rove(index);
  }

  // That of the cell which contains an element.
  indexOf(target) {
    return this.cells.indexOf(target.closest(".cell"));
  }

  #key(event) {
    const index = this.indexOf(event.target), { columns } = this;
    if (index < 0 || isModified(event)) return;
    const column = index % columns, first = index - column;
    let next;
    if (ARROWS[event.key]) {
      const [down, right] = ARROWS[event.key];
      next = clamp(first / columns + down, 0, this.rows - 1) * columns + clamp(column + right, 0, columns - 1);
    } else if (event.key === "Enter") next = (index + 1) % this.cells.length;
    else if (event.key === "Escape" && this.edit) return this.#restore(event.target);
    else return;
    event.preventDefault();
    (this.cells[next].firstElementChild ?? this.cells[next]).focus();
  }

  #focus(target) {
    const index = this.indexOf(target);
    if (index < 0) return;
    this.#rove(index);
    if (this.edit) target.select();
    this.select?.(Math.floor(index / this.columns), index % this.columns);
  }

  #input(target) {
    const value = parseNumber(target.value);
    target.ariaInvalid = value === undefined ? "true" : null;
    if (value !== undefined) this.edit((this.values = this.values.with(this.indexOf(target), value)));
  }

  #restore(input) {
    const index = this.indexOf(input);
    if (index < 0) return;
    input.value = this.format(this.values[index]);
    input.ariaInvalid = null;
  }
}

// A window on a grid, moved by dragging and by arrow keys if there is `move(row, column)`.
class Frame {
  at = [0, 0];

  constructor(grid, move) {
    Object.assign(this, { grid, move });
    this.element = element("div", { class: "frame", "data-frame": grid.name });
    grid.place.append(this.element);
    if (!move) return;
    Object.assign(this.element, { tabIndex: 0, role: "slider", ariaValueMin: 1 });
    const [en, zh] = grid.label;
    tell(this.element, `window: ${en}`, `窗口：${zh}`, "aria-label");
    listen(this.element, "keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow || isModified(event)) return;
      event.preventDefault();
      this.#moveTo(...arrow.map((by, axis) => this.at[axis] + by));
    });
    this.#drag();
  }

  // Lays it, of that many rows and columns, on position `at`; an output of `output` belongs to each position.
  place(at, window, output, stride = [1, 1]) {
    const count = [output?.rows, output?.columns];
    Object.assign(this, { window, count, stride, at });
    const { element: { style, dataset }, grid: { rows, columns } } = this;
    [["top", "height", rows], ["left", "width", columns]].forEach(([start, length, cells], axis) => {
      style[start] = `${(100 * at[axis] * stride[axis]) / cells}%`;
      style[length] = `${(100 * window[axis]) / cells}%`;
    });
    dataset.at = at.join();
    if (output) output.current = at[0] * output.columns + at[1];
    if (!this.move) return;
    this.element.ariaValueMax = count[0] * count[1];
    this.element.ariaValueNow = at[0] * count[1] + at[1] + 1;
    tell(this.element, `row ${at[0] + 1}, column ${at[1] + 1}`, `第 ${at[0] + 1} 行第 ${at[1] + 1} 列`, "aria-valuetext");
  }

  // The indices of the cells in it.
  get inside() {
    const [top, left] = this.at.map((index, axis) => index * this.stride[axis]), [rows, columns] = this.window;
    return sequence(rows * columns).map((i) => (top + Math.floor(i / columns)) * this.grid.columns + left + (i % columns));
  }

  #moveTo(...wanted) {
    const to = wanted.map((index, axis) => clamp(index, 0, this.count[axis] - 1));
    if (String(to) !== String(this.at)) this.move(...to);
  }

  #drag() {
    const { grid, grid: { place } } = this;
    let start = null, moved = false;
    // In cells.
    const point = (event) => {
      const box = place.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * grid.rows, ((event.clientX - box.left) / box.width) * grid.columns];
    };
    place.classList.add("dragged");
    // A press is for the cell below unless it becomes a drag: the focus waits. Fingers drag the window only.
    listen(place, "mousedown", (event) => event.preventDefault());
    listen(place, "pointerdown", (event) => {
      if (event.button !== 0 || (event.pointerType === "touch" && event.target !== this.element)) return;
      const held = point(event).map((value, axis) => value - this.at[axis] * this.stride[axis]);
      const isInside = held.every((value, axis) => value >= 0 && value <= this.window[axis]);
      start = { x: event.clientX, y: event.clientY, held: isInside ? held : this.window.map((size) => size / 2) };
      moved = false;
    });
    listen(place, "pointermove", (event) => {
      if (!start || (!moved && Math.hypot(event.clientX - start.x, event.clientY - start.y) < 5)) return;
      if (!moved) place.setPointerCapture(event.pointerId);
      moved = true;
      place.classList.add("dragging");
      this.#moveTo(...point(event).map((value, axis) => Math.round((value - start.held[axis]) / this.stride[axis])));
    });
    listen(place, "pointerup pointercancel", () => {
      start = null;
      place.classList.remove("dragging");
    });
    place.addEventListener("click", (event) => {
      if (moved) return event.stopImmediatePropagation();
      document.elementsFromPoint(event.clientX, event.clientY).find((target) => target.matches(".cell input"))?.focus();
    }, { capture: true });
  }
}

// A number that looks as its cell does.
function chip(grid, index) {
  const made = span("chip", grid.format(grid.values[index]));
  tint(made, grid.values[index], grid.tinted);
  return made;
}

// The result stays where it is, so that screen readers notice its change.
function showResult(place, parts, result, before = " = ") {
  const total = place.querySelector(".total") ?? span("total", span("plus"), element("output", { "data-result": "" }));
  total.firstChild.textContent = before;
  place.replaceChildren(...parts, total);
  if (total.lastChild.textContent !== result) total.lastChild.textContent = result;
}

// `0·0 + 1·1 = 1`, of terms [[grid, index], [grid, index]] and what is added: [grid, index].
function showFormula(place, terms, result, added = []) {
  const parts = [...terms, ...added.map((one) => [one])].map((factors, i) => {
    const term = element("span", { class: "term", "data-term": i });
    factors.forEach((factor, j) => term.append(...(j ? [span("dot", "·")] : []), chip(...factor)));
    return span("bound", ...(i ? [span("plus", " + ")] : []), term);
  });
  place.terms = terms;
  showResult(place, parts, result);
}

// Pointing at a term, or at one of its cells in these grids, marks all of them. Returns what links another grid.
function linkFormula(place, grids) {
  const mark = (wanted) => {
    const { terms = [], marked = [] } = place, found = terms.filter(wanted).flat();
    const owners = new Set(found.map(([owner]) => owner));
    for (const grid of [...marked, ...owners]) grid.mark("marked", found.filter(([owner]) => owner === grid).map(([, index]) => index));
    place.marked = owners;
    place.querySelectorAll(".term").forEach((term, i) => term.classList.toggle("marked", Boolean(terms[i] && wanted(terms[i], i))));
  };
  listen(place, "pointerover", ({ target }) => mark((_, i) => target.closest(`[data-term="${i}"]`)));
  const unmark = () => mark(() => false), link = (grid) => {
    listen(grid.place, "pointerover focusin", ({ target }) =>
      mark((term) => term.some(([owner, at]) => owner === grid && at === grid.indexOf(target))));
    listen(grid.place, "pointerleave focusout", unmark);
  };
  listen(place, "pointerleave", unmark);
  grids.forEach(link);
  return link;
}

// The slider in a label, with its value beside it.
function slider(label, change, format = numberText) {
  const input = label.querySelector("input");
  const text = label.lastElementChild === input ? label.appendChild(span("")) : label.lastElementChild;
  label.classList.add("slider");
  const show = () => (text.textContent = format(input.valueAsNumber));
  listen(input, "input", () => {
    show();
    change(input.valueAsNumber);
  });
  show();
  return {
    input,
    get value() {
      return input.valueAsNumber;
    },
    set value(value) {
      input.value = value;
      show();
    },
  };
}

// The group `data-NAME` of buttons of which one is pressed: `choose` gets its `data-choice`. Returns what presses one without choosing it.
function choices(root, name, choose) {
  const group = root.querySelector(`[data-${name}]`);
  const press = (choice) => group.querySelectorAll("button").forEach((button) => (button.ariaPressed = String(button.dataset.choice === choice)));
  listen(group, "click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    press(button.dataset.choice);
    choose(button.dataset.choice);
  });
  return press;
}

// Disables or hides a button; the heir gets its focus.
function withdraw(button, isGone, heir, how = "disabled") {
  if (isGone && button === document.activeElement) heir.focus();
  button[how] = isGone;
}

function whenPressed(root, name, act) {
  listen(root.querySelector(`[data-do="${name}"]`), "click", act);
}
