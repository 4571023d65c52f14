// A sampling playground: recorded scores of ten prompts, warped and drawn from in the browser.
const root = document.getElementById("sampling");
const SHOWN = 16; // rows of the table
const KEPT = 5; // draws that stay in sight
const KS = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, Infinity];

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const visible = (text) => text.replaceAll("\n", "↵").replaceAll("\t", "⇥");
const share = (x) => (x === 0 ? "—" : x < 0.0005 ? "<0.001" : x.toFixed(3));
const count = (n) => n.toLocaleString("en-US");

// Tokens from the likeliest down. The recorded ones stand alone; of the others only a histogram of
// scores is known, so those of a bin are taken as equal. `below` is how far a score lies below the
// largest one, in nats.
const groupsOf = ({ below, tail }) => {
  const last = below[below.length - 1];
  return [
    ...below.map((x) => ({ below: x, n: 1 })),
    ...tail.map(([x, n]) => ({ below: Math.max(x, last), n })),
  ];
};

// How many of each group stay, and what one token of it weighs: temperature, top-k, top-p, min-p,
// in this order, as in the library's Sampler.
function warp(groups, { temperature, k, p, minP }) {
  if (temperature === 0) return groups.map((_, i) => ({ n: i === 0 ? 1 : 0, weight: 1 }));
  const out = groups.map(({ below, n }) => ({ n, weight: Math.exp(-below / temperature) }));
  let before = 0;
  for (const g of out) {
    const all = g.n;
    g.n = Math.max(0, Math.min(all, k - before));
    before += all;
  }
  const needed = p * out.reduce((sum, g) => sum + g.n * g.weight, 0);
  let mass = 0;
  for (const g of out) {
    const all = g.n;
    if (p < 1) g.n = mass >= needed ? 0 : Math.min(all, Math.ceil((needed - mass) / g.weight));
    mass += all * g.weight;
  }
  for (const g of out) if (g.weight < minP) g.n = 0; // the likeliest token weighs 1
  return out;
}

const total = (groups) => groups.reduce((sum, g) => sum + g.n * g.weight, 0);

// exp(entropy): as many equally likely tokens would leave as much open.
function choices(groups) {
  const sum = total(groups);
  let entropy = 0;
  for (const { n, weight } of groups) {
    const chance = weight / sum;
    if (n && chance > 0) entropy -= n * chance * Math.log(chance);
  }
  return Math.exp(entropy);
}

// The group that a random number from 0 to 1 hits.
function hit(groups, u) {
  let left = u * total(groups);
  let last = 0;
  for (const [i, { n, weight }] of groups.entries()) {
    if (!n) continue;
    last = i;
    left -= n * weight;
    if (left < 0) return i;
  }
  return last;
}

