// Gradient descent finds the kernel [1, -1].
"use strict";

chapter("learn", (root, engine) => {
  const START = [0.2, 0];
  const find = (name) => root.querySelector(`[data-grid="${name}"]`);
  const conv = { height: 6, width: 8, kernel: [1, 2] };
  const image = sequence(48).map((i) => (i % 8 >= 2 && i % 8 <= 5 ? 0 : 1));
  const target = engine.conv2d(conv, image, [1, -1]).values;
  const decimals = (value, count = 2) => (Math.abs(value) < 1000 ? value.toFixed(count) : value.toExponential(1).replace("e+", "e")).replace("-", "−");
  // What was there after each step: { kernel, output, loss }.
  let history = [];

  const kernelGrid = new Grid(find("kernel"), { name: "kernel", label: ["kernel", "卷积核"], cell: 46, largest: 1, format: decimals, edit: begin });
  const small = { cell: 22, largest: 1 };
  new Grid(find("image"), { ...small, name: "image", label: ["image", "图像"] }).resize(6, 8, image);
  new Grid(find("target"), { ...small, name: "target", label: ["target", "目标"] }).resize(6, 7, target);
  const outputGrid = new Grid(find("output"), { ...small, name: "output", label: ["output", "输出"], format: (value) => (Math.abs(value) < 1000 ? numberText(value, 1) : decimals(value)) });
  kernelGrid.resize(1, 2, START);
  outputGrid.resize(6, 7, target);

  // a * first + b * second, value by value: a convolution of two channels with a kernel of 1x1.
  const mixed = (first, second, weights) =>
    engine.conv2d({ inChannels: 2, height: 1, width: first.length, kernel: [1, 1] }, [...first, ...second], weights).values;

  function evaluated(kernel) {
    const output = engine.conv2d(conv, image, kernel).values;
    const error = mixed(output, target, [1, -1]);
    const [loss] = engine.linear({ inputs: error.length, outputs: 1 }, error, error);
    return { kernel, output, loss };
  }

  function step() {
    const { kernel, output } = history.at(-1);
    // The loss is the sum of (y - t)², its gradient with respect to y is 2 (y - t).
    const gradOutput = mixed(output, target, [2, -2]);
    const gradKernel = engine.conv2dBackwardWeight(conv, image, gradOutput);
    history.push(evaluated([...mixed(kernel, gradKernel, [1, -rate.value])]));
  }

  function steps(count) {
    for (let i = 0; i < count && history.at(-1).loss < 1e9; i++) step();
    show();
  }

  function begin(kernel) {
    history = [evaluated(kernel)];
    show();
  }

  function show() {
    const { kernel, output, loss } = history.at(-1);
    kernelGrid.show(kernel);
    outputGrid.show(output);
    const rows = history.slice(-100).map((entry, i) => {
      const at = Math.max(history.length - 100, 0) + i;
      return element("tr", { "data-step": at }, element("th", {}, String(at)), element("td", {}, lossText(entry.loss)),
        ...entry.kernel.map((weight) => element("td", {}, decimals(weight, 4))));
    });
    root.querySelector("tbody").replaceChildren(...rows);
    const scroll = root.querySelector("[data-scroll]");
    scroll.scrollTop = scroll.scrollHeight;
    draw();
    const [a, b] = [...kernel].map((weight) => decimals(weight));
    const count = history.length - 1;
    const grows = count > 0 && loss > history.at(-2).loss;
    const state = root.querySelector("[data-state]");
    state.dataset.state = grows ? "diverges" : "learns";
    if (grows) tell(state, `After ${count} steps: it diverges. Each step overshoots further; take a smaller rate.`, `${count} 步之后：发散。每一步都偏得更远，请减小学习率。`);
    else tell(state, `After ${count} steps the kernel is [${a}, ${b}].`, `${count} 步之后，卷积核为 [${a}, ${b}]。`);
    for (const name of ["step", "ten"]) root.querySelector(`[data-do="${name}"]`).disabled = loss >= 1e9;
  }

  const lossText = (loss) => (loss >= 0.001 && loss < 1e5 ? numberText(loss, 4) : loss === 0 ? "0" : loss.toExponential(1).replace("-", "−").replace("e+", "e"));

  // The loss over the steps, a decade from line to line.
  function draw() {
    const [left, right, top, bottom] = [46, 386, 10, 182];
    const logs = history.map(({ loss }) => Math.log10(Math.max(loss, 1e-14)));
    const least = Math.floor(Math.min(...logs, -2)), most = Math.ceil(Math.max(...logs, 2));
    const last = Math.max(10, history.length - 1);
    const x = (at) => left + ((right - left) * at) / last;
    const y = (log) => bottom - ((bottom - top) * (log - least)) / (most - least);
    const svg = root.querySelector("[data-chart]");
    const line = (name, attributes, ...children) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.append(...children);
      return made;
    };
    const parts = [];
    const every = Math.ceil((most - least) / 6);
    for (let log = least; log <= most; log += every) {
      parts.push(line("path", { class: "grid-line", d: `M${left} ${y(log)}H${right}` }));
      const label = log >= -3 && log <= 4 ? String(Number((10 ** log).toPrecision(1))) : `1e${log}`.replace("-", "−");
      parts.push(line("text", { class: "tick end", x: left - 8, y: y(log) + 4 }, label));
    }
    for (const at of [0, last / 2, last]) {
      parts.push(line("text", { class: "tick middle", x: x(at), y: bottom + 20 }, String(Math.round(at))));
    }
    const points = logs.map((log, at) => `${x(at).toFixed(1)} ${y(log).toFixed(1)}`);
    parts.push(line("path", { class: "curve", d: `M${points.join("L")}` }));
    if (history.length <= 41) logs.forEach((log, at) => parts.push(line("circle", { class: "point", cx: x(at), cy: y(log), r: 3 })));
    svg.replaceChildren(...parts);
    const loss = lossText(history.at(-1).loss);
    tell(svg, `the error after ${history.length - 1} steps: ${loss}`, `${history.length - 1} 步后的误差：${loss}`, "aria-label");
  }

  const rate = slider(root.querySelector('[data-slider="rate"]'), () => {}, (value) => value.toFixed(3));
  tell(root.querySelector("[data-scroll]"), "all steps", "每一步", "aria-label");
  root.querySelector('[data-do="step"]').addEventListener("click", () => steps(1));
  root.querySelector('[data-do="ten"]').addEventListener("click", () => steps(10));
  root.querySelector('[data-do="reset"]').addEventListener("click", () => {
    rate.value = 0.03;
    begin(START);
  });
  begin(START);
});
