// The metric bench: type references and a candidate, and see what each score is made of.
import {
  characters, chrfWords, counted, lcsPath, lcsTable, marks, mostOften, runs, scoreAll,
} from "./metrics.js";

// Pairs to begin with. `show` says which score to open, and at which runs.
export const PRESETS = [
  {
    name: "One word missing",
    references: ["The cat sat on the warm mat."],
    candidate: "The cat sat on the mat.",
    story: "All words of the candidate are right, and one is missing. For a run of four it costs " +
      "more than for a word: switch from runs of 1 to runs of 4.",
    show: { score: "bleu", run: 2 },
  },
  {
    name: "A perfect copy",
    references: ["The cat sat on the warm mat."],
    candidate: "The cat sat on the warm mat.",
    story: "Every score is at its best. Now change one letter, and see what it costs in each of them.",
    show: { score: "bleu", run: 4 },
  },
  {
    name: "A negation",
    references: ["The new drug is safe for children and for adults."],
    candidate: "The new drug is not safe for children and for adults.",
    story: "One word more, and it says the opposite. No score knows which word it is. Put “very” " +
      "in the place of “not”: all but chrF, which counts letters, stay exactly as they are.",
    show: { score: "bleu", run: 1 },
  },
  {
    name: "A paraphrase",
    references: ["The new drug is safe for children and for adults."],
    candidate: "Kids and grown-ups can take this medicine without risk.",
    story: "It says the same, in other words. Every score puts it far below the negation before, " +
      "which says the opposite.",
    show: { score: "rouge", run: "1" },
  },
  {
    name: "Turned round",
    references: ["The dog bit the man in the park."],
    candidate: "The man bit the dog in the park.",
    story: "The same words, and another culprit. ROUGE-1 doesn’t look at the order, and is 1. " +
      "What looks at pairs, at order or at edits sees a difference.",
    show: { score: "rouge", run: "L" },
  },
  {
    name: "A block that moved",
    references: ["On Sunday the old library is closed."],
    candidate: "The old library is closed on Sunday.",
    story: "“On Sunday” moved to the end: one shift for TER, if the full stops weren’t part of " +
      "“Sunday.” and “closed.”. So it is four edits. Delete both full stops.",
    show: { score: "ter" },
  },
  {
    name: "Too short",
    references: ["The cat sat on the warm mat by the kitchen door."],
    candidate: "The cat sat on the warm",
    story: "Everything that is said is right: each precision of BLEU is 1, and the brevity " +
      "penalty is all that speaks. chrF and ROUGE have recall instead.",
    show: { score: "bleu", run: 1 },
  },
  {
    name: "The the the",
    references: ["The cat is on the mat by the door."],
    candidate: "the the the the the the",
    story: "Each word stands in the reference, but only twice in small letters. A run counts at " +
      "most as often as a reference has it: the count is clipped.",
    show: { score: "bleu", run: 1 },
  },
  {
    name: "A wrong ending",
    references: ["She walked to school with her brothers."],
    candidate: "She walks to school with her brother.",
    story: "Two words are nearly right. For BLEU, TER and ROUGE they are as wrong as any others; " +
      "runs of characters see what is left of them.",
    show: { score: "chrf", run: "characters 3" },
  },
  {
    name: "Two references",
    references: ["The meeting was put off until Monday.", "They postponed the meeting to next week."],
    candidate: "The meeting was postponed to next week.",
    story: "BLEU takes each run from any of the references; the other scores choose the one that " +
      "suits best. Delete one of the two and look at BLEU.",
    show: { score: "bleu", run: 2 },
  },
  {
    name: "Another script",
    references: ["Кошка спит на тёплом коврике."],
    candidate: "Кошка спит на коврике.",
    story: "Nearly right, in Russian. The classic words of ROUGE are runs of a to z, so for ROUGE " +
      "nothing is here at all, and it says 0.",
    show: { score: "rouge", run: "1" },
  },
];

const OWN = {
  references: [],
  candidate: "",
  story: "Type a reference and a candidate. Nothing of it leaves this page.",
  show: { score: "bleu", run: 1 },
};

