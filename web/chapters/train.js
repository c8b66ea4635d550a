// LeNet learns, and shows how.
"use strict";

// Epochs in which a network learns at the first rate, 0.02: for most of them, the sigmoids let hardly any gradient through.
const EPOCHS = { relu: 5, sigmoid: 15 };
// Curves are drawn this often at most.
const DRAW_EVERY_MS = 100;

// FNV-1a of the bits of some numbers, 32 at a time: equal weights have equal ones.
function digestOf(params) {
  let hash = 0x811c9dc5;
  for (const bits of new Uint32Array(params.buffer, params.byteOffset, params.length)) hash = Math.imul(hash ^ bits, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

// The command that learns the same.
function commandFor({ network, batch, epochs, seed }, rate) {
  const name = network === "sigmoid" ? "lenet --momentum 0.9" : "lenet-relu";
  return `lenet train --isa scalar --network ${name} --batch ${batch} --lr ${rate} --schedule constant --epochs ${epochs} --seed ${seed}`;
}

function saveFile(name, bytes) {
  const link = element("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

chapter("train", (root, engine, { module }) => {
  const find = (id) => root.querySelector(`#train-${id}`);
  // idle: the digits are not there; ready: before the first step; then running, paused, or finished.
  let state = "idle", training, options, params, run, palette = new Palette();
  let drawnAt = 0, frame = 0;

  const loss = new Chart(find("loss"), {
    name: ["Loss", "损失"],
    series: [
      { kind: "loss", name: ["while learning", "训练"], label: (value) => value.toFixed(3) },
      { kind: "testloss", name: ["test", "测试"], dots: true, label: (value) => value.toFixed(3) },
    ],
    first: 2.3,
    ranges: [[0, 0.2, 0.05], [0, 0.5, 0.1], [0, 1, 0.2], [0, 2.5, 0.5], [0, 10, 2]],
    tick: (value) => numberText(value),
  });
  const accuracy = new Chart(find("accuracy"), {
    name: ["Accuracy", "精度"],
    series: [
      { kind: "train", name: ["while learning", "训练"], label: percentText },
      { kind: "test", name: ["test", "测试"], dots: true, label: percentText },
    ],
    first: 0.1,
    ranges: [[0.9, 1, 0.02], [0.8, 1, 0.05], [0.5, 1, 0.1], [0, 1, 0.2]],
    tick: (value) => `${Math.round(100 * value)} %`,
  });
  const kernels = new Maps(find("kernels"), { count: 6, rows: 5, columns: 5 });

  const rate = slider(find("rate").parentElement, () => {
    if (training) training.rate = rateOf();
    if (run && run.steps > 0) run.hasOneRate &&= rateOf() === run.rate;
    showCommand();
  }, (value) => String(rateOf(value)));
  // Two digits, so that every browser has the same number.
  function rateOf(value = rate.value) {
    return Number((10 ** value).toPrecision(2));
  }

  const numberIn = (id) => {
    const input = find(id);
    const value = Math.round(Number(input.value)) || 0;
    return clamp(value, Number(input.min), Number(input.max));
  };
  const chosen = () => ({
    network: find("network").value, digits: Number(find("digits").value), batch: Number(find("batch").value),
    epochs: numberIn("epochs"), seed: numberIn("seed"),
  });

  function enter(next) {
    state = next;
    find("options").disabled = ["loading", "running", "paused"].includes(state);
    find("run").disabled = state === "loading";
    find("step").disabled = ["loading", "running", "finished"].includes(state);
    find("reset").disabled = !["running", "paused", "finished"].includes(state);
    find("run").dataset.state = state;
    const names = {
      idle: ["Load 2.1 MB of digits and start", "载入 2.1 MB 数字并开始"], loading: ["Loading …", "正在载入……"], ready: ["Start", "开始"],
      running: ["Pause", "暂停"], paused: ["Go on", "继续"], finished: ["Start anew", "重新开始"],
    };
    tell(find("run"), ...names[state]);
  }

  async function load() {
    enter("loading");
    try {
      training = await Training.load(module);
      training.listen(hear);
      find("failure").hidden = true;
    } catch (error) {
      fail(error.message);
      enter("idle");
      throw error;
    }
  }

  function fail(message) {
    find("failure").hidden = false;
    tell(find("failure"), message, message);
  }

  function begin() {
    options = chosen();
    find("epochs").value = options.epochs;
    find("seed").value = options.seed;
    run = { steps: 0, rate: rateOf(), hasOneRate: true, curves: { loss: new Curve(), accuracy: new Curve() }, tests: { loss: [], accuracy: [] } };
    training.start(options, run.rate);
    for (const id of ["tested", "speed", "epoch"]) find(id).textContent = "–";
    for (const id of ["learned", "seconds", "steps"]) tell(find(id), "", "");
    find("mistakes").replaceChildren();
    tell(find("mistakes-note"), "shown after each epoch", "每轮之后显示");
    showCommand();
    drawSoon(true);
  }

  // The command of this run, or of the next one if that would be another.
  function showCommand() {
    const isNext = !(run?.steps > 0) || JSON.stringify(chosen()) !== JSON.stringify(options);
    const { digits, ...settings } = chosen();
    find("command").textContent = commandFor(settings, isNext ? rateOf() : run.rate);
    const note = find("command-note");
    note.hidden = digits === LEARNED && (isNext || run.hasOneRate);
    if (digits !== LEARNED) tell(note, "The command learns all 10,000 digits.", "这条命令使用全部 10,000 个数字。");
    else tell(note, "The command keeps its rate; here it was changed on the way.", "这条命令的学习率不变，而这里中途改变过。");
  }

  // What the worker tells.
  function hear(message) {
    switch (message.type) {
      case "started":
        drawKernels(message.params);
        return offer(message.params);
      case "progress": return progress(message);
      case "epoch": return endEpoch(message);
      case "paused": return offer(message.params);
      case "finished":
        offer(message.params);
        enter("finished");
        return showCommand();
      case "failed": return fail(message.message);
    }
  }

  function progress({ steps, seen, seconds, loss: lost, accuracy: right, kernels: weights }) {
    run.steps = steps;
    const at = seen / options.digits;
    run.curves.loss.add(at, lost);
    run.curves.accuracy.add(at, right);
    const epoch = Math.min(Math.ceil(at), options.epochs);
    tell(find("epoch"), `${epoch} of ${options.epochs}`, `${epoch} / ${options.epochs}`);
    tell(find("steps"), `step ${countText(steps)}`, `第 ${countText(steps)} 步`);
    find("speed").textContent = countText(seen / seconds);
    tell(find("seconds"), `${seconds.toFixed(1)} s, without the tests`, `${seconds.toFixed(1)} 秒（不含测试）`);
    find("steps").dataset.steps = steps;
    find("seconds").dataset.seconds = seconds;
    drawKernels(weights);
    drawSoon();
  }

  function endEpoch({ epoch, learned, tested, mistakes, params: weights }) {
    run.tests.loss.push([epoch, tested.loss]);
    run.tests.accuracy.push([epoch, tested.accuracy]);
    find("tested").textContent = percentText(tested.accuracy);
    find("tested").dataset.accuracy = tested.accuracy;
    find("tested").dataset.epoch = epoch;
    tell(find("learned"), `${percentText(learned.accuracy)} while learning`, `训练精度 ${percentText(learned.accuracy)}`);
    tell(find("said"), `Epoch ${epoch}: test accuracy ${percentText(tested.accuracy)}`, `第 ${epoch} 轮：测试精度 ${percentText(tested.accuracy)}`);
    showMistakes(mistakes, tested.accuracy);
    offer(weights);
    drawSoon(true);
  }

  function offer(weights) {
    params = weights;
    find("draw").disabled = find("download").disabled = false;
    find("digest").dataset.digest = digestOf(params);
    const steps = countText(run.steps);
    tell(find("digest"), `Digest of the weights after ${steps} steps: ${digestOf(params)}`, `第 ${steps} 步之后权重的摘要：${digestOf(params)}`);
    give({ params, network: options.network });
  }

  // To the chapter that reads.
  function give(detail) {
    document.dispatchEvent(new CustomEvent("networktrained", { detail }));
  }

  // Charts now, or a little later.
  function drawSoon(isUrgent = false) {
    if (frame || (!isUrgent && performance.now() - drawnAt < DRAW_EVERY_MS)) return;
    frame = requestAnimationFrame(() => {
      [frame, drawnAt] = [0, performance.now()];
      loss.draw([run.curves.loss.smooth, run.tests.loss], options.epochs);
      accuracy.draw([run.curves.accuracy.smooth, run.tests.accuracy], options.epochs);
    });
  }

  let shownKernels;
  function drawKernels(weights) {
    shownKernels = weights.subarray(0, 150);
    kernels.paint(shownKernels, (value) => palette.signed(value));
    const [least, most] = [Math.min(...shownKernels), Math.max(...shownKernels)].map((value) => numberText(value));
    tell(find("kernels-note"), `weights ${least} to ${most}`, `权重 ${least} 到 ${most}`);
  }

  function showMistakes(mistakes, tested) {
    find("mistakes").replaceChildren(...mistakes.map(({ pixels, label, taken }) => {
      const canvas = element("canvas", { role: "img" });
      const picture = new Maps(canvas, { count: 1, rows: 28, columns: 28 });
      const words = element("span");
      canvas.draw = () => picture.paint(pixels, (value) => palette.ink(value), { largest: 255 });
      canvas.draw();
      tell(canvas, `a digit ${label}`, `数字 ${label}`, "aria-label");
      tell(words, `${label}, read as ${taken}`, `${label}，认作 ${taken}`);
      return element("li", { "data-label": label, "data-taken": taken }, canvas, words);
    }));
    const wrong = Math.round((1 - tested) * TESTED);
    tell(find("mistakes-note"), `${wrong} of ${countText(TESTED)} are wrong`, `${countText(TESTED)} 个中错了 ${wrong} 个`);
  }

  async function goOn(step) {
    if (!training) await load();
    if (["loading", "ready", "finished", "idle"].includes(state)) begin();
    if (step) training.step();
    else training.run();
    enter(step ? "paused" : "running");
  }

  find("run").addEventListener("click", () => {
    if (state !== "running") return goOn(false);
    training.pause();
    enter("paused");
  });
  find("step").addEventListener("click", () => goOn(true));
  find("reset").addEventListener("click", () => {
    begin();
    enter("ready");
    showCommand();
  });
  find("options").addEventListener("change", ({ target }) => {
    if (target === find("network")) {
      find("epochs").value = EPOCHS[target.value];
      find("patience").hidden = target.value !== "sigmoid";
    }
    // Other first weights.
    if (state === "ready") begin();
    showCommand();
  });
  find("draw").addEventListener("click", () => {
    give({ params, network: options.network, isChosen: true, isWanted: true });
    document.getElementById("lenet").scrollIntoView();
  });
  find("download").addEventListener("click", () => {
    const name = options.network === "sigmoid" ? "lenet" : "lenet-relu";
    saveFile(`${name}.safetensors`, toSafetensors(params, name));
  });
  find("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    const said = find("file-said");
    if (!file) return;
    try {
      const loaded = fromSafetensors(new Uint8Array(await file.arrayBuffer()));
      give({ ...loaded, isChosen: true });
      tell(said, `${file.name} is read: LeNet above uses it now.`, `已读取 ${file.name}：上面的 LeNet 正在使用它。`);
    } catch (error) {
      tell(said, `${file.name}: ${error.message}`, `${file.name}：${error.message}`);
    }
    // So that the same file can be chosen again.
    target.value = "";
  });

  whenColoursChange(() => {
    palette = new Palette();
    if (shownKernels) drawKernels(shownKernels);
    for (const canvas of find("mistakes").querySelectorAll("canvas")) canvas.draw();
  });
  whenLanguageChanges(() => run && drawSoon(true));
  tell(find("kernels"), "six kernels of 5 by 5 weights", "六个 5×5 卷积核", "aria-label");
  tell(find("mistakes-note"), "shown after each epoch", "每轮之后显示");
  loss.draw([[], []], chosen().epochs);
  accuracy.draw([[], []], chosen().epochs);
  tell(find("kernels-note"), "shown when it begins", "开始后显示");
  enter("idle");
  showCommand();
});
