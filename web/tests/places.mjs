// Where things are in the chapters, and what is read there.

import assert from "node:assert/strict";

export const equal = assert.deepEqual;
export const cell = (chapter, grid, row, column) => `#${chapter} [data-cell="${grid}"][data-row="${row}"][data-column="${column}"]`;
export const button = (chapter, group, choice) => `#${chapter} [data-${group}] [data-choice="${choice}"]`;
export const input = (chapter, slider) => `#${chapter} [data-slider="${slider}"] input`;
export const frame = (chapter, grid) => `#${chapter} .frame[data-frame="${grid}"]`;
export const at = (page, chapter, grid) => page.attribute(frame(chapter, grid), "data-at");
export const nearly = (shown, expected, tolerance, what) => {
  equal(shown.length, expected.length, what);
  shown.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= tolerance, `${what}: ${shown} for ${expected}`));
};
// The terms of a formula, [[factor, factor], ...], and its result.
export const formula = async (page, chapter, index = 0) => {
  const texts = await page.run((one, which) => {
    const place = document.querySelectorAll(one)[which];
    return [[...place.querySelectorAll(".term")].map((term) => term.textContent), place.querySelector("[data-result]").textContent];
  }, `#${chapter} .formula`, index);
  const number = (text) => Number(text.replace("−", "-"));
  return { terms: texts[0].map((term) => term.split("·").map(number)), result: number(texts[1]) };
};