const root = document.getElementById("metrics");
const LONGEST_TABLE = 30; // words of the longer text, for which the LCS is drawn
const PANELS = ["bleu", "chrf", "ter", "rouge"];
// What can be chosen in a panel: a value, and what it is called.
const RUNS = {
  bleu: new Map(["1", "2", "3", "4"].map((n) => [n, n])),
  chrf: new Map([
    ...["1", "2", "3", "4", "5", "6"].map((n) => [`characters ${n}`, n]),
    ["words 1", "1 word"],
    ["words 2", "2 words"],
  ]),
  rouge: new Map(["1", "2", "L"].map((name) => [name, name])),
};
const state = {
  scores: null, // what scoreAll found
  open: "bleu",
  run: { bleu: "1", chrf: "characters 3", rouge: "1" },
  chosen: null, // a run that is held to be seen
};

// Parts ------------------------------------------------------------------------------------------

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const share = (number) => number.toFixed(3);
const percent = (number) => `${(100 * number).toFixed(1)} %`;

// A table from rows of texts or elements; the first cell of a row is its head.
function tableOf(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(({ cells: [first, ...others], kind = "" }) =>
    make("tr", { class: kind }, make("th", { scope: "row" }, first),
      ...others.map((text) => make("td", {}, text))));
  return make("table", {}, make("caption", { class: "unseen" }, caption),
    make("thead", {}, head), make("tbody", {}, ...body));
}

// A text with its marks. Words stand apart; characters of a kind are joined.
function lineOf(name, kind, ...content) {
  const text = make("p", { dir: "auto" }, ...content);
  return make("div", { class: `text ${kind}` }, make("b", { class: "who" }, name), text);
}

function colouredWords(name, kind, items, found) {
  if (items.length === 0) return lineOf(name, kind, make("i", {}, "no words"));
  const spans = items.map((item, at) => make("span", { class: found[at] }, item));
  return lineOf(name, kind, ...spans.flatMap((span) => [span, " "]));
}

function colouredCharacters(name, kind, text, found) {
  const pieces = [];
  let at = 0;
  for (const sign of text) {
    const isCounted = characters(sign).length > 0; // blanks are not
    const mark = isCounted ? found[at] : "blank";
    if (pieces.at(-1)?.className !== mark) pieces.push(make("span", { class: mark }));
    pieces.at(-1).append(sign);
    if (isCounted) at++;
  }
  return lineOf(name, `signs ${kind}`, ...pieces);
}

// A choice of runs as radio buttons, which stays while the texts change.
function runPicker(panel, draw) {
  const title = { bleu: "Runs of tokens", chrf: "Runs of characters", rouge: "ROUGE" };
  const box = make("fieldset", { class: "runs" }, make("legend", {}, title[panel]));
  for (const [value, label] of RUNS[panel]) {
    const radio = make("input", { type: "radio", name: `metrics-${panel}`, value });
    radio.addEventListener("change", () => {
      state.run[panel] = value;
      draw();
    });
    box.append(make("label", {}, radio, make("span", {}, label)));
  }
  const check = () => {
    for (const radio of box.querySelectorAll("input")) {
      radio.checked = radio.value === state.run[panel];
    }
  };
  return { box, check };
}

const legend = (...kinds) => {
  const said = { hit: "counts", over: "clipped (too often)", miss: "doesn’t count" };
  const line = make("p", { class: "legend" });
  for (const kind of kinds) line.append(make("span", { class: kind }, said[kind]), " ");
  return line;
};
const nameOf = (at, all) => (all.length > 1 ? `Reference ${at + 1}` : "Reference");
const chosenReference = (at, all) =>
  all.length > 1 ? `Against reference ${at + 1}, the best of ${all.length}. ` : "";

// BLEU -------------------------------------------------------------------------------------------

// The texts with the runs of n that count.
function bleuTexts(n) {
  const { tokens, referenceTokens } = state.scores.bleu;
  const ours = counted(runs(tokens, n));
  const allowed = mostOften(referenceTokens.map((others) => counted(runs(others, n))));
  const lines = [colouredWords("Candidate", "ours", tokens, marks(tokens, n, allowed))];
  referenceTokens.forEach((others, k) => {
    const found = marks(others, n, ours).map((mark) => (mark === "hit" ? "hit" : "miss"));
    lines.push(colouredWords(nameOf(k, referenceTokens), "theirs", others, found));
  });
  return { lines, ours, allowed };
}

