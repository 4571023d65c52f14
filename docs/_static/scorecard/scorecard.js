// The scorecard: every recipe of the chapter on two axes of your choice.
const root = document.getElementById("scorecard");
const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 74, right: 20, top: 14, bottom: 62 };
let ZERO = 0; // what is below it on a logarithmic axis stands at 0: the card says it
const ZERO_ROOM = 90; // pixels of a logarithmic axis that belong to 0: several points stand there
const FAMILIES = { original: "original", rounding: "rounding", student: "students", exact: "exact methods" };

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

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (n) => `10${[...String(n)].map((sign) => RAISED[sign]).join("")}`;
const number = (x) => {
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 1e-3) {
    const n = Math.floor(Math.log10(size));
    return `${(x / 10 ** n).toFixed(1)} · ${power(n)}`;
  }
  return size >= 100 ? x.toFixed(0) : String(Number(x.toPrecision(3)));
};
const withSpread = ([value, low, high]) =>
  low === high ? number(value) : `${number(value)} [${number(low)}, ${number(high)}]`;

// Where a value of a measure stands, from `begin` to `end` in pixels, and the marks of the axis.
function axisOf(measure, recipes, begin, end) {
  const values = recipes.map((recipe) => recipe.values[measure.key]);
  const direction = Math.sign(end - begin);
  if (!measure.log) {
    const high = Math.max(...values.map((v) => v[2])) * 1.05 || 1;
    const step = niceStep(high / 5);
    const marks = [];
    for (let at = 0; at <= high; at += step) marks.push([at, number(at)]);
    return { place: (x) => begin + (x / high) * (end - begin), marks, zero: null };
  }
  const positive = values.flat().filter((x) => x > ZERO);
  const smallest = Math.floor(Math.log10(Math.min(...positive)));
  const largest = Math.ceil(Math.log10(Math.max(...positive)));
  const hasZero = values.some(([value]) => value <= ZERO);
  const from = hasZero ? begin + direction * ZERO_ROOM : begin;
  const place = (x) => {
    if (x <= ZERO) return hasZero ? begin + direction * 18 : begin;
    const share = (Math.log10(x) - smallest) / Math.max(1, largest - smallest);
    return from + Math.max(0, share) * (end - from);
  };
  const marks = hasZero ? [[0, "0"]] : [];
  for (let n = smallest; n <= largest; n += 1) {
    marks.push([10 ** n, n < -3 ? power(n) : number(10 ** n)]);
    if (largest - smallest < 3) for (const m of [2, 5]) if (n < largest) marks.push([m * 10 ** n, number(m * 10 ** n)]);
  }
  return { place, marks, zero: hasZero ? from : null };
}

function niceStep(rough) {
  const size = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * size).find((step) => step >= rough);
}

const cost = (measure, recipe) => {
  const value = recipe.values[measure.key][0];
  if (measure.log && value <= ZERO) return 0;
  return measure.lower_is_better ? value : -value;
};
const dominates = (a, b) => a.every((x, i) => x <= b[i]) && a.some((x, i) => x < b[i]);

// Points that would cover each other step aside, to the right.
function placed(recipes, x, y, mx, my) {
  const found = [];
  for (const recipe of recipes) {
    let px = x.place(recipe.values[mx.key][0]);
    const py = y.place(recipe.values[my.key][0]);
    while (found.some((p) => Math.hypot(p.px - px, p.py - py) < 15)) px += 15;
    found.push({ recipe, px, py });
  }
  return found;
}

