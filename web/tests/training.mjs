// Trains LeNet on the page as a reader would, and checks how well, how fast, and that the page answers meanwhile.
//
//   node training.mjs [OUT_DIR] [NATIVE.safetensors]
//
// OUT_DIR gets weights.safetensors, the weights after five epochs. NATIVE is a file of the same run by the trainer, as the
// page says: its numbers must have the same bits.
//
//   lenet train --isa scalar --network lenet-relu --batch 32 --lr 0.02 --schedule constant --epochs 5 --seed 1

import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { INDEX, Page, Report, withBrowser } from "./driver.mjs";

// Of the page's own test digits after five epochs; of the speed of scalar; of a task of the main thread.
const LEAST_ACCURACY = 0.97, LEAST_RATIO = 3, LONGEST_TASK_MS = 50;
const PARAMS = 61_706, NAME = "lenet-relu.safetensors";

// Before the page's scripts: tasks that keep the page from answering.
const watchTasks = () => {
  globalThis.longTasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => longTasks.push(duration))).observe({ type: "longtask" });
};

const isIn = (page, wanted, epoch = 0) => page.until((state, least) =>
  document.querySelector("#train-run").dataset.state === state && Number(document.querySelector("#train-tested").dataset.epoch ?? 0) >= least, wanted, epoch);

// Trains for some epochs from the beginning: { seconds, speed, accuracy, tasks: milliseconds of long tasks, digest }.
async function train(page, epochs) {
  await page.click("#train-epochs");
  await page.run(() => document.querySelector("#train-epochs").select());
  await page.type(`${epochs}`);
  await page.key("Enter");
  assert.equal(await page.run(() => document.querySelector("#train-epochs").value), `${epochs}`);
  await page.run(() => longTasks.splice(0));
  await page.click("#train-run");
  await isIn(page, "finished", epochs);
  const [seconds, accuracy, digest] = await Promise.all([["#train-seconds", "data-seconds"], ["#train-tested", "data-accuracy"], ["#train-digest", "data-digest"]]
    .map((place) => page.attribute(...place)));
  const tasks = await page.run(() => longTasks.splice(0));
  return { seconds: Number(seconds), speed: (10_000 * epochs) / seconds, accuracy: Number(accuracy), digest, tasks };
}

const said = ({ seconds, speed, accuracy }) => `${seconds.toFixed(2)} s, ${Math.round(speed)} images/s, test accuracy ${(100 * accuracy).toFixed(2)} %`;

