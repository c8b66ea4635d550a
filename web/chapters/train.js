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
  const name = NETWORK_NAMES[network] + (network === "sigmoid" ? " --momentum 0.9" : "");
  return `lenet train --isa scalar --network ${name} --batch ${batch} --lr ${rate} --schedule constant --epochs ${epochs} --seed ${seed}`;
}

// Charts of loss and accuracy.
function makeCharts(find) {
  const series = (learning, tested) => [
    { kind: learning, name: ["while learning", "训练"] }, { kind: tested, name: ["test", "测试"], dots: true },
  ];
  const loss = new Chart(find("loss"), {
    name: ["Loss", "损失"], series: series("loss", "testloss"), first: 2.3, tick: numberText, label: (value) => value.toFixed(3),
    ranges: [[0, 0.2, 0.05], [0, 0.5, 0.1], [0, 1, 0.2], [0, 2.5, 0.5], [0, 10, 2]],
  });
  const accuracy = new Chart(find("accuracy"), {
    name: ["Accuracy", "精度"], series: series("train", "test"), first: 0.1, tick: (value) => `${Math.round(100 * value)} %`,
    label: percentText, ranges: [[0.9, 1, 0.02], [0.8, 1, 0.05], [0.5, 1, 0.1], [0, 1, 0.2]],
  });
  return { loss, accuracy };
}

