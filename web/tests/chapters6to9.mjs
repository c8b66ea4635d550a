// Chapters 6 to 9 of the page, operated by mouse, typing and keyboard; and all of them by a finger. Each function returns what it
// saw, as text.

import assert from "node:assert/strict";
import { correlate, patches, pool, sequence } from "./expected.mjs";
import { at, button, cell, equal, formula, input, nearly, frame } from "./places.mjs";

export async function padding(page) {
  const NAMES = ["n0", "n1", "k0", "k1", "p0", "p1", "s0", "s1"];
  const seen = [];
  const isRight = async ([n0, n1, k0, k1, p0, p1, s0, s1]) => {
    const expected = correlate({ x: Array(n0 * n1).fill(1), w: Array(k0 * k1).fill(1), size: [n0, n1], kernel: [k0, k1], padding: [p0, p1], stride: [s0, s1] });
    equal(await page.grid("padding", "output"), expected);
    const shape = await page.shape("padding", "output");
    equal(shape, [Math.floor((n0 + 2 * p0 - k0 + s0) / s0), Math.floor((n1 + 2 * p1 - k1 + s1) / s1)]);
    equal(await page.shape("padding", "image"), [n0 + 2 * p0, n1 + 2 * p1]);
    return shape.join("x");
  };
  for (const [choice, shape] of [["8 8 3 3 1 1 1 1", "8x8"], ["8 8 5 3 2 1 1 1", "8x8"], ["8 8 3 3 1 1 2 2", "4x4"], ["8 8 3 5 0 1 3 4", "2x2"]]) {
    await page.click(button("padding", "presets", choice));
    seen.push(await isRight(choice.split(" ").map(Number)));
    equal(seen.at(-1), shape);
  }
  await page.drag(cell("padding", "image", 1, 2), cell("padding", "image", 4, 6));
  equal(await at(page, "padding", "image"), "1,1");
  await page.tabTo(frame("padding", "image"));
  await page.keys("ArrowUp");
  equal(await at(page, "padding", "image"), "0,1");

  await page.tabTo(button("padding", "presets", "8 8 3 3 1 1 2 2"));
  await page.key(" ");
  for (const [name, key] of [["n0", "ArrowRight"], ["k1", "ArrowRight"], ["p1", "Home"], ["s0", "ArrowRight"]]) {
    await page.tabTo(input("padding", name));
    await page.key(key);
  }
  const numbers = await page.numbers(NAMES.map((name) => input("padding", name)).join());
  equal(numbers.toSorted(), [9, 8, 3, 4, 1, 0, 3, 2].toSorted());
  await isRight([9, 8, 3, 4, 1, 0, 3, 2]);
  // A kernel that does not fit.
  await page.slide(input("padding", "n1"), 1);
  assert.ok(await page.run(() => !document.querySelector("#padding [role=alert]").hidden), "an alert");
  await page.slide(input("padding", "n1"), 8);
  assert.ok(await page.run(() => document.querySelector("#padding [role=alert]").hidden), "no alert");
  await page.click(button("padding", "presets", "8 8 3 3 1 1 1 1"));
  return `presets, drag, keyboard: ${seen.join(" ")}`;
}

export async function channels(page) {
  const outputs = async (count) => (await Promise.all(sequence(count).map((o) => page.grid("channels", `output-${o}`))));
  const x = [...sequence(9), ...sequence(9, 1)], first = [...sequence(4), ...sequence(4, 1)];
  const under = (w, k) => {
    const all = correlate({ x, w, channels: 2, size: [3, 3], kernel: [k, k] }), each = (4 - k) ** 2;
    return sequence(all.length / each).map((o) => all.slice(o * each, (o + 1) * each));
  };
  equal(await outputs(1), [[56, 72, 104, 120]]);
  equal(await page.text("#channels [data-cost]"), "2 · 1 · 2 · 2 · 2 · 2 = 32");
  await page.drag(cell("channels", "input-1", 0, 0), cell("channels", "input-1", 1, 1));
  equal(await Promise.all([at(page, "channels", "input-0"), at(page, "channels", "input-1")]), ["1,1", "1,1"]);
  equal(await Promise.all([0, 1, 2].map(async (i) => (await page.texts("#channels .formula [data-result]"))[i])), ["43", "77", "120"]);

  await page.click(button("channels", "modes", "three"));
  const three = [0, 1, 2].map((more) => first.map((weight) => weight + more));
  equal(await outputs(3), [[56, 72, 104, 120], [76, 100, 148, 172], [96, 128, 192, 224]]);
  equal(await outputs(3), under(three.flat(), 2));
  await page.write("channels", "kernel-1-0", 0, 1, "-6");
  equal(await outputs(3), under(three.flat().with(9, -6), 2));

  await page.tabTo(button("channels", "modes", "mix"));
  await page.key("Enter");
  equal(await outputs(3), under([1, 1, 1, -1, 2, 5], 1));
  const linear = await page.grid("channels", "linear");
  equal(linear, sequence(27).map((i) => under([1, 1, 1, -1, 2, 5], 1)[i % 3][Math.floor(i / 3)]));
  assert.match(await page.text("#channels [data-dense] figcaption"), /27 .* 27/);
  await page.tabTo(frame("channels", "input-0"));
  await page.keys("ArrowDown", "ArrowRight");
  equal(await at(page, "channels", "input-1"), "1,1");
  await page.tabTo('#channels [data-do="reset"]');
  await page.key("Enter");
  equal(await outputs(1), [[56, 72, 104, 120]]);
  return "drag, typing, keyboard: 56 72 104 120, 76 100 148 172, 96 128 192 224, and 1x1 as fully connected";
}