// Downloads what was trained.
async function download(page, folder) {
  await page.send("Page.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
  await page.click("#train-download");
  const deadline = Date.now() + 10_000;
  for (;;) {
    const bytes = await readFile(join(folder, NAME)).catch(() => null);
    if (bytes?.length > 4 * PARAMS) return bytes;
    if (Date.now() > deadline) throw new Error(`${NAME} is not downloaded`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// The bits of a safetensors file's numbers, in the order of PyTorch's state_dict.
function numbersOf(bytes) {
  const length = Number(bytes.readBigUInt64LE(0)), header = JSON.parse(bytes.subarray(8, 8 + length));
  const names = [0, 3, 7, 9, 11].flatMap((layer) => [`${layer}.weight`, `${layer}.bias`]);
  return Buffer.concat(names.map((name) => {
    assert.equal(header[name].dtype, "F32");
    return bytes.subarray(...header[name].data_offsets.map((offset) => 8 + length + offset));
  }));
}

// Pause, step, the slider and reset, while it learns.
async function controls(page) {
  const steps = async () => Number(await page.attribute("#train-steps", "data-steps"));
  await page.click("#train-run");
  await page.until(() => document.querySelector("#train-steps").dataset.steps > 20 && document.querySelector("#train-epoch").textContent.startsWith("1"));
  await page.click("#train-run");
  await isIn(page, "paused");
  await new Promise((done) => setTimeout(done, 200));
  const paused = await steps();
  await new Promise((done) => setTimeout(done, 300));
  assert.equal(await steps(), paused, "it rests");
  await page.click("#train-step");
  await page.until((before) => Number(document.querySelector("#train-steps").dataset.steps) === before + 1, paused);
  const command = await page.text("#train-command");
  await page.slide("#train-rate", -1);
  await page.click("#train-run");
  await page.until((before) => Number(document.querySelector("#train-steps").dataset.steps) > before + 5, paused);
  assert.equal(await page.text("#train-command"), command, "the command is that of the run's first rate");
  assert.ok(await page.run(() => !document.querySelector("#train-command-note").hidden), "a note that the rate was changed");
  await page.click("#train-reset");
  await isIn(page, "ready");
  assert.equal(await page.text("#train-tested"), "–");
  await page.slide("#train-rate", -1.7);
  assert.match(await page.text("#train-command"), /--lr 0\.02 /);
  return `paused at step ${paused}, one step, another rate, reset`;
}

// A safetensors file whose header is what `change` returns of it, or changes in it.
function withHeader(bytes, change) {
  const length = Number(bytes.readBigUInt64LE(0)), header = JSON.parse(bytes.subarray(8, 8 + length));
  const changed = change(header), text = Buffer.from(JSON.stringify(changed === undefined ? header : changed)), size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([size, text, bytes.subarray(8 + length)]);
}

// Headers that lie, and what the page says of them.
const HOSTILE = [
  ...[[-8, 592], [0.5, 600.5], [0, 4], ["0", "600"], undefined].map((offsets) => [/place of 0.weight/, (header) => { header["0.weight"].data_offsets = offsets; }]),
  [/no tensor 0.weight of 6×1×5×5/, (header) => { header["0.weight"].shape = "6,1,5,5"; }],
  [/no safetensors file/, () => null],
  [/another network/, (header) => { header.__metadata__.network = "resnet"; }],
  [/pixel \/ 255/, (header) => { header.__metadata__.normalisation = "mean 0.13, deviation 0.31"; }],
];

// The file is read again; a truncated one is not, nor one whose header lies.
async function files(page, folder, bytes) {
  const says = (file) => page.until((name) => document.querySelector("#train-file-said").textContent.includes(name) && document.querySelector("#train-file-said").textContent, file);
  const shown = () => page.run(() => [document.querySelector("#lenet-network").value, ...[...document.querySelectorAll("[data-logit]")].map(({ textContent }) => textContent)].join());
  await writeFile(join(folder, "again.safetensors"), bytes);
  await page.choose("#train-file", join(folder, "again.safetensors"));
  await says("again.safetensors");
  await page.painted();
  const after = await shown();
  assert.ok(after.startsWith("loaded"), after);
  const refused = [];
  const wrong = [
    ["truncated", /cut off/, bytes.subarray(0, 100_000)], ["other", /no safetensors file/, bytes.subarray(1000)],
    ["empty", /no safetensors file/, bytes.subarray(0, 0)], ["large", /larger than 1 MB/, Buffer.alloc(1_000_001)],
    ...HOSTILE.map(([reason, change], i) => [`hostile${i}`, reason, withHeader(bytes, change)]),
  ];
  for (const [name, reason, part] of wrong) {
    await writeFile(join(folder, `${name}.safetensors`), part);
    await page.choose("#train-file", join(folder, `${name}.safetensors`));
    refused.push(await says(`${name}.safetensors: `));
    assert.match(refused.at(-1), reason);
  }
  await page.painted();
  assert.equal(await shown(), after, "the network is the one before");
  // What does not name its network is said to be taken for one.
  await writeFile(join(folder, "nameless.safetensors"), withHeader(bytes, (header) => { delete header.__metadata__; }));
  await page.choose("#train-file", join(folder, "nameless.safetensors"));
  assert.match(await says("nameless.safetensors"), /taken for ReLU/);
  return refused.join("; ");
}

// The longest task of pages' main threads during an action, in milliseconds of the processor's time: a busy machine lets tasks wait.
async function longestWork(browser, action) {
  const events = [];
  let complete;
  const isComplete = new Promise((resolve) => (complete = resolve));
  const leave = browser.listen(({ method, params }) => {
    if (method === "Tracing.dataCollected") events.push(...params.value);
    if (method === "Tracing.tracingComplete") complete();
  });
  const traceConfig = { includedCategories: ["disabled-by-default-devtools.timeline"], excludedCategories: ["*"] };
  await browser.send("Tracing.start", { transferMode: "ReportEvents", traceConfig });
  await action();
  await browser.send("Tracing.end");
  await isComplete;
  leave();
  const isOfMain = ({ pid, tid }) => events.some((event) => event.name === "thread_name" && event.args.name === "CrRendererMain" && event.pid === pid && event.tid === tid);
  const threads = new Map();
  for (const task of events.filter(({ name, tdur }) => name === "RunTask" && tdur > 0)) {
    const thread = `${task.pid} ${task.tid}`;
    threads.set(thread, !threads.has(thread) || threads.get(thread).tdur < task.tdur ? task : threads.get(thread));
  }
  return Math.max(...[...threads.values()].filter(isOfMain).map(({ tdur }) => tdur / 1000));
}

async function test(browser, folder, out, native) {
  const report = new Report();
  const open = async (engine) => {
    const page = await Page.open(browser, INDEX, { query: `language=en&engine=${engine}`, before: watchTasks });
    page.patience = 120_000;
    return page;
  };
  const page = await open("simd128");
  let one, five, bytes;
  await report.check("one epoch, simd128", [page], async () => said((one = await train(page, 1))));
  await report.check("five epochs, simd128", [page], async () => {
    five = await train(page, 5);
    assert.ok(five.accuracy >= LEAST_ACCURACY, said(five));
    return said(five);
  });
  await report.check("download", [page], async () => {
    bytes = await download(page, folder);
    const numbers = numbersOf(bytes);
    assert.equal(numbers.length, 4 * PARAMS);
    if (out) await copyFile(join(folder, NAME), join(out, "weights.safetensors"));
    if (!native) return `${bytes.length} bytes`;
    assert.ok(numbers.equals(numbersOf(await readFile(native))), "the trainer's weights have other bits");
    return `${bytes.length} bytes; all ${PARAMS} numbers have the bits of ${native}`;
  });
  await report.check("the page answers", [page], async () => {
    const longest = Math.max(0, ...one.tasks, ...five.tasks);
    if (longest <= LONGEST_TASK_MS) return `no task over ${LONGEST_TASK_MS} ms`;
    // Another program may have had the processor.
    const work = await longestWork(browser, () => train(page, 1));
    const compared = `a task of ${longest} ms; once more, the longest has ${work.toFixed(1)} ms of the processor's time`;
    assert.ok(work > 0 && work <= LONGEST_TASK_MS, compared);
    return `${compared}: the machine is busy`;
  });
  await report.check("files", [page], () => files(page, folder, bytes));
  await report.check("controls", [page], () => controls(page));
  // Pages one after the other: those behind are slowed down by the browser.
  await page.close();
  await report.check("one epoch, scalar", [], async () => {
    const once = async (engine) => {
      const other = await open(engine), result = await train(other, 1);
      assert.deepEqual(other.complaints(), []);
      await other.close();
      return result;
    };
    let scalar = await once("scalar"), note = "";
    const ratio = () => scalar.seconds / one.seconds;
    // Others may have had the processor.
    for (let tries = 1; tries < 4 && ratio() < LEAST_RATIO; tries++) {
      note += `; tried again after ${ratio().toFixed(2)}`;
      [one, scalar] = [await once("simd128"), await once("scalar")];
    }
    const compared = `${said(scalar)}; simd128 is ${ratio().toFixed(2)} times as fast${note}`;
    assert.ok(ratio() >= LEAST_RATIO, compared);
    assert.equal(scalar.digest, one.digest, "other bits than with simd128");
    return `${compared}, and has the same bits`;
  });
  report.end();
}

const [out, native] = process.argv.slice(2);
if (out) await mkdir(out, { recursive: true });
const folder = await mkdtemp(join(tmpdir(), "training-"));
await withBrowser(600, (browser) => test(browser, folder, out, native));
await rm(folder, { recursive: true });
