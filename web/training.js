// Training in a worker, so that the page stays responsive.
"use strict";

// What runs in the worker. Its source becomes a script of its own: pages that were opened as files cannot start workers from
// files.
function trainingWorker() {
  const SLICE_MS = 40;
  let wasm, sizes, rate = 0, isRunning = false, options, epoch, steps, seen, started, busy, sums;

  const bytes = (start, length) => new Uint8Array(wasm.memory.buffer, start, length);
  const params = () => new Float32Array(wasm.memory.buffer, wasm.training_params(), sizes.params);

  function load({ module, pixels, labels, sizes: given }) {
    wasm = new WebAssembly.Instance(module).exports;
    sizes = given;
    bytes(wasm.digit_pixels(), pixels.length).set(pixels);
    bytes(wasm.digit_labels(), labels.length).set(labels);
  }

  function start(given) {
    options = given;
    wasm.training_start(options.network === "sigmoid" ? 1 : 0, options.seed, options.digits, options.batch);
    [epoch, steps, seen, busy] = [0, 0, 0, 0];
    sums = { digits: 0, correct: 0, loss: 0 };
    postMessage({ type: "started", params: params().slice() });
  }

  // One step; at the end of an epoch, the test.
  function step() {
    const begun = performance.now();
    let digits = wasm.training_step(rate);
    if (digits === 0) {
      epoch += 1;
      busy += performance.now() - begun;
      const learned = { accuracy: sums.correct / sums.digits, loss: sums.loss / sums.digits };
      sums = { digits: 0, correct: 0, loss: 0 };
      postMessage({ type: "epoch", epoch, steps, seen, seconds: busy / 1000, learned, tested: test() });
      if (epoch >= options.epochs) {
        isRunning = false;
        postMessage({ type: "finished", params: params().slice() });
      }
      return null;
    }
    busy += performance.now() - begun;
    steps += 1;
    seen += digits;
    sums.digits += digits;
    sums.correct += wasm.correct();
    sums.loss += wasm.loss();
    return { loss: wasm.loss() / digits, accuracy: wasm.correct() / digits };
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

  // Steps for a while, then what was learned; commands are heard in between.
  function slice(deadline) {
    const points = [];
    do {
      const point = step();
      if (point) points.push(point);
    } while (isRunning && performance.now() < deadline);
    if (points.length === 0) return;
    const mean = (name) => points.reduce((sum, point) => sum + point[name], 0) / points.length;
    postMessage({
      type: "progress", epoch, steps, seen, seconds: busy / 1000, loss: mean("loss"), accuracy: mean("accuracy"),
      kernels: params().slice(0, 156),
    });
  }

  const channel = new MessageChannel();
  channel.port1.onmessage = () => {
    if (!isRunning) return;
    slice(performance.now() + SLICE_MS);
    channel.port2.postMessage(null);
  };

  onmessage = ({ data }) => {
    if (data.rate !== undefined) rate = data.rate;
    switch (data.type) {
      case "load": load(data); break;
      case "start": isRunning = false; start(data.options); break;
      case "run":
        if (!isRunning) channel.port2.postMessage(null);
        isRunning = true;
        break;
      case "pause":
        isRunning = false;
        postMessage({ type: "paused", params: params().slice() });
        break;
      case "step": isRunning = false; slice(0); break;
      case "params": postMessage({ type: "params", params: params().slice() }); break;
    }
  };
}

// A network that learns. `hear` gets the worker's messages: started, progress, epoch, paused, params, finished.
class Training {
  #worker;

  constructor(module, { pixels, labels }, hear) {
    const script = URL.createObjectURL(new Blob([`(${trainingWorker})()`], { type: "text/javascript" }));
    this.#worker = new Worker(script);
    URL.revokeObjectURL(script);
    this.#worker.onmessage = ({ data }) => hear(data);
    this.#worker.onerror = ({ message }) => hear({ type: "failed", message });
    this.#worker.postMessage({
      type: "load", module, pixels, labels, sizes: { params: PARAM_COUNT, learned: LEARNED, tested: TESTED },
    });
  }

  // options: { network: "relu" or "sigmoid", seed, digits (a multiple of 16, at most 10,000), batch (a multiple of 16), epochs }
  start(options, rate) {
    this.#worker.postMessage({ type: "start", options, rate });
  }

  run() {
    this.#worker.postMessage({ type: "run" });
  }

  pause() {
    this.#worker.postMessage({ type: "pause" });
  }

  step() {
    this.#worker.postMessage({ type: "step" });
  }

  // From the next step on.
  set rate(rate) {
    this.#worker.postMessage({ type: "rate", rate });
  }

  // Asks for a message `params`.
  askForParams() {
    this.#worker.postMessage({ type: "params" });
  }

  stop() {
    this.#worker.terminate();
  }
}