export async function pooling(page) {
  const PRESETS = { "1 3 2 2 0 0 1 1": [[4, 5, 7, 8]], "1 4 3 3 0 0 3 3": [[10]], "1 4 3 3 1 1 2 2": [[5, 7, 13, 15]], "1 4 2 3 0 1 2 3": [[5, 7, 13, 15]], "2 4 3 3 1 1 2 2": [[5, 7, 13, 15], [6, 8, 14, 16]] };
  const shows = async (choice, isMean) => {
    const [count, size, k0, k1, p0, p1, s0, s1] = choice.split(" ").map(Number), shown = [];
    for (const channel of sequence(count)) {
      shown.push(await page.grid("pooling", `output-${channel}`));
      const expected = pool({ x: sequence(size * size, channel), size, window: [k0, k1], padding: [p0, p1], stride: [s0, s1], isMean });
      nearly(shown[channel], expected, 0.0051, choice);
    }
    return shown;
  };
  for (const [choice, maxima] of Object.entries(PRESETS)) {
    await page.click(button("pooling", "presets", choice));
    equal(await shows(choice, false), maxima);
  }
  await page.tabTo(button("pooling", "kinds", "average"));
  await page.key("Enter");
  for (const choice of Object.keys(PRESETS).toReversed()) {
    await page.tabTo(button("pooling", "presets", choice));
    await page.key(" ");
    await shows(choice, true);
  }
  equal(await page.grid("pooling", "output-0"), [2, 3, 5, 6]);
  await page.drag(cell("pooling", "input-0", 0, 0), cell("pooling", "input-0", 1, 0));
  equal(await page.text("#pooling .formula [data-result]"), "5");
  await page.tabTo(frame("pooling", "input-0"));
  await page.keys("ArrowRight");
  equal(await page.text("#pooling .formula [data-result]"), "6");

  // The edge, and how often its map and the maxima of the map change.
  const state = (edge) => {
    const map = correlate({ x: sequence(54).map((i) => Number(i % 9 < edge)), w: [1, -1], size: [6, 9], kernel: [1, 2] });
    const maxima = sequence(12).map((i) => Math.max(...[0, 1, 8, 9].map((tap) => map[Math.floor(i / 4) * 16 + (i % 4) * 2 + tap])));
    return { map, maxima };
  };
  const counts = async () => (await page.run(() => document.querySelector("#pooling .noticed").innerText)).match(/\d+/g).map(Number);
  const noticed = { moves: 0, map: 0, maxima: 0 };
  let edge = 1;
  const moved = async (to) => {
    for (; edge !== to; edge += Math.sign(to - edge)) {
      const [before, after] = [state(edge), state(edge + Math.sign(to - edge))];
      noticed.moves += 1;
      for (const name of ["map", "maxima"]) noticed[name] += Number(before[name].join() !== after[name].join());
    }
    equal(await page.numbers(input("pooling", "edge")), [edge]);
    equal([await page.grid("pooling", "map"), await page.grid("pooling", "maxima")], Object.values(state(edge)));
    equal(await counts(), Object.values(noticed));
  };
  await moved(1);
  const left = await page.place(cell("pooling", "edge", 2, 0), 1), right = await page.place(cell("pooling", "edge", 2, 5), 1);
  await page.stroke([left, right]);
  await moved(6);
  await page.tabTo(input("pooling", "edge"));
  await page.keys("ArrowRight", "ArrowRight");
  await moved(8);
  await page.key("ArrowLeft");
  await moved(7);
  const said = (await counts()).join(" ");
  await page.tabTo('#pooling [data-do="count"]');
  await page.key("Enter");
  equal(await counts(), [0, 0, 0]);
  await page.click(button("pooling", "kinds", "max"));
  return `drag, presets, keyboard: 4 5 7 8, 2 3 5 6, 10, 5 7 13 15, 6 8 14 16; an edge moves, its map, the maxima: ${said}`;
}