// The candidate's runs as buttons: point at one, and see where it stands.
function bleuRuns(n, ours, allowed) {
  const list = make("ul", { class: "grams", "aria-label": `Runs of ${n} in the candidate` });
  for (const [run, count] of ours) {
    const most = allowed.get(run) ?? 0;
    const kept = Math.min(count, most);
    let mark = kept < count ? "over" : "hit";
    if (kept === 0) mark = "miss";
    const said = count === kept || count === 1 ? String(kept) : `${kept} of ${count}`;
    const chip = make("button", {
      type: "button",
      class: mark,
      "data-run": run,
      "aria-pressed": run === state.chosen,
      "aria-label": `${run}: counts ${said}; the references have at most ${most}`,
    }, run, make("small", {}, said));
    list.append(make("li", {}, chip));
  }
  return list;
}

function pointAt(panel, run) {
  const n = Number(state.run.bleu);
  for (const line of panel.querySelectorAll(".text")) {
    const spans = [...line.querySelectorAll("span")];
    for (const span of spans) span.classList.remove("seen");
    if (run === null) continue;
    runs(spans.map((span) => span.textContent), n).forEach((other, start) => {
      if (other !== run) return;
      for (const span of spans.slice(start, start + n)) span.classList.add("seen");
    });
  }
}

// How many of the counts are 0, up to the i-th: that often is half taken.
const zeros = (counts, i) => counts.slice(0, i + 1).filter((count) => count === 0).length;

function bleuTable() {
  const { counts, totals, precisions } = state.scores.bleu;
  return tableOf("Precisions of BLEU", ["Runs of", "count", "of", "precision"],
    counts.map((count, i) => {
      const isSmoothed = count === 0 && i < precisions.length;
      const precision = i < precisions.length ? percent(precisions[i]) : "left out";
      const shown = isSmoothed ? `0 → ${0.5 ** zeros(counts, i)}` : String(count);
      const kind = String(i + 1) === state.run.bleu ? "current" : "";
      return { cells: [String(i + 1), shown, String(totals[i]), precision], kind };
    }));
}

function bleuSum() {
  const { score, precisions, penalty, length, referenceLength } = state.scores.bleu;
  const lengths = `${length} of ${referenceLength} tokens`;
  const brevity = make("p", {}, make("b", {}, "Brevity penalty "));
  if (penalty === 1) brevity.append(`1: ${lengths}, so not too short.`);
  else if (length === 0) brevity.append("0: the candidate has no tokens.");
  else {
    brevity.append("e", make("sup", {}, `1 − ${referenceLength}/${length}`), ` = ${share(penalty)}: ${lengths}.`);
  }
  const formula = make("p", { class: "formula" }, make("b", {}, "BLEU "));
  if (precisions.length === 0) formula.append("0: no token counts.");
  else {
    const power = precisions.length > 1 ? [make("sup", {}, `1/${precisions.length}`)] : [];
    const product = precisions.map(share).join(" · ");
    formula.append(`100 · ${share(penalty)} · (${product})`, ...power, ` = ${score.toFixed(1)}`);
  }
  return [brevity, formula];
}

const bleuNotes = () => {
  const { counts, precisions } = state.scores.bleu;
  const notes = ["Tokens as the tokenizer 13a cuts them: signs stand alone. "];
  if (precisions.some((_, i) => counts[i] === 0)) {
    notes.push("A product with a 0 is 0, so the first 0 becomes half a match, the next a quarter, and so on. ");
  }
  if (precisions.length > 0 && precisions.length < 4) {
    notes.push("Runs that the candidate is too short to have are left out.");
  }
  return make("p", { class: "hint" }, ...notes);
};

function drawBleu({ left, right, panel }) {
  const n = Number(state.run.bleu);
  const { lines, ours, allowed } = bleuTexts(n);
  if (!ours.has(state.chosen)) state.chosen = null;
  left.replaceChildren(...lines, legend("hit", "over", "miss"), bleuRuns(n, ours, allowed));
  right.replaceChildren(bleuTable(), ...bleuSum(), bleuNotes());
  pointAt(panel, state.chosen);
}