fetch(root.dataset.source).then((reply) => reply.json()).then(({ prompts, vocabulary }) => {
  const picker = make("select", { id: "sampling-prompt" });
  prompts.forEach(({ prompt }, i) => picker.append(make("option", { value: i }, visible(prompt))));

  const slider = (name, title, options, read, show) => {
    const input = make("input", { type: "range", id: `sampling-${name}`, ...options });
    const value = make("output", { for: input.id });
    return { title, input, value, read: () => read(Number(input.value)), show };
  };
  const sliders = {
    temperature: slider("temperature", "temperature", { min: 0, max: 2, step: 0.05, value: 1 },
      (x) => x, (x) => (x === 0 ? "0: greedy" : x.toFixed(2))),
    k: slider("k", "top-k", { min: 0, max: KS.length - 1, step: 1, value: KS.length - 1 },
      (i) => KS[i], (k) => (k === Infinity ? "all" : count(k))),
    p: slider("p", "top-p", { min: 0.05, max: 1, step: 0.01, value: 1 },
      (x) => x, (x) => (x === 1 ? "1: all" : x.toFixed(2))),
    minP: slider("min-p", "min-p", { min: 0, max: 0.5, step: 0.01, value: 0 },
      (x) => x, (x) => (x === 0 ? "0: all" : x.toFixed(2))),
  };
  const said = make("p", { class: "status", role: "status" });
  const body = make("tbody");
  const drawn = make("ol", { class: "drawn", tabindex: 0, role: "region", "aria-label": "What was drawn, the newest first" });
  const button = make("button", { type: "button" }, "Draw");
  const clear = make("button", { type: "button" }, "Clear");
  let groups = [];
  let warped = [];

  const row = (name, before, after, isOut) => {
    const bar = make("td", { class: "bar", "aria-hidden": "true" });
    bar.append(make("i", { class: "before", style: `width:${100 * before}%` }));
    bar.append(make("i", { class: "after", style: `width:${100 * after}%` }));
    return make("tr", isOut ? { class: "out" } : {},
      make("th", { scope: "row" }, name), make("td", {}, share(before)), make("td", {}, share(after)), bar);
  };

  const show = () => {
    const { tokens } = prompts[picker.value];
    const numbers = {};
    for (const [name, s] of Object.entries(sliders)) {
      numbers[name] = s.read();
      s.value.textContent = s.show(numbers[name]);
      s.input.setAttribute("aria-valuetext", s.value.textContent);
    }
    const plain = groups.map(({ below, n }) => ({ n, weight: Math.exp(-below) }));
    warped = warp(groups, numbers);
    const [sumPlain, sum] = [total(plain), total(warped)];
    const left = warped.reduce((n, g) => n + g.n, 0);
    const had = warped.reduce((x, g, i) => x + g.n * plain[i].weight, 0) / sumPlain;
    const open = choices(warped);
    said.textContent =
      `${count(left)} of ${count(vocabulary)} tokens can be drawn. They had ${share(had)} of the ` +
      `probability. That leaves as much open as ${open < 10 ? open.toFixed(1) : count(Math.round(open))} equal ones.`;
    const rows = [];
    for (let i = 0; i < SHOWN; i++) {
      const { n, weight } = warped[i];
      rows.push(row(`“${visible(tokens[i])}”`, plain[i].weight / sumPlain, (n * weight) / sum, !n));
    }
    const others = (list, whole) => list.slice(SHOWN).reduce((x, g) => x + g.n * g.weight, 0) / whole;
    rows.push(row("all others", others(plain, sumPlain), others(warped, sum), !others(warped, sum)));
    body.replaceChildren(...rows);
  };

  const choose = () => {
    groups = groupsOf(prompts[picker.value]);
    drawn.replaceChildren();
    show();
  };
  const draw = () => {
    const { tokens, examples, follows } = prompts[picker.value];
    const at = hit(warped, Math.random());
    const isTail = at >= tokens.length; // only examples are recorded of those
    const example = Math.floor(Math.random() * examples.length);
    const known = follows.length - examples.length; // tokens whose continuation is recorded
    const token = isTail ? examples[example] : tokens[at];
    const more = isTail ? follows[known + example] : at < known ? follows[at] : "";
    drawn.prepend(
      make("li", {}, "… ", make("strong", isTail ? { class: "tail" } : {}, visible(token)), visible(more), " …"),
    );
    while (drawn.children.length > KEPT) drawn.lastChild.remove();
  };
  for (const { input } of Object.values(sliders)) input.addEventListener("input", show);
  picker.addEventListener("change", choose);
  button.addEventListener("click", draw);
  clear.addEventListener("click", () => drawn.replaceChildren());

  const controls = make("div", { class: "sliders" });
  for (const { title, input, value } of Object.values(sliders))
    controls.append(make("label", { for: input.id }, title), input, value);
  const heads = ["token", "before", "after", ""];
  const head = make("tr", {}, ...heads.map((name) => (name ? make("th", { scope: "col" }, name) : make("td"))));
  root.replaceChildren(
    make("p", { class: "pick" }, make("label", { for: picker.id }, "Prompt "), picker),
    controls,
    said,
    make("table", {}, make("thead", {}, head), body),
    make("p", { class: "buttons" }, button, clear),
    drawn,
  );
  choose();
});
