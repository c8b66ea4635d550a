// What the chapters share: numbers, grids of numbers with windows on them, formulas, sliders.
"use strict";

// An element: its attributes, then what it contains.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(attribute, value);
  }
  made.append(...children);
  return made;
}

// A number as text, of at most so many decimals, with a true minus.
function numberText(value, decimals = 2) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const text = Math.abs(value) >= 1e5 ? value.toExponential(1).replace("e+", "e") : String(Number(value.toFixed(decimals)));
  return (text === "-0" ? "0" : text).replace("-", "−");
}

// The number that a text means, or undefined: 3, -0.5, −.5, 1/9.
function parseNumber(text) {
  const match = /^([+-]?)(\d*\.?\d*)(?:\/(\d+))?$/.exec(text.trim().replace("−", "-").replace(",", "."));
  if (!match || !/\d/.test(match[2])) return undefined;
  const value = (match[1] === "-" ? -1 : 1) * Number(match[2]) / Number(match[3] ?? 1);
  return Math.abs(value) <= 999 ? value : undefined;
}

// Numbers from `from` on.
const sequence = (length, from = 0) => Array.from({ length }, (_, i) => from + i);

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

// Colours an element by the sign and size of a value; the largest magnitude gets the whole colour.
function tint(target, value, largest) {
  const share = largest > 0 && Number.isFinite(value) ? Math.min(Math.abs(value) / largest, 1) : 0;
  target.classList.toggle("positive", value > 0);
  target.classList.toggle("negative", value < 0);
  target.style.setProperty("--share", `${(share * 46).toFixed(1)}%`);
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

// A grid of numbers, in which arrow keys move. Options:
//   name           goes into `data-cell` of its cells, beside `data-row` and `data-column`
//   label          [en, zh] for screen readers
//   cell           its pixels, where there is room
//   edit(values)   makes the numbers editable
//   select(r, c)   makes the cells focusable, and is called when one gets the focus or is pressed
//   largest        magnitude with the whole colour; that of the largest value unless given
//   format(value)  text of a number
class Grid {
  values = [];

  constructor(place, { name, label, cell = 48, edit, select, largest, format = numberText }) {
    Object.assign(this, { place, name, edit, select, largest, format });
    place.classList.add("grid");
    place.style.setProperty("--cell", `${cell}px`);
    this.body = element("div", { role: edit || select ? "grid" : "table" });
    place.append(this.body);
    if (label) tell(this.body, ...label, "aria-label");
    if (edit || select) {
      place.addEventListener("keydown", (event) => this.#key(event));
      place.addEventListener("focusin", ({ target }) => this.#focus(target));
    }
    if (edit) {
      place.addEventListener("input", ({ target }) => this.#input(target));
      place.addEventListener("focusout", ({ target }) => this.#leave(target));
    }
    if (select) place.addEventListener("click", ({ target }) => target.closest(".cell")?.focus());
  }

  // Makes it this large and fills it.
  resize(rows, columns, values) {
    if (this.rows !== rows || this.columns !== columns) {
      Object.assign(this, { rows, columns });
      this.place.style.setProperty("--columns", columns);
      this.body.replaceChildren();
      this.cells = [];
      for (let r = 0; r < rows; r++) {
        const row = element("div", { role: "row" });
        for (let c = 0; c < columns; c++) row.append(this.#cell(r, c));
        this.body.append(row);
      }
      this.#roveTo(0);
    }
    this.show(values);
  }

  #cell(row, column) {
    const isGrid = this.edit || this.select;
    const cell = element("div", {
      class: "cell", role: isGrid ? "gridcell" : "cell", "data-cell": this.name, "data-row": row, "data-column": column,
      tabindex: this.select && !this.edit ? -1 : undefined,
    });
    if (this.edit) {
      const input = element("input", { type: "text", autocomplete: "off", enterkeyhint: "next", tabindex: -1, spellcheck: "false" });
      tell(input, `row ${row + 1}, column ${column + 1}`, `第 ${row + 1} 行第 ${column + 1} 列`, "aria-label");
      cell.append(input);
    }
    this.cells.push(cell);
    return cell;
  }

  cell(row, column) {
    return this.cells[row * this.columns + column];
  }

  // What takes the focus for a cell.
  #target(index) {
    return this.edit ? this.cells[index]?.firstChild : this.cells[index];
  }

  #roveTo(index) {
    if (!this.edit && !this.select) return;
    this.cells.forEach((_, i) => (this.#target(i).tabIndex = i === index ? 0 : -1));
  }

  // Shows values; what is being typed is left alone.
  show(values) {
    this.values = Array.from(values);
    const largest = this.largest ?? this.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    this.cells.forEach((cell, i) => {
      const value = this.values[i], text = this.format(value);
      tint(cell, value, largest);
      cell.style.setProperty("--length", text.length);
      if (!this.edit) {
        if (cell.textContent !== text) cell.textContent = text;
      } else if (document.activeElement !== cell.firstChild || parseNumber(cell.firstChild.value) !== value) {
        cell.firstChild.value = text;
        cell.firstChild.ariaInvalid = null;
      }
    });
    this.tinted = largest;
  }

  // The cells (by index) that have a class from now on; all others lose it.
  mark(name, indices) {
    const marked = new Set(indices);
    this.cells.forEach((cell, i) => cell.classList.toggle(name, marked.has(i)));
  }

  // The one cell that is the current one; the tab key leads to it.
  set current(index) {
    this.mark("current", [index]);
    if (!this.cells.some((cell) => cell.contains(document.activeElement))) this.#roveTo(index);
  }

  indexOf(target) {
    return this.cells.indexOf(target.closest?.(".cell"));
  }

  #key(event) {
    const index = this.indexOf(event.target);
    if (index < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    let next = index;
    if (ARROWS[event.key]) {
      const [down, right] = ARROWS[event.key];
      const row = clamp(Math.floor(index / this.columns) + down, 0, this.rows - 1);
      next = row * this.columns + clamp((index % this.columns) + right, 0, this.columns - 1);
    } else if (event.key === "Home") next = index - (index % this.columns);
    else if (event.key === "End") next = index - (index % this.columns) + this.columns - 1;
    else if (event.key === "Enter") next = (index + 1) % this.cells.length;
    else if (event.key === "Escape" && this.edit) {
      event.target.value = this.format(this.values[index]);
      event.target.select();
      return;
    } else return;
    event.preventDefault();
    this.#target(next).focus();
  }

  #focus(target) {
    const index = this.indexOf(target);
    if (index < 0) return;
    this.#roveTo(index);
    if (this.edit) target.select();
    this.select?.(Math.floor(index / this.columns), index % this.columns);
  }

  #input(target) {
    const value = parseNumber(target.value);
    target.ariaInvalid = value === undefined ? "true" : null;
    if (value === undefined) return;
    const values = [...this.values];
    values[this.indexOf(target)] = value;
    this.values = values;
    this.edit(values);
  }

  #leave(target) {
    const index = this.indexOf(target);
    if (index < 0) return;
    target.value = this.format(this.values[index]);
    target.ariaInvalid = null;
  }
}

// A window on a grid, moved by dragging anywhere on the grid, or by arrow keys. `move(i, j)` gets the position that is wanted.
class Frame {
  constructor(grid, { label, move, handle = true }) {
    Object.assign(this, { grid, move, at: [0, 0] });
    this.element = element("div", { class: "frame", "data-frame": grid.name });
    grid.place.append(this.element);
    if (!handle) return;
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "slider");
    this.element.setAttribute("aria-valuemin", 1);
    tell(this.element, ...(label ?? ["window", "窗口"]), "aria-label");
    this.element.addEventListener("keydown", (event) => {
      const arrow = ARROWS[event.key];
      if (!arrow) return;
      event.preventDefault();
      event.stopPropagation();
      this.#moveTo(this.at[0] + arrow[0], this.at[1] + arrow[1]);
    });
    this.#drag();
  }

  // window: [rows, columns]; count: positions on each axis; stride and at: [rows, columns].
  place({ window, count, stride = [1, 1], at }) {
    Object.assign(this, { window, count, stride, at });
    const { rows, columns } = this.grid;
    const { style } = this.element;
    style.top = `${(100 * at[0] * stride[0]) / rows}%`;
    style.left = `${(100 * at[1] * stride[1]) / columns}%`;
    style.height = `${(100 * window[0]) / rows}%`;
    style.width = `${(100 * window[1]) / columns}%`;
    this.element.dataset.at = at.join();
    if (this.element.role !== "slider") return;
    this.element.setAttribute("aria-valuemax", count[0] * count[1]);
    this.element.setAttribute("aria-valuenow", at[0] * count[1] + at[1] + 1);
    tell(this.element, `row ${at[0] + 1}, column ${at[1] + 1}`, `第 ${at[0] + 1} 行第 ${at[1] + 1} 列`, "aria-valuetext");
  }

  // The indices of the cells in the window.
  get inside() {
    const [top, left] = [this.at[0] * this.stride[0], this.at[1] * this.stride[1]];
    return sequence(this.window[0] * this.window[1]).map((i) =>
      (top + Math.floor(i / this.window[1])) * this.grid.columns + left + (i % this.window[1]));
  }

  #moveTo(row, column) {
    const [i, j] = [clamp(row, 0, this.count[0] - 1), clamp(column, 0, this.count[1] - 1)];
    if (i !== this.at[0] || j !== this.at[1]) this.move(i, j);
  }

  #drag() {
    const { place } = this.grid;
    let start = null, moved = false;
    const point = (event) => {
      const box = place.getBoundingClientRect();
      return [((event.clientY - box.top) / box.height) * this.grid.rows, ((event.clientX - box.left) / box.width) * this.grid.columns];
    };
    place.classList.add("dragged");
    // A press alone is for the cell below; the focus waits until it is known not to be a drag.
    place.addEventListener("mousedown", (event) => event.preventDefault());
    place.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || (event.pointerType === "touch" && event.target !== this.element)) return;
      const at = point(event);
      const corner = this.at.map((index, axis) => index * this.stride[axis]);
      const held = at.map((value, axis) => value - corner[axis]);
      const isInside = held.every((value, axis) => value >= 0 && value <= this.window[axis]);
      start = { x: event.clientX, y: event.clientY, held: isInside ? held : this.window.map((size) => size / 2) };
      moved = false;
    });
    place.addEventListener("pointermove", (event) => {
      if (!start) return;
      if (!moved && Math.hypot(event.clientX - start.x, event.clientY - start.y) < 5) return;
      if (!moved) {
        moved = true;
        place.setPointerCapture(event.pointerId);
        place.classList.add("dragging");
      }
      const at = point(event);
      this.#moveTo(...at.map((value, axis) => Math.round((value - start.held[axis]) / this.stride[axis])));
    });
    const end = () => {
      start = null;
      place.classList.remove("dragging");
    };
    place.addEventListener("pointerup", end);
    place.addEventListener("pointercancel", end);
    place.addEventListener("click", (event) => {
      if (moved) {
        event.stopImmediatePropagation();
        moved = false;
        return;
      }
      // The window covers its cells where fingers drag it.
      document.elementsFromPoint(event.clientX, event.clientY).find((target) => target.matches(".cell input"))?.focus();
    }, { capture: true });
  }
}