// What is pointed at, by mouse or keyboard, is seen; a click holds it.
function watchRuns(panel) {
  const runOf = (event) => event.target.closest("[data-run]")?.dataset.run ?? null;
  for (const kind of ["mouseover", "focusin"]) {
    panel.addEventListener(kind, (event) => pointAt(panel, runOf(event) ?? state.chosen));
  }
  for (const kind of ["mouseleave", "focusout"]) {
    panel.addEventListener(kind, () => pointAt(panel, state.chosen));
  }
  panel.addEventListener("click", (event) => {
    const run = runOf(event);
    if (run === null) return;
    state.chosen = run === state.chosen ? null : run;
    for (const chip of panel.querySelectorAll("[data-run]")) {
      chip.setAttribute("aria-pressed", chip.dataset.run === state.chosen);
    }
    pointAt(panel, state.chosen);
  });
}

// chrF -------------------------------------------------------------------------------------------

function chrfTexts() {
  const { candidate, references, chrfpp } = state.scores;
  const [kind, n] = state.run.chrf.split(" ");
  const cut = kind === "words" ? chrfWords : characters;
  const reference = references[chrfpp.reference];
  const ours = cut(candidate);
  const theirs = cut(reference);
  const found = marks(ours, Number(n), counted(runs(theirs, Number(n))));
  const wanted = marks(theirs, Number(n), counted(runs(ours, Number(n))))
    .map((mark) => (mark === "hit" ? "hit" : "miss"));
  const name = nameOf(chrfpp.reference, references);
  if (kind === "words") {
    return [
      colouredWords("Candidate", "ours", ours, found),
      colouredWords(name, "theirs", theirs, wanted),
    ];
  }
  return [
    colouredCharacters("Candidate", "ours", candidate, found),
    colouredCharacters(name, "theirs", reference, wanted),
  ];
}

function chrfTable() {
  const rows = state.scores.chrfpp.rows.map(({ kind, n, ours, theirs, both, precision, recall, counts }) => {
    const name = kind === "characters" ? String(n) : RUNS.chrf.get(`words ${n}`);
    const shares = counts ? [share(precision), share(recall)] : ["–", "–"];
    const isCurrent = `${kind} ${n}` === state.run.chrf;
    return { cells: [name, `${both}`, `${ours}`, `${theirs}`, ...shares], kind: isCurrent ? "current" : "" };
  });
  const heads = ["Runs of", "both", "ours", "theirs", "P", "R"];
  return tableOf("Runs of the candidate, of the reference, and of both", heads, rows);
}

function drawChrf({ left, right }) {
  const { references, chrf, chrfpp } = state.scores;
  const line = (name, { score, precision, recall }) =>
    make("p", { class: "formula" }, make("b", {}, `${name} `),
      `P ${share(precision)}, R ${share(recall)} → ${score.toFixed(1)}`);
  left.replaceChildren(...chrfTexts(), legend("hit", "over", "miss"));
  const other = chrf.reference === chrfpp.reference ? "" : `(chrF prefers reference ${chrf.reference + 1}.) `;
  const hint = chosenReference(chrfpp.reference, references) + other +
    "P and R are the means of their columns. chrF is 100 · 5PR/(4P + R), so recall counts more; " +
    "chrF++ has runs of words, too.";
  right.replaceChildren(chrfTable(), line("chrF", chrf), line("chrF++", chrfpp), make("p", { class: "hint" }, hint));
}

// TER --------------------------------------------------------------------------------------------

const SAID = { keep: "kept", exchange: "exchange", delete: "delete", insert: "insert" };

// A shift: the words before and after it, with the block marked.
function shiftLine({ before, after, start, place, length }) {
  const withBlock = (words, at) => {
    const block = make("span", { class: "hit" }, words.slice(at, at + length).join(" "));
    return [`${words.slice(0, at).join(" ")} `, block, ` ${words.slice(at + length).join(" ")}`];
  };
  const [from, to] = [withBlock(before, start), withBlock(after, place)];
  return make("li", {}, make("b", {}, "Shift "), ...from, " → ", ...to);
}

