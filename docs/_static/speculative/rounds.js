// Guess and verify: rounds of speculative decoding as they were recorded, one moment at a time.
const root = document.getElementById("rounds");
const KINDS = { quote: "A text to repeat", chat: "A question", prose: "A story", code: "A program" };
const VERDICTS = { kept: "kept", refused: "refused", dropped: "unread" };

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const shown = (text) => text.replaceAll("\n", "↵\n");
const inTable = (text) => (text === "" ? "(end)" : `“${text.replaceAll("\n", "↵")}”`);
const chance = (x) => (x === undefined ? "—" : x.toFixed(2));

// What became of each guess: all are kept up to the first one that is refused.
const verdicts = ({ guesses, kept }) =>
  guesses.map((_, at) => (at < kept ? "kept" : at === kept ? "refused" : "dropped"));

// Each round has two moments: the guesses, and what the large model says of them.
const roundOf = (moment) => Math.floor(moment / 2);
const isVerified = (moment) => moment % 2 === 1;

function passage(run, moment) {
  const text = make("p", { class: "text", tabindex: 0, "aria-label": "The text so far" });
  text.append(make("span", { class: "prompt" }, `${run.request}\n\n`));
  run.rounds.slice(0, roundOf(moment) + 1).forEach((round, number) => {
    const isLast = number === roundOf(moment);
    const found = verdicts(round);
    round.guesses.forEach((guess, at) => {
      const kind = isLast && !isVerified(moment) ? "guess" : found[at];
      if (kind === "kept" || isLast) text.append(make("span", { class: kind }, shown(guess.text)));
    });
    if (!isLast || isVerified(moment)) text.append(make("span", { class: "own" }, shown(round.next)));
  });
  return text;
}

function rows(run, moment) {
  const round = run.rounds[roundOf(moment)];
  const found = verdicts(round);
  const body = make("tbody");
  const judged = isVerified(moment);
  round.guesses.forEach(({ text, q, p }, at) => {
    const isRead = judged && found[at] !== "dropped";
    const numbers = [q, isRead ? p : undefined, isRead ? Math.min(1, p / q) : undefined];
    body.append(
      make(
        "tr",
        { class: judged ? found[at] : "guess" },
        make("th", { scope: "row" }, inTable(text)),
        ...numbers.map((x) => make("td", {}, chance(x))),
        make("td", {}, judged ? VERDICTS[found[at]] : ""),
      ),
    );
  });
  const from = found.includes("refused") ? "in place of the refused one" : "after the last guess";
  const likely = round.likely.map(([text, p]) => `${inTable(text)} ${p.toFixed(2)}`).join(", ");
  const said = judged ? `the large model’s own, ${from}. Likely to it were ${likely}.` : "";
  const own = make("th", { scope: "row" }, judged ? inTable(round.next) : "");
  body.append(make("tr", { class: "own" }, own, make("td", { colspan: 4 }, said)));
  const heads = ["guess", "q", "p", "chance", "verdict"];
  const head = make("tr", {}, ...heads.map((name) => make("th", { scope: "col" }, name)));
  return make("table", {}, make("thead", {}, head), body);
}

function status(run, moment) {
  const number = roundOf(moment);
  const done = run.rounds.slice(0, isVerified(moment) ? number + 1 : number);
  const tokens = done.reduce((sum, { kept }) => sum + kept + 1, 0);
  const what = isVerified(moment) ? "the large model has read the guesses" : "guesses";
  const words = `${tokens} token${tokens === 1 ? "" : "s"}`;
  const passes = `${done.length} pass${done.length === 1 ? "" : "es"}`;
  return `Round ${number + 1} of ${run.rounds.length}: ${what}. ${words} from ${passes} of the large model.`;
}

fetch(root.dataset.source).then((reply) => reply.json()).then((record) => {
  const picker = make("select", { id: "rounds-text" });
  record.texts.forEach(({ kind, guesser }, i) =>
    picker.append(make("option", { value: i }, `${KINDS[kind] ?? kind}: ${guesser}`)),
  );
  const slider = make("input", { type: "range", id: "rounds-moment", min: 0, step: 1, value: 0 });
  const back = make("button", { type: "button" }, "Back");
  const next = make("button", { type: "button" }, "Next");
  const how = make("p", { class: "how" });
  const said = make("p", { class: "status", role: "status" });
  const stage = make("div", { class: "stage" });
  const table = make("div", { class: "all", tabindex: 0, role: "region", "aria-label": "The guesses of this round" });

  const show = () => {
    const run = record.texts[picker.value];
    slider.max = 2 * run.rounds.length - 1;
    const moment = Number(slider.value);
    said.textContent = status(run, moment);
    slider.setAttribute("aria-valuetext", said.textContent);
    back.disabled = moment === 0;
    next.disabled = moment === Number(slider.max);
    how.textContent = `Up to ${record.k} guesses a round, at a temperature of ${record.temperature}.`;
    const text = passage(run, moment);
    stage.replaceChildren(text);
    text.scrollTop = text.scrollHeight; // what is new stands at the end
    table.replaceChildren(rows(run, moment));
  };
  const move = (by) => {
    slider.value = Number(slider.value) + by;
    show();
  };
  back.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  slider.addEventListener("input", show);
  picker.addEventListener("change", () => {
    slider.value = 0;
    show();
  });
  const legend = make("p", { class: "legend" });
  const names = { guess: "a guess", kept: "kept", refused: "refused", dropped: "unread", own: "the large model’s own" };
  for (const [kind, name] of Object.entries(names)) legend.append(make("span", { class: kind }, name), " ");
  root.replaceChildren(
    make("p", { class: "pick" }, make("label", { for: picker.id }, "Text "), picker),
    how,
    stage,
    legend,
    make("p", { class: "slide" }, back, make("label", { for: slider.id, class: "unseen" }, "Moment"), slider, next),
    said,
    table,
  );
  show();
});