// A number that looks as its cell does.
function chip(grid, index) {
  const made = element("span", { class: "chip" }, grid.format(grid.values[index]));
  tint(made, grid.values[index], grid.tinted);
  return made;
}

// A sum of products, in an element of class `formula`: `0·0 + 1·1 = 1`. terms: [[grid, index], [grid, index]]; added: chips added
// at the end; result: text. Pointing at a term, or at one of its cells, marks all three.
function showFormula(place, terms, added, result) {
  const parts = [];
  terms.forEach((factors, i) => {
    const term = element("span", { class: "term", "data-term": i });
    factors.forEach(([grid, index], j) => term.append(...(j ? [element("span", { class: "dot" }, "·")] : []), chip(grid, index)));
    parts.push(element("span", { class: "bound" }, ...(i ? [element("span", { class: "plus" }, " + ")] : []), term));
  });
  for (const one of added) parts.push(element("span", { class: "bound" }, element("span", { class: "plus" }, " + "), one));
  // The result stays where it is, so that screen readers notice its change.
  let output = place.querySelector("output");
  if (!output) {
    output = element("output", { class: "result", "data-result": "" });
    place.append(element("span", { class: "total" }, element("span", { class: "plus" }, " = "), output));
  }
  while (place.children.length > 1) place.firstChild.remove();
  place.prepend(...parts);
  if (output.textContent !== result) output.textContent = result;
  place.terms = terms;
}

