// Gradient descent finds the kernel [1, -1].
"use strict";

chapter("learn", (root, engine) => {
  const START = [0.2, 0], END = 1e6;
  const conv = { height: 6, width: 8, kernel: [1, 2] };
  const image = sequence(48).map((i) => Number(i % 8 < 2 || i % 8 > 5));
  const target = engine.conv2d(conv, image, [1, -1]).values;
  const fixed = (value) => value.toFixed(2).replace("-", "−");
  const lossText = (loss) => (loss < 1e5 ? String(Number(loss.toPrecision(2))).replace("-", "−") : numberText(loss));
  const [state, chart] = [root.querySelector("[data-state]"), root.querySelector(".chart")];
  const [reset, ...stepping] = ["reset", "step", "ten"].map((name) => root.querySelector(`[data-do="${name}"]`));
  // After each step: { kernel, output, loss }.
  let history = [];

  const kernelGrid = new Grid(root, "kernel", { cell: 46, largest: 1, format: fixed, edit: begin });
  const small = { cell: 22, largest: 1, format: (value) => numberText(value, 1) };
  const [imageGrid, outputGrid, targetGrid] = ["image", "output", "target"].map((name) => new Grid(root, name, small));
  imageGrid.resize(6, 8, image);
  targetGrid.resize(6, 7, target);

  // Multiples of two rows of values, added: a convolution of two channels with a kernel of 1x1.
  const mixed = (first, second, weights) =>
    engine.conv2d({ inChannels: 2, height: 1, width: first.length, kernel: [1, 1] }, [...first, ...second], weights).values;

  function evaluated(kernel) {
    const output = engine.conv2d(conv, image, kernel).values, error = mixed(output, target, [1, -1]);
    return { kernel, output, loss: engine.linear({ inputs: error.length, outputs: 1 }, error, error)[0] };
  }

  function steps(count) {
    for (let i = 0; i < count && history.at(-1).loss < END; i++) {
      const { kernel, output } = history.at(-1);
      // The loss is the sum of (y - t)², its gradient with respect to y is 2 (y - t).
      const gradient = engine.conv2dBackwardWeight(conv, image, mixed(output, target, [2, -2]));
      history.push(evaluated([...mixed(kernel, gradient, [1, -rate.value])]));
    }
    show();
  }

  function begin(kernel) {
    history = [evaluated(kernel)];
    show();
  }

  function show() {
    const { kernel, output, loss } = history.at(-1), count = history.length - 1;
    kernelGrid.resize(1, 2, kernel);
    outputGrid.resize(6, 7, output);
    const [a, b] = kernelGrid.values.map(fixed);
    const grows = count > 0 && loss > history.at(-2).loss;
    state.dataset.state = grows ? "diverges" : "learns";
    if (grows) tell(state, `After ${count} ${count === 1 ? "step" : "steps"}: it diverges. Each step overshoots further; take a smaller rate.`, `${count} 步之后：发散。每一步都偏得更远，请减小学习率。`);
    else tell(state, `After ${count} ${count === 1 ? "step" : "steps"} the kernel is [${a}, ${b}], the error ${lossText(loss)}.`, `${count} 步之后，卷积核为 [${a}, ${b}]，误差为 ${lossText(loss)}。`);
    for (const button of stepping) withdraw(button, loss >= END, reset);
    draw();
  }

  // The loss over the steps, by powers of ten.
  function draw() {
    const [left, right, top, bottom] = [46, 386, 10, 182], last = Math.max(10, history.length - 1);
    const logs = history.map(({ loss }) => Math.log10(Math.max(loss, 1e-14)));
    const least = Math.floor(Math.min(...logs, -2)), most = Math.ceil(Math.max(...logs, 2));
    const x = (at) => left + ((right - left) * at) / last;
    const y = (log) => bottom - ((bottom - top) * (log - least)) / (most - least);
    const parts = [];
    for (let log = least; log <= most; log += Math.ceil((most - least) / 6)) {
      parts.push(svgElement("path", { class: "rule", d: `M${left} ${y(log)}H${right}` }),
        svgElement("text", { class: "tick end", x: left - 8, y: y(log) + 4 }, lossText(Number(`1e${log}`))));
    }
    for (const at of [0, Math.round(last / 2), last]) parts.push(svgElement("text", { class: "tick middle", x: x(at), y: bottom + 20 }, at));
    parts.push(svgElement("path", { class: "curve", d: `M${logs.map((log, at) => `${x(at)} ${y(log)}`).join("L")}` }));
    if (last <= 40) logs.forEach((log, at) => parts.push(svgElement("circle", { cx: x(at), cy: y(log), r: 3 })));
    chart.replaceChildren(...parts);
  }

  const rate = slider(root.querySelector("[data-slider]"), () => {}, (value) => value.toFixed(3));
  whenPressed(root, "step", () => steps(1));
  whenPressed(root, "ten", () => steps(10));
  whenPressed(root, "reset", () => {
    rate.value = 0.03;
    begin(START);
  });
  tell(chart, "the error after each step", "每一步之后的误差", "aria-label");
  begin(START);
});
