// Training in a worker, so that the page stays responsive.
"use strict";

// What runs in the worker. Its source becomes a script of its own: pages that were opened as files cannot start workers from
// files.
function trainingWorker() {
  const SLICE_MS = 40;
  const MISTAKES = 10;
  let wasm, sizes, digits, rate = 0, isRunning = false, firstRate, hasOneRate, run, options, epoch, steps, seen, busy, sums;

  const bytes = (start, length) => new Uint8Array(wasm.memory.buffer, start, length);
  const params = () => new Float32Array(wasm.memory.buffer, wasm.training_params(), sizes.params).slice();
  const tell = (type, message) => postMessage({ type, run, ...message });
  const image = (index) => digits.pixels.slice(index * sizes.image, (index + 1) * sizes.image);

  async function load({ module, packed, sizes: given }) {
    sizes = given;
    wasm = new WebAssembly.Instance(module).exports;
    digits = await unpackedDigits(packed, sizes.learned + sizes.tested, sizes.image);
    bytes(wasm.digit_pixels(), digits.pixels.length).set(digits.pixels);
    bytes(wasm.digit_labels(), digits.labels.length).set(digits.labels);
  }

  function start(given, number) {
    options = given;
    // What was told of the run before is not of interest any more.
    run = number;
    [firstRate, hasOneRate] = [rate, true];
    wasm.training_start(options.network === "sigmoid" ? 1 : 0, options.seed, options.digits, options.batch);
    [epoch, steps, seen, busy] = [0, 0, 0, 0];
    sums = { digits: 0, correct: 0, loss: 0 };
    tell("started", { params: params() });
  }

  // One step: { loss, accuracy }; null at the end of an epoch.
  function step() {
    const begun = performance.now();
    const count = wasm.training_step(rate);
    busy += performance.now() - begun;
    if (count === 0) return null;
    steps += 1;
    seen += count;
    hasOneRate &&= rate === firstRate;
    sums.digits += count;
    sums.correct += wasm.correct();
    sums.loss += wasm.loss();
    return { loss: wasm.loss() / count, accuracy: wasm.correct() / count };
  }

  function endEpoch() {
    epoch += 1;
    const learned = { accuracy: sums.correct / sums.digits, loss: sums.loss / sums.digits };
    sums = { digits: 0, correct: 0, loss: 0 };
    const [tested, wrong] = [test(), mistakes()];
    tell("epoch", { epoch, learned, tested, mistakes: wrong, params: params() });
    if (epoch < options.epochs) return;
    isRunning = false;
    tell("finished", { params: params() });
  }

  function test() {
    const total = { digits: 0, correct: 0, loss: 0 };
    for (let first = 0; first < sizes.tested; first += 16) {
      total.digits += wasm.training_test(sizes.learned + first);
      total.correct += wasm.correct();
      total.loss += wasm.loss();
    }
    return { accuracy: total.correct / total.digits, loss: total.loss / total.digits };
  }

  // The first test digits that the network takes for others.
  function mistakes() {
    const found = [];
    new Float32Array(wasm.memory.buffer, wasm.inference_params(), sizes.params).set(params());
    for (let i = sizes.learned; i < digits.labels.length && found.length < MISTAKES; i++) {
      bytes(wasm.inference_pixels(), sizes.image).set(image(i));
      const taken = wasm.infer(options.network === "sigmoid" ? 1 : 0, 1);
      if (taken !== digits.labels[i]) found.push({ pixels: image(i), label: digits.labels[i], taken });
    }
    return found;
  }

  // Steps for a while, or one step, and tells what was learned; commands are heard in between. False at the end of an epoch.
  function slice(deadline) {
    const points = [];
    let point;
    do {
      point = step();
      if (point) points.push(point);
    } while (point && performance.now() < deadline);
    if (points.length > 0) {
      const mean = (name) => points.reduce((sum, each) => sum + each[name], 0) / points.length;
      const [loss, accuracy] = [mean("loss"), mean("accuracy")];
      tell("progress", { steps, seen, seconds: busy / 1000, hasOneRate, loss, accuracy, kernels: params().slice(0, 150) });
    }
    if (!point) endEpoch();
    return Boolean(point);
  }

  // A test digit that shows `label`, or any: the next one from `from` on.
  function digit({ label, from, id }) {
    for (let i = 0; i < sizes.tested; i++) {
      const index = sizes.learned + ((from + i) % sizes.tested);
      if (label !== undefined && digits.labels[index] !== label) continue;
      return tell("digit", { id, index: index - sizes.learned, pixels: image(index), label: digits.labels[index] });
    }
  }

  const channel = new MessageChannel();
  let isNextSliceSent = false;
  function sendNextSlice() {
    if (!isNextSliceSent) channel.port2.postMessage(null);
    isNextSliceSent = true;
  }
  channel.port1.onmessage = () => {
    isNextSliceSent = false;
    if (!isRunning) return;
    slice(performance.now() + SLICE_MS);
    if (isRunning) sendNextSlice();
  };

  function obey(data) {
    if (data.rate !== undefined) rate = data.rate;
    // The page may not have heard yet that it is over.
    if (["run", "step"].includes(data.type) && epoch >= options.epochs) return;
    switch (data.type) {
      case "start": isRunning = false; start(data.options, data.run); break;
      case "run":
        isRunning = true;
        sendNextSlice();
        break;
      case "pause":
        isRunning = false;
        tell("paused", { params: params() });
        break;
      case "step":
        isRunning = false;
        if (!slice(0) && epoch < options.epochs) slice(0);
        if (epoch < options.epochs) tell("paused", { params: params() });
        break;
      case "digit": digit(data); break;
    }
  }

  // Commands wait until the digits are there.
  let loaded;
  onmessage = async ({ data }) => {
    if (data.type === "load") loaded = load(data);
    try {
      await loaded;
      obey(data);
    } catch (error) {
      tell("failed", { message: error.message });
    }
  };
}