function start(card) {
  ZERO = card.zero;
  const phone = matchMedia("(max-width: 767px)");
  const measures = Object.fromEntries(card.measures.map((m) => [m.key, m]));
  const picker = (id, chosen) => {
    const select = make("select", { id });
    for (const { key, label } of card.measures) select.append(make("option", { value: key }, label));
    select.value = chosen;
    return select;
  };
  const acrossPicker = picker("scorecard-x", "kl");
  const upPicker = picker("scorecard-y", "memory");
  const plot = make("div", { class: "plot" });
  const name = make("h2", { class: "name" });
  const how = make("p", { class: "how" });
  const numbers = make("dl");
  const about = make("div", { class: "about", role: "status" }, name, how, numbers);
  const note = make("p", { class: "note" });
  const table = make("table");
  let selected = card.recipes.find((r) => r.name === "packed") ?? card.recipes[0];
  let points = [];

  const tell = (recipe) => {
    selected = recipe;
    name.textContent = recipe.name;
    how.textContent = `${FAMILIES[recipe.family]}: ${recipe.text}`;
    numbers.replaceChildren();
    for (const m of card.measures) {
      const values = recipe.values[m.key];
      const pair = make("div", {}, make("dt", {}, m.label), make("dd", {}, values ? withSpread(values) : "—"));
      pair.classList.toggle("chosen", [acrossPicker.value, upPicker.value].includes(m.key));
      numbers.append(pair);
    }
    for (const { recipe: other, mark } of points) {
      const isOn = other === recipe;
      mark.setAttribute("aria-checked", isOn);
      mark.setAttribute("tabindex", isOn ? 0 : -1);
      const group = mark.parentNode;
      if (isOn && group.lastChild !== mark) group.append(mark); // on top; what moves loses the focus
    }
    for (const row of table.tBodies[0]?.rows ?? []) row.classList.toggle("on", row.dataset.name === recipe.name);
  };

  const show = () => {
    const mx = measures[acrossPicker.value];
    const my = measures[upPicker.value];
    const measured = card.recipes.filter((r) => r.values[mx.key] && r.values[my.key]);
    const width = phone.matches ? 400 : 500;
    const height = phone.matches ? 420 : 560;
    const x = axisOf(mx, measured, EDGE.left, width - EDGE.right);
    const y = axisOf(my, measured, height - EDGE.bottom, EDGE.top);
    const picture = draw("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "radiogroup",
      "aria-label": `Recipes: ${mx.label}, and ${my.label}`,
    });
    let last = -99;
    for (const [value, text] of [...x.marks].sort((a, b) => a[0] - b[0])) {
      const at = x.place(value);
      if (at > width) continue;
      picture.append(draw("line", { x1: at, x2: at, y1: EDGE.top, y2: height - EDGE.bottom, class: "grid" }));
      if (at - last < (phone.matches ? 46 : 40)) continue;
      picture.append(draw("text", { x: at, y: height - EDGE.bottom + 20, "text-anchor": "middle" }, text));
      last = at;
    }
    for (const [value, text] of y.marks) {
      const at = y.place(value);
      picture.append(
        draw("line", { x1: EDGE.left, x2: width - EDGE.right, y1: at, y2: at, class: "grid" }),
        draw("text", { x: EDGE.left - 8, y: at + 4, "text-anchor": "end" }, text),
      );
    }
    if (x.zero !== null) picture.append(draw("line", { x1: x.zero, x2: x.zero, y1: EDGE.top, y2: height - EDGE.bottom, class: "zero" }));
    if (y.zero !== null) picture.append(draw("line", { x1: EDGE.left, x2: width - EDGE.right, y1: y.zero, y2: y.zero, class: "zero" }));
    picture.append(
      draw("text", { x: (EDGE.left + width - EDGE.right) / 2, y: height - 14, "text-anchor": "middle", class: "title" }, mx.label),
      draw("text", { x: 16, y: (EDGE.top + height - EDGE.bottom) / 2, "text-anchor": "middle", class: "title", transform: `rotate(-90 16 ${(EDGE.top + height - EDGE.bottom) / 2})` }, my.label),
    );
    const costs = new Map(measured.map((r) => [r, [cost(mx, r), cost(my, r)]]));
    const isBeaten = (r) => measured.some((other) => dominates(costs.get(other), costs.get(r)));
    points = placed(measured, x, y, mx, my).map(({ recipe, px, py }) => {
      const [vx, lowX, highX] = recipe.values[mx.key];
      const [vy, lowY, highY] = recipe.values[my.key];
      const mark = draw("g", { class: `point ${recipe.family}`, role: "radio", "aria-label": `${recipe.name}: ${number(vx)}, ${number(vy)}` });
      if (vx > ZERO || !mx.log) mark.append(draw("line", { x1: x.place(lowX), x2: x.place(highX), y1: py, y2: py, class: "spread" }));
      if (vy > ZERO || !my.log) mark.append(draw("line", { x1: px, x2: px, y1: y.place(lowY), y2: y.place(highY), class: "spread" }));
      mark.append(
        draw("circle", { cx: px, cy: py, r: 16, class: "touch" }),
        draw("circle", { cx: px, cy: py, r: 7, class: isBeaten(recipe) ? "dot beaten" : "dot" }),
      );
      const isRight = px > width * 0.7;
      const side = { x: px + (isRight ? -12 : 12), y: py - 10, "text-anchor": isRight ? "end" : "start" };
      mark.append(draw("text", { ...side, class: isBeaten(recipe) ? "label" : "label front" }, recipe.name));
      picture.append(mark);
      mark.addEventListener("focus", () => tell(recipe));
      return { recipe, mark, px, py };
    });
    // The nearest dot is meant, so that dots side by side can all be reached.
    const point = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
      const far = (p) => Math.hypot(p.px - place.x, p.py - place.y);
      const nearest = points.reduce((a, b) => (far(b) < far(a) ? b : a));
      if (far(nearest) < 24) tell(nearest.recipe);
    };
    picture.addEventListener("pointermove", point);
    picture.addEventListener("click", point);
    picture.addEventListener("keydown", (event) => {
      const along = { ArrowRight: ["px", 1], ArrowLeft: ["px", -1], ArrowUp: ["py", -1], ArrowDown: ["py", 1] }[event.key];
      if (!along) return;
      event.preventDefault();
      const [axis, step] = along;
      const order = [...points].sort((a, b) => a[axis] - b[axis] || a.px - b.px || a.py - b.py);
      const at = order.findIndex((p) => p.recipe === selected);
      const next = order[Math.min(order.length - 1, Math.max(0, at + step))];
      tell(next.recipe);
      next.mark.focus();
    });
    plot.replaceChildren(picture);
    const left = card.recipes.filter((r) => !measured.includes(r)).map((r) => r.name);
    note.textContent = left.length ? `Not measured on these axes: ${left.join(", ")}.` : "";
    fill(table, measured, mx, my, isBeaten);
    tell(measured.includes(selected) ? selected : measured[0]);
  };

  acrossPicker.addEventListener("change", show);
  upPicker.addEventListener("change", show);
  phone.addEventListener("change", show);
  const legend = make("p", { class: "legend" });
  for (const [key, words] of Object.entries(FAMILIES)) legend.append(make("i", { class: key }), `${words} `);
  legend.append(make("i", { class: "hollow" }), "hollow: another one is at least as good on both axes");
  root.replaceChildren(
    make(
      "p",
      { class: "pick" },
      make("label", { for: acrossPicker.id }, "Across"),
      acrossPicker,
      make("label", { for: upPicker.id }, "Up"),
      upPicker,
    ),
    make("div", { class: "both" }, make("div", {}, plot, legend, note), about),
    make("div", { class: "all", tabindex: 0, role: "region", "aria-label": "The same as a table" }, table),
    make("p", { class: "note" }, card.about),
  );
  show();
}

function fill(table, recipes, mx, my, isBeaten) {
  const head = make("tr", {}, make("th", { scope: "col" }, "recipe"));
  const columns = mx === my ? [mx] : [mx, my];
  for (const m of columns) head.append(make("th", { scope: "col" }, m.label));
  const rows = recipes.map((recipe) => {
    const mark = isBeaten(recipe) ? "○ " : "● ";
    const row = make("tr", { "data-name": recipe.name }, make("th", { scope: "row" }, mark + recipe.name));
    for (const m of columns) row.append(make("td", {}, withSpread(recipe.values[m.key])));
    return row;
  });
  table.replaceChildren(
    make("caption", {}, "The same as a table; ● no other one is at least as good on both"),
    make("thead", {}, head),
    make("tbody", {}, ...rows),
  );
}

fetch(root.dataset.source).then((reply) => reply.json()).then(start);
