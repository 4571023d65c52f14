// Kill an agent: recorded runs with one kill each, at every moment that matters.
const root = document.getElementById("kills");
const WAYS = {
  careful: "Careful: numbered payments, the letter isn’t repeated",
  careless: "Careless: everything is repeated, without numbers",
};
const NAMES = {
  asks: "asks the model",
  reads: "reads a page",
  pays: "pays a bill",
  sends: "sends a letter",
  answers: "the model answers",
};

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
const isOver = (state) => state === "done" || state === "failed";

// The step in which the kill fell: the first one that isn't over, unless nothing of it had begun.
function killedStep(run) {
  const { after } = run.starts[0];
  return after.findIndex((state) => !isOver(state));
}

// What a start did with a step: a kind, and a word for it.
function cell(run, start, step) {
  const { before, after } = run.starts[start];
  if (isOver(before[step])) return ["kept", "out of the log"];
  if (start < run.starts.length - 1) {
    if (isOver(after[step])) return ["done", "done"];
    const atRest = run.place === "after the note “done”" || run.place.endsWith("“run”");
    if (step === killedStep(run)) return ["killed", atRest ? "✕ not begun" : `✕ ${run.place}`];
    return ["", ""];
  }
  if (after[step] === "failed") return ["unknown", "not again: it may have happened, or not"];
  return ["done", "done"];
}

function table(record, run) {
  const heads = ["step", "first start", "second start"];
  const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col" }, name)));
  const body = make("tbody");
  record.steps.forEach((name, step) => {
    const cells = [0, 1].map((start) => {
      const [kind, word] = cell(run, start, step);
      return make("td", { class: kind }, word);
    });
    body.append(make("tr", {}, make("th", { scope: "row" }, NAMES[name]), ...cells));
  });
  return make("table", {}, make("thead", {}, head), body);
}

function verdict(run) {
  const unknown = run.starts[1].after.includes("failed");
  if (run.booked > 2) return ["bad", "A bill was paid twice."];
  if (run.letters > 1) return ["bad", "The letter was sent twice."];
  if (run.letters === 0) return ["bad", "The letter was never sent, and the agent was told that it can’t know."];
  if (unknown) return ["good", "Nothing happened twice. That the letter was sent, the agent can’t know."];
  return ["good", "Everything happened once."];
}

function status(run) {
  const [kind, word] = verdict(run);
  const step = killedStep(run);
  const place = run.place.startsWith("after the note “done”") ? "between two steps" : run.place;
  const facts = `Killed ${place}${step < 0 ? ", at the end" : ""}. The bank got ${count(run.orders, "order")} and booked ${count(run.booked, "payment")}; ${count(run.letters, "letter")} went out. `;
  return [facts, make("strong", { class: kind }, word)];
}

fetch(root.dataset.source).then((reply) => reply.json()).then((record) => {
  const picker = make("select", { id: "kills-way" });
  for (const [way, name] of Object.entries(WAYS)) picker.append(make("option", { value: way }, name));
  const slider = make("input", { type: "range", id: "kills-moment", min: 0, step: 1, value: 0 });
  const back = make("button", { type: "button" }, "Back");
  const next = make("button", { type: "button" }, "Next");
  const said = make("p", { class: "status", role: "status" });
  const all = make("div", { class: "all" });

  const show = () => {
    const runs = record.runs[picker.value];
    slider.max = runs.length - 1;
    const moment = Number(slider.value);
    const run = runs[moment];
    said.replaceChildren(...status(run));
    slider.setAttribute("aria-valuetext", `Moment ${moment + 1} of ${runs.length}: ${run.place}`);
    back.disabled = moment === 0;
    next.disabled = moment === runs.length - 1;
    all.replaceChildren(table(record, run));
  };
  const move = (by) => {
    slider.value = Number(slider.value) + by;
    show();
  };
  back.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  slider.addEventListener("input", show);
  picker.addEventListener("change", show);
  root.replaceChildren(
    make("p", { class: "pick" }, make("label", { for: picker.id }, "Way "), picker),
    make("p", { class: "slide" }, back, make("label", { for: slider.id, class: "unseen" }, "Moment of the kill"), slider, next),
    said,
    all,
  );
  // Begin where it matters: a bill is paid, and the log doesn’t know yet.
  slider.max = record.runs.careful.length - 1;
  slider.value = record.runs.careful.findIndex(({ place }) => place === "after paying");
  show();
});