chapter("train", (root, engine, { module }) => {
  const find = (id) => root.querySelector(`#train-${id}`);
  const show = (id, en, zh = en) => tell(find(id), en, zh);
  const charts = makeCharts(find);
  const kernels = new Maps(find("kernels"), { count: 6, rows: 5, columns: 5 });
  // idle: the digits are not there; loading; ready: before the first step; then running, paused, or finished.
  let state, training, options, params, run, palette = new Palette(), frame = 0, drawnAt = 0;

  const rate = slider(find("rate").parentElement, () => {
    if (training) training.rate = rateOf();
    showCommand();
  }, (value) => String(rateOf(value)));
  // Of two digits, so that every browser has the same number.
  function rateOf(value = rate.value) {
    return Number((10 ** value).toPrecision(2));
  }

  function chosen() {
    const number = (id) => {
      const { value, min, max } = find(id);
      return clamp(Math.round(Number(value)) || 0, Number(min), Number(max));
    };
    const [digits, batch] = ["digits", "batch"].map((id) => Number(find(id).value));
    return { network: find("network").value, digits, batch, epochs: number("epochs"), seed: number("seed") };
  }

  function enter(next) {
    state = next;
    const isOneOf = (...states) => states.includes(state);
    find("options").disabled = isOneOf("loading", "running", "paused");
    find("run").ariaDisabled = state === "loading";
    withdraw(find("step"), isOneOf("running", "finished"), find("run"));
    withdraw(find("reset"), isOneOf("idle", "loading", "ready"), find("run"));
    find("run").dataset.state = state;
    show("run", ...{
      idle: ["Load 2.0 MB of digits and start", "载入手写数字数据（2.0 MB）并开始"], loading: ["Loading …", "正在载入……"], ready: ["Start", "开始"],
      running: ["Pause", "暂停"], paused: ["Go on", "继续"], finished: ["Start anew", "重新开始"],
    }[state]);
    showCommand();
  }

  function fail(error) {
    training = undefined;
    tellError(find("failure"), error);
    enter("idle");
  }

  // The command of this run, or of the next one if that would be another.
  function showCommand() {
    const isNext = ["idle", "loading", "ready"].includes(state) || JSON.stringify(chosen()) !== JSON.stringify(options);
    find("rate").ariaValueText = rateOf();
    find("command").textContent = commandFor(chosen(), isNext ? rateOf() : run.rate);
    const isWhole = chosen().digits === LEARNED;
    find("command-note").hidden = isWhole && (isNext || run.hasOneRate);
    if (!isWhole) show("command-note", "The command learns all 10,000 digits.", "这条命令使用全部 10,000 个样本。");
    else show("command-note", "The command keeps its rate; here it was changed on the way.", "这条命令的学习率不变，而这里中途改变过。");
  }

  function begin() {
    options = chosen();
    for (const id of ["epochs", "seed"]) find(id).value = options[id];
    const curve = () => new Curve(options.epochs);
    run = { steps: 0, rate: rateOf(), hasOneRate: true, learned: { loss: curve(), accuracy: curve() }, tested: { loss: [], accuracy: [] } };
    training.start(options, run.rate);
    clear();
    drawSoon();
  }

  function clear() {
    for (const id of ["tested", "speed", "epoch"]) show(id, "–");
    for (const id of ["learned", "seconds", "steps"]) show(id, "");
    find("mistakes").replaceChildren();
    show("mistakes-note", "shown after each epoch", "每轮之后显示");
  }

  // What the worker tells.
  function hear(message) {
    const { type, params: weights, error } = message;
    if (type === "started") drawKernels(weights);
    if (type === "progress") showProgress(message);
    if (type === "epoch") showEpoch(message);
    if (weights) offer(weights);
    if (type === "finished") enter("finished");
    if (error) fail(error);
  }

  function showProgress({ steps, seen, seconds, hasOneRate, loss, accuracy, kernels: weights }) {
    const at = seen / options.digits, epoch = Math.min(Math.ceil(at), options.epochs);
    run.steps = steps;
    if (run.hasOneRate !== hasOneRate) {
      run.hasOneRate = hasOneRate;
      showCommand();
    }
    run.learned.loss.add(at, loss);
    run.learned.accuracy.add(at, accuracy);
    show("epoch", `${epoch} of ${options.epochs}`, `${epoch} / ${options.epochs}`);
    show("steps", `step ${countText(steps)}`, `第 ${countText(steps)} 步`);
    show("speed", countText(seen / seconds));
    show("seconds", `${seconds.toFixed(1)} s, without the tests`, `${seconds.toFixed(1)} 秒（不含测试）`);
    find("steps").dataset.steps = steps;
    find("seconds").dataset.seconds = seconds;
    drawKernels(weights);
    if (performance.now() - drawnAt >= DRAW_EVERY_MS) drawSoon();
  }

  function showEpoch({ epoch, learned, tested, mistakes }) {
    for (const name of ["loss", "accuracy"]) run.tested[name].push([epoch, tested[name]]);
    const [accuracy, meanwhile] = [tested.accuracy, learned.accuracy].map(percentText);
    Object.assign(find("tested").dataset, { accuracy: tested.accuracy, epoch });
    show("tested", accuracy);
    show("learned", `${meanwhile} while learning`, `训练精度 ${meanwhile}`);
    show("said", `Epoch ${epoch}: test accuracy ${accuracy}`, `第 ${epoch} 轮：测试精度 ${accuracy}`);
    showMistakes(mistakes, Math.round((1 - tested.accuracy) * TESTED));
    drawSoon();
  }

  // The weights of this moment, for all that can be done with them.
  function offer(weights) {
    params = weights;
    find("draw").disabled = find("download").disabled = false;
    const steps = countText(run.steps), digest = digestOf(params);
    find("digest").dataset.digest = digest;
    show("digest", `Digest of the weights after ${steps} steps: ${digest}`, `第 ${steps} 步之后权重的摘要：${digest}`);
    give("trained", { params, network: options.network });
  }

  // To the chapter that reads.
  function give(name, network, wishes = {}) {
    document.dispatchEvent(new CustomEvent("networktrained", { detail: { name, network, ...wishes } }));
  }

  function drawSoon() {
    frame ||= requestAnimationFrame(() => {
      [frame, drawnAt] = [0, performance.now()];
      for (const name of ["loss", "accuracy"]) {
        charts[name].draw(run ? [run.learned[name].points, run.tested[name]] : [[], []], options?.epochs ?? EPOCHS.relu);
      }
    });
  }

  let shownKernels;
  function drawKernels(weights) {
    shownKernels = weights.subarray(0, 150);
    kernels.paint(shownKernels, (value) => palette.signed(value));
    const [least, most] = [Math.min(...shownKernels), Math.max(...shownKernels)].map((value) => numberText(value));
    show("kernels-note", `weights ${least} to ${most}`, `权重 ${least} 到 ${most}`);
  }

  function showMistakes(mistakes, wrong) {
    find("mistakes").replaceChildren(...mistakes.map(({ pixels, label, taken }) => {
      const canvas = element("canvas", { role: "img" }), words = span("");
      const picture = new Maps(canvas, { count: 1, rows: 28, columns: 28 });
      canvas.draw = () => picture.paint(pixels, (value) => palette.ink(value), { largest: 255 });
      canvas.draw();
      tell(canvas, `a digit ${label}`, `数字 ${label}`, "aria-label");
      tell(words, `${label}, read as ${taken}`, `${label}，认作 ${taken}`);
      return element("li", {}, canvas, words);
    }));
    show("mistakes-note", `${wrong} of ${countText(TESTED)} are wrong`, `${countText(TESTED)} 个中错了 ${wrong} 个`);
  }

  // Runs, or takes one step.
  async function goOn(isOneStep) {
    if (state === "loading") return;
    if (!training) {
      enter("loading");
      try {
        training = await Training.load(module);
      } catch (error) {
        return fail(error);
      }
      find("failure").hidden = true;
      training.listen(hear);
    }
    if (state !== "paused") begin();
    training.command(isOneStep ? "step" : "run");
    enter(isOneStep ? "paused" : "running");
  }

  listen(find("run"), "click", () => {
    if (state !== "running") return goOn(false);
    training.command("pause");
    enter("paused");
  });
  listen(find("step"), "click", () => goOn(true));
  listen(find("reset"), "click", () => {
    begin();
    enter("ready");
  });
  listen(find("options"), "change", ({ target }) => {
    if (target === find("network")) {
      find("epochs").value = EPOCHS[target.value];
      find("patience").hidden = target.value !== "sigmoid";
    }
    // Other first weights.
    if (state === "ready") begin();
    showCommand();
  });
  listen(find("draw"), "click", () => {
    give("trained", { params, network: options.network }, { isChosen: true, isWanted: true });
    document.getElementById("lenet").scrollIntoView();
  });
  listen(find("download"), "click", () => {
    const { network } = options, href = URL.createObjectURL(new Blob([toSafetensors(params, network)]));
    element("a", { href, download: `${NETWORK_NAMES[network]}.safetensors` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
  });
  listen(find("file"), "change", async ({ target }) => {
    const [file] = target.files;
    if (!file) return;
    try {
      if (file.size > 1e6) throw errorOf("it is larger than 1 MB", "文件大于 1 MB");
      const network = fromSafetensors(new Uint8Array(await file.arrayBuffer()));
      give("loaded", network, { isChosen: true });
      const [en, zh] = network.isNamed ? ["", ""] : [" It does not name its network: taken for ReLU.", "文件没有注明网络，按 ReLU 读取。"];
      show("file-said", `${file.name} is read: LeNet above uses it now.${en}`, `已读取 ${file.name}：上面的 LeNet 正在使用它。${zh}`);
    } catch (error) {
      tellError(find("file-said"), error, [`${file.name}: `, `${file.name}：`]);
    }
    // So that the same file can be chosen again.
    target.value = "";
  });

  whenColoursChange(() => {
    palette = new Palette();
    if (shownKernels) drawKernels(shownKernels);
    for (const canvas of find("mistakes").querySelectorAll("canvas")) canvas.draw();
  });
  listen(document, "languagechange", drawSoon);
  tell(find("kernels"), "six kernels of 5 by 5 weights", "六个 5×5 卷积核", "aria-label");
  show("kernels-note", "shown when it begins", "开始后显示");
  clear();
  enter("idle");
  drawSoon();
});
