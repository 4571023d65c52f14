// A model learns Python: move through its training, and read what it writes.
const root = document.getElementById("learning");
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 720;
const HEIGHT = 300;
const EDGE = { left: 44, right: 24, top: 10, bottom: 36 };

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const draw = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// The place of a step, on a logarithmic axis, and of a loss.
const scales = (run) => {
  const last = Math.log(run.losses.length);
  const x = (step) => EDGE.left + (Math.log(step) / last) * (WIDTH - EDGE.left - EDGE.right);
  const y = (loss) => EDGE.top + (1 - loss / 8) * (HEIGHT - EDGE.top - EDGE.bottom);
  return { x, y };
};

function plot(run) {
  const { x, y } = scales(run);
  const picture = draw("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": "Loss by step: training, validation, and three models that count",
  });
  for (const loss of [0, 2, 4, 6, 8]) {
    picture.append(
      draw("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(loss), y2: y(loss), class: "grid" }),
      draw("text", { x: EDGE.left - 8, y: y(loss) + 4, "text-anchor": "end" }, String(loss)),
    );
  }
  for (const { step } of run.moments) {
    picture.append(draw("text", { x: x(step), y: HEIGHT - 16, "text-anchor": "middle" }, String(step)));
  }
  picture.append(
    draw("text", { x: WIDTH - EDGE.right, y: HEIGHT - 2, "text-anchor": "end" }, "step"),
    draw("text", { x: WIDTH - EDGE.right, y: EDGE.top + 18, "text-anchor": "end" }, "loss, nats a token"),
  );
  for (const { name, loss } of run.counting) {
    picture.append(
      draw("line", { x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(loss), y2: y(loss), class: "counting" }),
      draw("text", { x: EDGE.left + 6, y: y(loss) - 5, class: "counting" }, name),
    );
  }
  const points = run.losses.map((loss, i) => `${x(i + 1).toFixed(1)},${y(loss).toFixed(1)}`);
  picture.append(draw("polyline", { points: points.join(" "), class: "training" }));
  for (const [step, loss] of run.validation) {
    picture.append(draw("circle", { cx: x(step), cy: y(loss), r: 4, class: "validation" }));
  }
  const marker = draw("line", { y1: EDGE.top, y2: HEIGHT - EDGE.bottom, class: "marker" });
  picture.append(marker);
  return { picture, mark: (step) => { marker.setAttribute("x1", x(step)); marker.setAttribute("x2", x(step)); } };
}

fetch(root.dataset.source).then((reply) => reply.json()).then((run) => {
  const { picture, mark } = plot(run);
  const slider = make("input", {
    type: "range",
    id: "learning-moment",
    min: 0,
    max: run.moments.length - 1,
    value: run.moments.length - 1,
    step: 1,
  });
  const picker = make("select", { id: "learning-prompt" });
  run.prompts.forEach((first, i) => picker.append(make("option", { value: i }, first)));
  const status = make("p", { class: "status", role: "status" });
  const first = make("b");
  const body = make("span");
  const verdict = make("p", { class: "verdict" });

  const show = () => {
    const moment = run.moments[slider.value];
    const { text, error } = moment.written[picker.value];
    mark(moment.step);
    const loss = run.losses[moment.step - 1].toFixed(2);
    status.textContent = `Step ${moment.step}: loss ${loss}; ${moment.parses} of ${run.functions} functions are Python.`;
    slider.setAttribute("aria-valuetext", `step ${moment.step}`);
    first.textContent = run.prompts[picker.value];
    body.textContent = text;
    verdict.textContent = error ? `Python says: ${error}` : "Python reads it.";
    verdict.classList.toggle("good", !error);
  };
  slider.addEventListener("input", show);
  picker.addEventListener("change", show);
  const legend = make("p", { class: "legend" });
  for (const name of ["training", "validation", "counting"]) {
    const said = { training: "training", validation: "files kept aside", counting: "models that count" };
    legend.append(make("i", { class: name }), `${said[name]} `);
  }
  root.replaceChildren(
    picture,
    legend,
    make("p", { class: "slide" }, make("label", { for: slider.id }, "Moment "), slider),
    status,
    make("p", { class: "pick" }, make("label", { for: picker.id }, "First line "), picker),
    make("pre", { tabindex: 0, "aria-label": "What the model wrote" }, first, body),
    verdict,
  );
  show();
});