// Links a formula to the cells of these grids.
function linkFormula(place, grids) {
  const mark = (which) => {
    const terms = place.terms ?? [];
    for (const grid of grids) {
      grid.mark("marked", which.flatMap((i) => terms[i]).filter(([owner]) => owner === grid).map(([, index]) => index));
    }
    place.querySelectorAll(".term").forEach((term, i) => term.classList.toggle("marked", which.includes(i)));
  };
  place.addEventListener("pointerover", ({ target }) => {
    const term = target.closest(".term");
    mark(term ? [Number(term.dataset.term)] : []);
  });
  place.addEventListener("pointerleave", () => mark([]));
  for (const grid of grids) {
    const find = ({ target }) => {
      const index = grid.indexOf(target);
      mark(sequence(place.terms?.length ?? 0).filter((i) => place.terms[i].some(([owner, at]) => owner === grid && at === index)));
    };
    grid.place.addEventListener("pointerover", find);
    grid.place.addEventListener("focusin", find);
    for (const event of ["pointerleave", "focusout"]) grid.place.addEventListener(event, () => mark([]));
  }
}

// A slider of the form <label class="slider"><span>..</span><input type="range"><span></span></label>: calls `change(value)` when
// it is moved, and shows the value. Returns { value }, which can be set.
function slider(label, change, format = numberText) {
  const input = label.querySelector("input"), text = label.lastElementChild;
  const show = () => (text.textContent = format(input.valueAsNumber));
  input.addEventListener("input", () => {
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

// Buttons of which one is pressed: `choose(value)` gets its `data-choice`.
function choices(group, choose) {
  const buttons = [...group.querySelectorAll("[data-choice]")];
  const press = (choice) => buttons.forEach((button) => (button.ariaPressed = String(button.dataset.choice === choice)));
  group.addEventListener("click", ({ target }) => {
    const choice = target.closest("[data-choice]")?.dataset.choice;
    if (choice === undefined) return;
    press(choice);
    choose(choice);
  });
  return press;
}