function terSteps() {
  const { shifts, edits } = state.scores.ter;
  const columns = edits.map(({ kind, from, to }) =>
    make("li", { class: kind },
      make("span", { dir: "auto" }, from || "–"), make("span", { dir: "auto" }, to || "–"),
      make("small", {}, SAID[kind])));
  const list = make("ol", { class: "edits", "aria-label": "Word of the candidate, of the reference, edit" });
  list.append(...columns);
  const moved = make("ol", { class: "shifts" }, ...shifts.map(shiftLine));
  return shifts.length > 0 ? [moved, list] : [list];
}

function drawTer({ left, right }) {
  const { references, ter } = state.scores;
  const rows = [{ cells: ["shift", String(ter.shifts.length)] }];
  for (const kind of ["exchange", "delete", "insert"]) {
    rows.push({ cells: [kind, String(ter.edits.filter((edit) => edit.kind === kind).length)] });
  }
  rows.push({ cells: ["all edits", String(ter.count)], kind: "current" });
  const length = Number.isInteger(ter.length) ? ter.length : ter.length.toFixed(2);
  const words = references.length > 1 ? "words (the references’ mean length)" : "words of the reference";
  const formula = make("p", { class: "formula" }, make("b", {}, "TER "),
    `100 · ${ter.count} / ${length} = ${ter.score.toFixed(1)}`);
  const hint = `${chosenReference(ter.reference, references)}Edits for 100 ${words}. 0 is best, and there is no ` +
    "upper limit. Words are what blanks separate, in small letters. Shifts are searched greedily.";
  const title = "From the candidate (above) to the reference (below):";
  left.replaceChildren(make("p", { class: "hint" }, title), ...terSteps());
  const table = tableOf("Edits", ["Edit", "count"], rows);
  right.replaceChildren(table, formula, make("p", { class: "hint" }, hint));
}

// ROUGE ------------------------------------------------------------------------------------------

const TYPES = { 1: "rouge1", 2: "rouge2", L: "rougeL" };

function rougeMarks(prediction, target, run) {
  if (run !== "L") {
    const n = Number(run);
    const found = marks(prediction, n, counted(runs(target, n)));
    const wanted = marks(target, n, counted(runs(prediction, n)));
    return [found, wanted.map((mark) => (mark === "hit" ? "hit" : "miss")), []];
  }
  const path = lcsPath(lcsTable(prediction, target), prediction, target);
  const found = prediction.map(() => "miss");
  const wanted = target.map(() => "miss");
  for (const [i, j, equal] of path) {
    if (!equal) continue;
    found[i] = "hit";
    wanted[j] = "hit";
  }
  return [found, wanted, path];
}

// The table of the LCS, with the way back from its last cell.
function lcsPicture(prediction, target, path) {
  const table = lcsTable(prediction, target);
  const kinds = new Map(path.map(([i, j, equal]) => [`${i} ${j}`, equal ? "path equal" : "path"]));
  const columns = target.map((word) => make("th", { scope: "col" }, make("span", {}, word)));
  const head = make("tr", {}, make("td"), ...columns);
  const rows = prediction.map((word, i) => {
    const cells = target.map((_, j) => {
      const kind = kinds.get(`${i} ${j}`) ?? "";
      return make("td", { class: kind }, String(table[i + 1][j + 1]));
    });
    return make("tr", {}, make("th", { scope: "row" }, word), ...cells);
  });
  const caption = "Most words in common, in order: rows are words of the candidate, columns of the reference";
  const picture = make("table", { class: "lcs" }, make("caption", { class: "unseen" }, caption),
    make("thead", {}, head), make("tbody", {}, ...rows));
  const box = make("div", { class: "lcs-box", tabindex: 0, role: "region" }, picture);
  box.setAttribute("aria-label", "Table of the LCS");
  const hint = "Each cell: how many words the candidate down to its row and the reference up to its column " +
    "have in common, in order. From the last cell the way goes back; its framed cells are equal words.";
  return [box, make("p", { class: "hint" }, hint)];
}