// A network that learns. Those who `listen` get the worker's messages: started, progress, epoch, paused, finished, failed.
class Training {
  static #only;
  #worker;
  #listeners = new Set();
  #asked = new Map();
  #next = 0;
  #run = 0;

  // The page has one, which loads the digits when it is first asked for.
  static async load(module) {
    const digits = await builtText("digits");
    return (Training.#only ??= new Training(module, digits));
  }

  constructor(module, packed) {
    const source = `"use strict";\n${unpacked}\n${unpackedDigits}\n(${trainingWorker})()`;
    const script = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(script);
    URL.revokeObjectURL(script);
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    this.#worker.onerror = ({ message }) => this.#fail(message);
    const sizes = { params: PARAM_COUNT, image: IMAGE_LEN, learned: LEARNED, tested: TESTED };
    this.#worker.postMessage({ type: "load", module, packed, sizes });
  }

  #hear(message) {
    if (message.type === "failed") return this.#fail(message.message);
    if (message.type !== "digit") {
      // Nothing of a run before the last start.
      if (message.run === this.#run) this.#listeners.forEach((listener) => listener(message));
      return;
    }
    this.#asked.get(message.id).resolve(message);
    this.#asked.delete(message.id);
  }

  // The next `load` makes another.
  #fail(message) {
    const error = errorOf(`the worker has failed: ${message}`, `后台线程出错：${message}`);
    this.#worker.terminate();
    if (Training.#only === this) Training.#only = undefined;
    this.#asked.forEach(({ reject }) => reject(error));
    this.#listeners.forEach((listener) => listener({ type: "failed", error }));
  }

  listen(listener) {
    this.#listeners.add(listener);
  }

  // options: { network: "relu" or "sigmoid", seed, digits (a multiple of 16, at most 10,000), batch (a multiple of 16), epochs }
  start(options, rate) {
    this.#run += 1;
    this.#worker.postMessage({ type: "start", options, rate, run: this.#run });
  }

  // "run", "pause", or "step".
  command(type) {
    this.#worker.postMessage({ type });
  }

  // From the next step on.
  set rate(rate) {
    this.#worker.postMessage({ type: "rate", rate });
  }

  // A test digit: { index, pixels, label }, the next one from the index `from` on, with that label if there is one.
  digit({ label, from }) {
    const id = this.#next++;
    this.#worker.postMessage({ type: "digit", label, from, id });
    return new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
  }
}