export async function im2col(page) {
  let images = [sequence(16), sequence(16, 1)], kernel;
  const agrees = async (count, k) => {
    const x = images.slice(0, count).flat();
    const [matrix, product, output] = await Promise.all(["matrix", "product", "output"].map((name) => page.grid("im2col", name)));
    kernel = await page.grid("im2col", "kernel");
    equal(matrix, patches({ x, size: 4, kernel: k, channels: count }));
    const expected = correlate({ x, w: kernel, channels: count, size: [4, 4], kernel: [k, k] });
    equal(product, expected);
    equal(output, expected);
    return output;
  };
  const start = await agrees(1, 2);
  // Pointing at a pixel shows all its places; pointing at a place shows its pixel, its column and its sum.
  await page.hover(cell("im2col", "image-0", 1, 1));
  const marked = (grid) => page.run((all) => [...document.querySelectorAll(all)].map(({ dataset }) => `${dataset.row} ${dataset.column}`), `#im2col [data-cell="${grid}"].marked`);
  equal((await marked("matrix")).toSorted(), ["0 4", "1 3", "2 1", "3 0"]);
  await page.hover(cell("im2col", "matrix", 3, 4));
  equal(await marked("image-0"), ["2 2"]);
  equal((await formula(page, "im2col")).result, start[4]);
  equal(await at(page, "im2col", "image-0"), "1,1");
  await page.drag(cell("im2col", "image-0", 1, 1), cell("im2col", "image-0", 2, 2));
  equal(await at(page, "im2col", "image-0"), "2,2");
  equal((await formula(page, "im2col")).result, start[8]);

  await page.write("im2col", "image-0", 0, 3, "-7");
  images = [images[0].with(3, -7), images[1]];
  await page.write("im2col", "kernel", 3, 0, "0.5");
  await agrees(1, 2);
  equal(kernel.at(-1), 0.5);

  await page.tabTo(button("im2col", "kernels", 3));
  await page.key("Enter");
  images = [sequence(16), sequence(16, 1)];
  await agrees(1, 3);
  await page.tabTo(button("im2col", "channels", 2));
  await page.key("Enter");
  await agrees(2, 3);
  await page.tabTo('#im2col [data-cell="matrix"][tabindex="0"]');
  await page.keys("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown");
  equal(await at(page, "im2col", "image-1"), "1,1");
  await page.tabTo(frame("im2col", "image-1"));
  await page.key("ArrowUp");
  equal(await at(page, "im2col", "image-0"), "0,1");
  await page.click(button("im2col", "channels", 1));
  await page.click(button("im2col", "kernels", 2));
  return `pointing, drag, typing, keyboard: ${start.join(" ")} as product and as convolution`;
}

// By a finger on a phone: the window of each chapter that has one, the edge and the picture.
export async function touch(page) {
  const DRAGS = [
    ["correlation", "image", [0, 0], [1, 1], "1,1"], ["flip", "image", [0, 0], [0, 1], "0,1"], ["padding", "image", [1, 1], [3, 4], "2,3"],
    ["channels", "input-0", [0, 0], [1, 0], "1,0"], ["pooling", "input-0", [0, 0], [1, 1], "1,1"], ["im2col", "image-0", [0, 0], [2, 1], "2,1"],
  ];
  for (const [chapter, grid, from, to, expected] of DRAGS) {
    await page.drag(cell(chapter, grid, ...from), cell(chapter, grid, ...to), true);
    equal(await at(page, chapter, grid), expected, chapter);
  }
  equal((await formula(page, "correlation")).result, 43);
  await page.stroke([await page.place(cell("pooling", "edge", 2, 0), 1), await page.place(cell("pooling", "edge", 2, 3), 1)], true);
  equal(await page.numbers(input("pooling", "edge")), [4]);
  await page.slide(input("learn", "rate"), 0.02, true);
  nearly(await page.numbers(input("learn", "rate")), [0.02], 0.0011, "the rate");
  await page.tap(button("effects", "effects", "blur"));
  nearly(await page.grid("effects", "kernel"), Array(9).fill(1 / 9), 1e-9, "the kernel");
  await page.tap(cell("correlation", "kernel", 0, 0));
  await page.type("2");
  equal(await page.grid("correlation", "kernel"), [2, 1, 2, 3]);
  const small = await page.run(() => [...document.querySelectorAll("button, select, label:has(input), .cell:has(input)")].filter((one) => one.checkVisibility())
    .map((one) => [one.outerHTML.slice(0, 60), one.getBoundingClientRect()]).filter(([, { width, height }]) => Math.min(width, height) < 24).map(([text]) => text));
  equal(small, [], "too small for a finger");
  return `${DRAGS.length} windows, an edge, a slider, a button, a number`;
}