function drawRouge({ left, right, below }) {
  const { references, rouge } = state.scores;
  const run = state.run.rouge;
  const chosen = rouge[TYPES[run]].reference;
  const { prediction } = rouge;
  const target = rouge.targets[chosen];
  const [found, wanted, path] = rougeMarks(prediction, target, run);
  const lines = [
    colouredWords("Candidate", "ours", prediction, found),
    colouredWords(nameOf(chosen, references), "theirs", target, wanted),
    run === "L" ? legend("hit", "miss") : legend("hit", "over", "miss"),
  ];
  left.replaceChildren(...lines);
  below.replaceChildren();
  const isSmall = Math.max(prediction.length, target.length) <= LONGEST_TABLE;
  if (run === "L" && isSmall && prediction.length > 0 && target.length > 0) {
    below.append(...lcsPicture(prediction, target, path));
  } else if (run === "L" && !isSmall) {
    below.append(make("p", { class: "hint" }, `The table is drawn for texts of up to ${LONGEST_TABLE} words.`));
  }
  const rows = Object.entries(TYPES).map(([name, type]) => {
    const { hits, ours, theirs, fmeasure } = rouge[type];
    return {
      cells: [`ROUGE-${name}`, `${hits}`, `${hits}/${ours}`, `${hits}/${theirs}`, share(fmeasure)],
      kind: name === run ? "current" : "",
    };
  });
  const { precision, recall, fmeasure } = rouge[TYPES[run]];
  const formula = make("p", { class: "formula" }, make("b", {}, `ROUGE-${run} `),
    `P ${share(precision)}, R ${share(recall)} → F ${share(fmeasure)}`);
  const hint = chosenReference(chosen, references) + "F is 2PR/(P + R), from 0 to 1. Words are runs of a to z " +
    "and of digits, in small letters; endings are not cut off (there is no stemming).";
  const table = tableOf("ROUGE", ["Type", "hits", "P", "R", "F"], rows);
  right.replaceChildren(table, formula, make("p", { class: "hint" }, hint));
}

// The page ---------------------------------------------------------------------------------------

// What each tab shows: a name, and the score as text and as a share of its scale.
const VALUES = {
  bleu: ({ bleu }) => [["BLEU", bleu.score.toFixed(1), bleu.score / 100]],
  chrf: ({ chrf, chrfpp }) => [
    ["chrF", chrf.score.toFixed(1), chrf.score / 100],
    ["chrF++", chrfpp.score.toFixed(1), chrfpp.score / 100],
  ],
  ter: ({ ter }) => [["TER", ter.score.toFixed(1), Math.min(ter.score / 100, 1)]],
  rouge: ({ rouge }) => Object.entries(TYPES)
    .map(([name, type]) => [`ROUGE-${name}`, share(rouge[type].fmeasure), rouge[type].fmeasure]),
};
const NAMES = {
  bleu: ["BLEU"],
  chrf: ["chrF", "chrF++"],
  ter: ["TER"],
  rouge: ["ROUGE-1", "ROUGE-2", "ROUGE-L"],
};

function tabContents(panel) {
  const values = state.scores
    ? VALUES[panel](state.scores)
    : NAMES[panel].map((name) => [name, "–", 0]);
  return values.map(([name, value, part]) => {
    const bar = make("i", { "aria-hidden": "true" });
    bar.style.setProperty("--part", part);
    const title = make("span", {}, name === "TER" ? "TER, 0 is best" : name);
    return make("span", { class: "value" }, title, " ", make("b", {}, value), bar);
  });
}

function textBox(id, label, kind) {
  const area = make("textarea", { id, rows: 3, maxlength: 1000, spellcheck: "false", dir: "auto" });
  area.setAttribute("autocapitalize", "off");
  return { area, box: make("div", { class: kind }, make("label", { for: id }, label), area) };
}

