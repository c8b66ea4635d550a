// Times an epoch of LeNet's training on the page's digits beside TensorFlow.js, in one browser, by turns.
//
//   npm install --prefix FOLDER @tensorflow/tfjs @tensorflow/tfjs-backend-wasm
//   node web/benches/tensorflow.mjs FOLDER [ROUNDS]
//
// The network with ReLU and maximum pooling, 10,000 digits, batches of 32, momentum 0.9. TensorFlow.js trains on its CPU backend,
// and on its WebAssembly backend (simd128, one thread: others need a server that isolates the page). The latter has no gradient
// of a 2-D kernel, so there the same layers are 3-D ones of depth 1. What takes long is measured on fewer steps.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { Browser } from "../../crates/im2col-train/tests/browser/browser.mjs";

const [packages, rounds = "3"] = process.argv.slice(2);
if (!packages) {
  console.error("usage: node web/benches/tensorflow.mjs FOLDER [ROUNDS]");
  process.exit(2);
}
const WEB = new URL("..", import.meta.url).pathname;
const TFJS = join(packages, "node_modules/@tensorflow");
const [STEPS, BATCH, RATE] = [313, 32, 0.02];
// Of the 313 steps of an epoch, how many are timed.
const TIMED = { "im2col simd128": STEPS, "im2col scalar": STEPS, "tfjs wasm": 60, "tfjs cpu": 4 };

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
const server = createServer(async ({ url }, response) => {
  try {
    const [, root, path] = /^\/(web|tfjs)\/(.*)$/.exec(url) ?? [];
    const body = root ? await readFile(join(root === "web" ? WEB : TFJS, path)) : PAGE;
    response.writeHead(200, { "content-type": root ? TYPES[extname(path)] : "text/html" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});

const PAGE = `<!DOCTYPE html><title>TensorFlow.js</title><link rel="icon" href="data:,">
<script src="/tfjs/tfjs/dist/tf.min.js"></script>
<script src="/tfjs/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>
${["engine.js", "data.js", "built/simd128.js", "built/scalar.js", "built/digits.js"].map((name) => `<script src="/web/${name}"></script>`).join("\n")}
<script>
const STEPS = ${STEPS}, BATCH = ${BATCH}, RATE = ${RATE};
// Functions that train for some steps and resolve with the milliseconds of a step and the mean loss.
const trainers = {};
async function prepare() {
  const digits = await unpackedDigits(DIGITS, LEARNED + TESTED, IMAGE_LEN);
  for (const name of ["simd128", "scalar"]) {
    const wasm = new WebAssembly.Instance(await compileEngine(name)).exports;
    new Uint8Array(wasm.memory.buffer, wasm.digit_pixels(), digits.pixels.length).set(digits.pixels);
    new Uint8Array(wasm.memory.buffer, wasm.digit_labels(), digits.labels.length).set(digits.labels);
    trainers["im2col " + name] = async (steps) => {
      wasm.training_start(0, 1, STEPS * BATCH, BATCH);
      let loss = 0, count = 0;
      const started = performance.now();
      for (let step = 0; step < steps; step++) {
        count += wasm.training_step(RATE);
        loss += wasm.loss();
      }
      return [(performance.now() - started) / steps, loss / count];
    };
  }
  tf.wasm.setWasmPaths("/tfjs/tfjs-backend-wasm/dist/");
  for (const backend of ["wasm", "cpu"]) {
    trainers["tfjs " + backend] = async (steps) => {
      await tf.setBackend(backend);
      await tf.ready();
      const deep = backend === "wasm";
      const { layers } = tf;
      const conv = (filters, padding, more = {}) =>
        deep ? layers.conv3d({ filters, kernelSize: [1, 5, 5], padding, activation: "relu", ...more })
             : layers.conv2d({ filters, kernelSize: 5, padding, activation: "relu", ...more });
      const pool = () => deep ? layers.maxPooling3d({ poolSize: [1, 2, 2], strides: [1, 2, 2] }) : layers.maxPooling2d({ poolSize: 2 });
      const model = tf.sequential({ layers: [
        conv(6, "same", { inputShape: deep ? [1, 28, 28, 1] : [28, 28, 1] }), pool(), conv(16, "valid"), pool(), layers.flatten(),
        layers.dense({ units: 120, activation: "relu" }), layers.dense({ units: 84, activation: "relu" }), layers.dense({ units: 10 }),
      ] });
      const optimizer = tf.train.momentum(RATE, 0.9);
      let loss = 0, started;
      // The first step compiles and allocates.
      for (let step = -1; step < steps; step++) {
        if (step === 0) started = performance.now();
        const first = (Math.max(step, 0) * BATCH) % 9952;
        const value = tf.tidy(() => {
          const pixels = Float32Array.from(digits.pixels.subarray(first * 784, (first + BATCH) * 784), (pixel) => pixel / 255);
          const images = tf.tensor(pixels, deep ? [BATCH, 1, 28, 28, 1] : [BATCH, 28, 28, 1]);
          const labels = tf.oneHot(tf.tensor1d(digits.labels.subarray(first, first + BATCH), "int32"), 10);
          return optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, model.apply(images, { training: true })), true);
        });
        const [scalar] = await value.data();
        loss += step >= 0 ? scalar : 0;
        value.dispose();
      }
      const milliseconds = (performance.now() - started) / steps;
      model.dispose();
      return [milliseconds, loss / steps];
    };
  }
}
</script>`;

await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await Browser.start();
try {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => browser.send(method, params, sessionId);
  const loaded = new Promise((resolve) => browser.listen(({ method }) => method === "Page.loadEventFired" && resolve()));
  await send("Page.enable");
  await send("Page.navigate", { url });
  await loaded;
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await evaluate("prepare()");
  console.log(`TensorFlow.js ${await evaluate("tf.version.tfjs")}, ${(await browser.send("Browser.getVersion")).product}`);
  const best = {};
  for (let round = 0; round < Number(rounds); round++) {
    for (const [name, steps] of Object.entries(TIMED)) {
      const [milliseconds, loss] = await evaluate(`trainers["${name}"](${steps})`);
      best[name] = Math.min(best[name] ?? Infinity, milliseconds);
      console.log(`round ${round + 1}: ${name}: ${milliseconds.toFixed(2)} ms a step over ${steps} steps, mean loss ${loss.toFixed(3)}`);
    }
  }
  const ours = best["im2col simd128"];
  for (const [name, milliseconds] of Object.entries(best)) {
    const epoch = (milliseconds * STEPS) / 1000;
    console.log(`${name.padEnd(16)} ${epoch.toFixed(2).padStart(8)} s an epoch, ${(milliseconds / ours).toFixed(1).padStart(6)} times im2col simd128`);
  }
} finally {
  await browser.stop();
  server.close();
}
