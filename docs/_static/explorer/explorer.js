// The attention explorer: point at a token, and every head of the model shows where it looks from there.
const root = document.getElementById("explorer");
const make = (tag, attributes = {}, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  e.append(...children);
  return e;
};
const shown = (token) => token.replace(/\n/g, "⏎").trim() || "␣";
const percent = (w) => `${Math.round(w * 100)} %`;

const state = { sentence: null, query: 0, layer: 0, head: 0 };
// Recorded as bytes: for each layer, head and query, the weights of the keys up to that query.
const weights = (layer, head, query) => {
  const { bytes, heads, tokens } = state.sentence, t = tokens.length;
  const start = (layer * heads + head) * (t * (t + 1) / 2) + query * (query + 1) / 2;
  return Array.from(bytes.subarray(start, start + query + 1), (b) => b / 255);
};
const kind = (key, query) => key === query ? "self" : key === query - 1 ? "previous" : key === 0 ? "first" : "other";

function show() {
  const { tokens } = state.sentence, w = weights(state.layer, state.head, state.query);
  [...words.children].forEach((b, i) => {
    b.setAttribute("aria-checked", i === state.query);
    b.tabIndex = i === state.query ? 0 : -1;
    b.style.setProperty("--w", w[i] ?? 0);
    b.classList.toggle("ahead", i > state.query);
    b.lastChild.textContent = w[i] >= 0.02 ? percent(w[i]) : "";
  });
  map.querySelectorAll("[role=gridcell]").forEach((cell) => {
    const { layer, head } = cell.dataset, v = weights(+layer, +head, state.query), top = v.indexOf(Math.max(...v));
    const chosen = +layer === state.layer && +head === state.head;
    cell.className = kind(top, state.query);
    cell.style.setProperty("--w", v[top]);
    cell.setAttribute("aria-label", `layer ${layer}, head ${head}: ${shown(tokens[top])} ${percent(v[top])}`);
    cell.setAttribute("aria-selected", chosen);
    cell.tabIndex = chosen ? 0 : -1;
  });
  const order = w.map((x, i) => [x, i]).sort((a, b) => b[0] - a[0]).slice(0, 3).filter(([x]) => x >= 0.02);
  status.textContent = `Layer ${state.layer}, head ${state.head}: “${shown(tokens[state.query])}” looks at ` +
    order.map(([x, i]) => `“${shown(tokens[i])}” ${percent(x)}`).join(", ") + ".";
}

function choose(sentence) {
  sentence.bytes ??= Uint8Array.from(atob(sentence.weights), (c) => c.charCodeAt(0));
  Object.assign(state, { sentence, query: sentence.start });
  words.replaceChildren(...sentence.tokens.map((token, i) => {
    const b = make("button", { type: "button", role: "radio", class: token.startsWith(" ") || i === 0 ? "" : "joined" }, make("b", {}, shown(token)), make("small"));
    b.addEventListener("pointerenter", (e) => { if (e.pointerType === "mouse") { state.query = i; show(); } });
    b.addEventListener("click", () => { state.query = i; show(); });
    return b;
  }));
  show();
}

const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (x, n) => Math.max(0, Math.min(n - 1, x));
function move(event) {
  const n = state.sentence.tokens.length, step = steps[event.key];
  const to = event.key === "Home" ? 0 : event.key === "End" ? n - 1 : step ? clamp(state.query + step[0] + step[1], n) : null;
  if (to === null) return;
  event.preventDefault();
  state.query = to;
  show();
  words.children[to].focus();
}
function moveHead(event) {
  const step = steps[event.key];
  if (!step) return;
  event.preventDefault();
  state.head = clamp(state.head + step[0], state.sentence.heads);
  state.layer = clamp(state.layer + step[1], state.sentence.layers);
  show();
  map.querySelector("[aria-selected=true]").focus();
}

const picker = make("select", { id: "explorer-sentence" });
const words = make("div", { class: "words", role: "radiogroup", "aria-label": "Token that looks" });
const status = make("p", { class: "status", role: "status" });
const map = make("div", { class: "map", role: "grid", "aria-label": "Heads: a row a layer, a column a head" });
words.addEventListener("keydown", move);
map.addEventListener("keydown", moveHead);

fetch(root.dataset.source).then((r) => r.json()).then(({ sentences }) => {
  const { layers, heads } = sentences[0];
  for (const [i, s] of sentences.entries()) picker.append(make("option", { value: i }, s.tokens.join("").replace(/\s+/g, " ")));
  picker.addEventListener("change", () => choose(sentences[picker.value]));
  for (let layer = 0; layer < layers; layer++) {
    const row = make("div", { role: "row" }, make("span", { role: "rowheader", "aria-label": `layer ${layer}` }, layer % 5 ? "" : String(layer)));
    for (let head = 0; head < heads; head++) {
      const cell = make("span", { role: "gridcell", "data-layer": layer, "data-head": head });
      cell.addEventListener("click", () => { Object.assign(state, { layer, head }); show(); cell.focus(); });
      cell.addEventListener("pointerenter", (e) => { if (e.pointerType === "mouse") { Object.assign(state, { layer, head }); show(); } });
      row.append(cell);
    }
    map.append(row);
  }
  const legend = make("p", { class: "legend" }, "Strongest at: ");
  for (const [k, text] of [["first", "the first token"], ["self", "itself"], ["previous", "the one before"], ["other", "another"]]) legend.append(make("i", { class: k }), `${text} `);
  root.replaceChildren(
    make("p", { class: "pick" }, make("label", { for: picker.id }, "Sentence "), picker),
    make("div", { class: "panes" },
      make("div", {}, words, status,
        make("p", { class: "hint" }, "The map shows every head for this token: a row is a layer, from the first at the top, and a cell is a head. " +
          "The fuller the color, the more of its weight goes to one place. Point at a head to see all of its weights above."),
        legend),
      map));
  Object.assign(state, { layer: 13, head: 8 });
  choose(sentences[0]);
});