// A tab with the scores of a family, and the panel that it opens.
function makePanel(name, draw) {
  const tab = make("button", { type: "button", role: "tab", id: `metrics-tab-${name}`, class: name });
  tab.setAttribute("aria-controls", `metrics-${name}`);
  const panel = make("div", { role: "tabpanel", id: `metrics-${name}`, class: `panel ${name}` });
  panel.setAttribute("aria-labelledby", tab.id);
  const [left, right, below] = ["left", "right", "below"].map((place) => make("div", { class: place }));
  const { box, check } = RUNS[name] ? runPicker(name, draw) : { box: "", check: () => {} };
  panel.append(box, left, right, below);
  return { tab, panel, left, right, below, check };
}

const DRAWS = { bleu: drawBleu, chrf: drawChrf, ter: drawTer, rouge: drawRouge };

// All tabs and panels, and a function that draws what the state says.
function makePanels() {
  const panels = {};
  const draw = () => {
    for (const name of PANELS) {
      const { tab, panel } = panels[name];
      const isOpen = name === state.open;
      tab.replaceChildren(...tabContents(name));
      tab.setAttribute("aria-selected", isOpen);
      tab.tabIndex = isOpen ? 0 : -1;
      panel.hidden = !isOpen || state.scores === null;
    }
    panels[state.open].check();
    if (state.scores) DRAWS[state.open](panels[state.open]);
  };
  const openPanel = (name) => {
    state.open = name;
    draw();
  };
  const list = make("div", { class: "scores", role: "tablist", "aria-label": "Scores" });
  for (const name of PANELS) {
    panels[name] = makePanel(name, draw);
    panels[name].tab.addEventListener("click", () => openPanel(name));
    list.append(panels[name].tab);
  }
  const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -PANELS.length, End: PANELS.length };
  list.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    const to = PANELS.indexOf(state.open) + steps[event.key];
    openPanel(PANELS[Math.max(0, Math.min(PANELS.length - 1, to))]);
    panels[state.open].tab.focus();
  });
  watchRuns(panels.bleu.panel);
  return { list, draw, boxes: PANELS.map((name) => panels[name].panel) };
}

// Says the scores aloud, when the reader has stopped typing for a moment.
function makeSpeaker() {
  const status = make("p", { class: "unseen", role: "status" });
  let pause = 0;
  const say = () => {
    const values = state.scores ? PANELS.flatMap((name) => VALUES[name](state.scores)) : [];
    status.textContent = values.map(([name, value]) => `${name} ${value}`).join(", ");
  };
  const saySoon = () => {
    clearTimeout(pause);
    pause = setTimeout(say, 700);
  };
  return { status, saySoon };
}

function build() {
  const references = textBox("metrics-references", "References, one a line", "theirs");
  const candidate = textBox("metrics-candidate", "Candidate", "ours");
  const picker = make("select", { id: "metrics-pair", "aria-describedby": "metrics-story" });
  PRESETS.forEach(({ name }, i) => picker.append(make("option", { value: i }, name)));
  picker.append(make("option", { value: "own" }, "Your own texts"));
  const reset = make("button", { type: "button" }, "Reset");
  const story = make("p", { id: "metrics-story", class: "story" });
  const empty = make("p", { class: "empty" }, "Write a reference, and the scores appear.");
  const { list, draw, boxes } = makePanels();
  const { status, saySoon } = makeSpeaker();

  const read = () => {
    state.scores = scoreAll(candidate.area.value, references.area.value.split("\n"));
    empty.hidden = state.scores !== null;
    draw();
  };
  const choose = () => {
    const { show, ...pair } = PRESETS[picker.value] ?? OWN;
    references.area.value = pair.references.join("\n");
    candidate.area.value = pair.candidate;
    story.textContent = pair.story;
    state.open = show.score;
    if (show.run) state.run[show.score] = String(show.run);
    state.chosen = null;
    read();
  };
  const follow = (element, kind, action) => {
    element.addEventListener(kind, () => {
      action();
      saySoon();
    });
  };
  follow(picker, "change", choose);
  follow(reset, "click", choose);
  follow(references.area, "input", read);
  follow(candidate.area, "input", read);
  root.replaceChildren(
    make("p", { class: "pick" }, make("label", { for: picker.id }, "Pair "), picker, reset),
    story,
    make("div", { class: "texts" }, references.box, candidate.box),
    list,
    status,
    empty,
    ...boxes,
  );
  choose();
}

build();
