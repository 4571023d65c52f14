// BLEU, chrF, TER and ROUGE of one text, from the definitions in llm_course/evaluation. Pure
// functions; tests/system/test_site.py holds them to the library's numbers.
//
// Texts are read as Python reads them: by code points, and with Python's blanks. JavaScript's \s
// lacks five of these, and has one more (U+FEFF).
const BLANK = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const BLANKS = new RegExp(`${BLANK}+`, "u");
const BLANKS_AT_END = new RegExp(`${BLANK}+$`, "u");

export const words = (text) => text.split(BLANKS).filter((word) => word !== "");
export const isBlank = (text) => words(text).length === 0;
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const mean = (numbers) => sum(numbers) / Math.max(numbers.length, 1);

// The place of the largest number; of equals, the first.
const best = (numbers) => numbers.indexOf(Math.max(...numbers));

// Runs of n items -------------------------------------------------------------------------------

// The run that starts at each place, as a text. Items hold no space, so different runs differ.
export function runs(items, n) {
  const found = [];
  for (let start = 0; start + n <= items.length; start++) {
    found.push(items.slice(start, start + n).join(" "));
  }
  return found;
}

export function counted(items) {
  const counts = new Map();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

// How many items both have, each as often as in the one that has fewer of it.
export function sharedCount(counts, others) {
  let shared = 0;
  for (const [item, count] of counts) shared += Math.min(count, others.get(item) ?? 0);
  return shared;
}

// Of several counts the largest, for each item.
export function mostOften(all) {
  const most = new Map();
  for (const counts of all) {
    for (const [item, count] of counts) most.set(item, Math.max(count, most.get(item) ?? 0));
  }
  return most;
}

// For each item what becomes of it: "hit" if it is in a run that counts; else "over" if it is in
// one that is allowed, but not so often; else "miss".
export function marks(items, n, allowed) {
  const found = items.map(() => "miss");
  const used = new Map();
  runs(items, n).forEach((run, start) => {
    const limit = allowed.get(run) ?? 0;
    const number = (used.get(run) ?? 0) + 1;
    used.set(run, number);
    if (limit === 0) return;
    for (let at = start; at < start + n; at++) {
      if (number <= limit) found[at] = "hit";
      else if (found[at] === "miss") found[at] = "over";
    }
  });
  return found;
}

// BLEU ------------------------------------------------------------------------------------------

const ENTITIES = [["&quot;", '"'], ["&amp;", "&"], ["&lt;", "<"], ["&gt;", ">"]];

// Blanks around signs; . and , stay inside of a number.
function splitSigns(text) {
  return text
    .replace(/([!-&(-+/:-@[-`{-~])/gu, " $1 ")
    .replace(/([^0-9])([.,])/gu, "$1 $2 ")
    .replace(/([.,])([^0-9])/gu, " $1 $2")
    .replace(/([0-9])(-)/gu, "$1 $2 ");
}

// The tokens of the tokenizer 13a.
export function tokens13a(text) {
  const line = text
    .replace(BLANKS_AT_END, "")
    .replaceAll("<skipped>", "")
    .replaceAll("-\n", "")
    .replaceAll("\n", " ");
  return words(line).flatMap((word) => {
    let plain = word;
    for (const [entity, sign] of ENTITIES) plain = plain.replaceAll(entity, sign);
    return words(splitSigns(` ${plain} `));
  });
}

export function brevityPenalty(length, referenceLength) {
  if (length >= referenceLength) return 1;
  return length === 0 ? 0 : Math.exp(1 - referenceLength / length);
}

// The length that is closest to the candidate's; of two as close, the shorter.
function closest(length, referenceLengths) {
  const better = (a, b) => Math.abs(a - length) - Math.abs(b - length) || a - b;
  return [...referenceLengths].sort(better)[0];
}

// Precisions from 0 to 1. The first zero becomes half a match, the next a quarter, and so on
// (smoothing "exp"). They end where the candidate has no runs (effective order).
function smoothedPrecisions(counts, totals) {
  if (sum(counts) === 0) return [];
  const found = [];
  let part = 1;
  for (const [i, total] of totals.entries()) {
    if (total === 0) break;
    if (counts[i] === 0) part /= 2;
    found.push((counts[i] || part) / total);
  }
  return found;
}

// BLEU of one sentence, from 0 to 100, as the library's sentence_bleu has it by default.
export function bleu(candidate, references, order = 4) {
  const tokens = tokens13a(candidate);
  const referenceTokens = references.map(tokens13a);
  const counts = [];
  const totals = [];
  for (let n = 1; n <= order; n++) {
    const found = runs(tokens, n);
    const allowed = mostOften(referenceTokens.map((others) => counted(runs(others, n))));
    counts.push(sharedCount(counted(found), allowed));
    totals.push(found.length);
  }
  const precisions = smoothedPrecisions(counts, totals);
  const length = tokens.length;
  const referenceLength = closest(length, referenceTokens.map((others) => others.length));
  const penalty = brevityPenalty(length, referenceLength);
  const logarithms = precisions.map(Math.log);
  const score = precisions.length === 0 ? 0 : 100 * penalty * Math.exp(mean(logarithms));
  return {
    score, counts, totals, precisions, penalty, length, referenceLength, tokens, referenceTokens,
  };
}

// chrF ------------------------------------------------------------------------------------------

const SIGNS = new Set("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");

export const characters = (text) => Array.from(words(text).join(""));

// A sign at a word's end, or else at its beginning, is a word of its own.
export function chrfWords(text) {
  return words(text).flatMap((word) => {
    const signs = Array.from(word);
    if (signs.length === 1) return [word];
    if (SIGNS.has(signs.at(-1))) return [signs.slice(0, -1).join(""), signs.at(-1)];
    if (SIGNS.has(signs[0])) return [signs[0], signs.slice(1).join("")];
    return [word];
  });
}

// Recall counts β² times as much as precision.
export function fBeta(precision, recall, beta) {
  const below = beta ** 2 * precision + recall;
  return below > 0 ? ((1 + beta ** 2) * precision * recall) / below : 0;
}

function chrfOfOne(candidate, reference, wordOrder) {
  const rows = [];
  const compare = (kind, cut, order) => {
    for (let n = 1; n <= order; n++) {
      const ours = runs(cut(candidate), n);
      const theirs = runs(cut(reference), n);
      const both = sharedCount(counted(ours), counted(theirs));
      const precision = both / Math.max(ours.length, 1);
      const recall = both / Math.max(theirs.length, 1);
      const counts = ours.length > 0 && theirs.length > 0; // a short text has no long runs
      rows.push({ kind, n, ours: ours.length, theirs: theirs.length, both, precision, recall, counts });
    }
  };
  compare("characters", characters, 6);
  compare("words", chrfWords, wordOrder);
  const used = rows.filter((row) => row.counts);
  const precision = mean(used.map((row) => row.precision));
  const recall = mean(used.map((row) => row.recall));
  return { score: 100 * fBeta(precision, recall, 2), precision, recall, rows };
}

// chrF, from 0 to 100, against the reference that gives most; with a wordOrder of 2 it is chrF++.
export function chrf(candidate, references, wordOrder = 0) {
  const found = references.map((reference) => chrfOfOne(candidate, reference, wordOrder));
  const chosen = best(found.map((one) => one.score));
  return { ...found[chosen], reference: chosen };
}

// TER -------------------------------------------------------------------------------------------

const FAR = 1e9; // outside of the band
const BAND = 25; // cells to both sides of the diagonal
const LONGEST = 10; // words in a block
const FARTHEST = 50; // words that it moves
const TRIALS = 1000; // for one candidate

export const terWords = (text) => words(text.toLowerCase());

// Row i of the table of edits, from the row above it. Only a band about the diagonal is filled.
function fillRow(row, above, i, output, reference) {
  const n = reference.length;
  const slope = n / output.length;
  const band = slope > 2 * BAND ? Math.ceil(slope / 2 + BAND) : BAND;
  const middle = Math.floor(i * slope);
  const first = Math.max(1, middle - band);
  const last = i === output.length ? n : Math.min(n, middle + band - 1);
  const word = output[i - 1];
  row.fill(FAR);
  if (middle <= band) row[0] = above[0] + 1;
  for (let j = first; j <= last; j++) {
    const exchanged = above[j - 1] + (word === reference[j - 1] ? 0 : 1);
    row[j] = Math.min(exchanged, above[j] + 1, row[j - 1] + 1);
  }
}

// Row i, column j: edits from the first i words of the output to the first j of the reference.
function editRows(output, reference) {
  const rows = [Int32Array.from({ length: reference.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= output.length; i++) {
    rows.push(new Int32Array(reference.length + 1));
    fillRow(rows[i], rows[i - 1], i, output, reference);
  }
  return rows;
}

// The last cell of editRows, where the rows up to `known` are those of `rows`.
function countEdits(output, reference, rows, known) {
  let above = Int32Array.from(rows[known]);
  let row = new Int32Array(above.length);
  for (let i = known + 1; i <= output.length; i++) {
    fillRow(row, above, i, output, reference);
    [above, row] = [row, above];
  }
  return above.at(-1);
}

// The edits along the path back from the last cell, in the order of the texts. For each word of
// the reference also its place in the output; and which words of both are edited.
function alignment(rows, output, reference) {
  let i = output.length;
  let j = reference.length;
  const places = new Array(j).fill(0);
  const outputEdited = new Array(i).fill(false);
  const referenceEdited = new Array(j).fill(false);
  const edits = [];
  while (i > 0 || j > 0) {
    const differ = i > 0 && j > 0 && output[i - 1] !== reference[j - 1];
    if (i > 0 && j > 0 && rows[i][j] === rows[i - 1][j - 1] + (differ ? 1 : 0)) {
      i--;
      j--;
      places[j] = i;
      outputEdited[i] = differ;
      referenceEdited[j] = differ;
      edits.unshift({ kind: differ ? "exchange" : "keep", from: output[i], to: reference[j] });
    } else if (i > 0 && (j === 0 || rows[i][j] === rows[i - 1][j] + 1)) {
      i--;
      outputEdited[i] = true;
      edits.unshift({ kind: "delete", from: output[i] });
    } else {
      j--;
      places[j] = i - 1; // it is missing: it belongs after that word
      referenceEdited[j] = true;
      edits.unshift({ kind: "insert", to: reference[j] });
    }
  }
  return { places, outputEdited, referenceEdited, edits };
}

// A block moved before the word at `target`; to a place in itself: behind itself. The words after
// that, and the block's place among them.
function shifted(output, start, length, target) {
  const block = output.slice(start, start + length);
  const others = [...output.slice(0, start), ...output.slice(start + length)];
  const without = target > start + length ? target - length : target; // the block was before it
  const place = Math.min(without, others.length);
  return { after: [...others.slice(0, place), ...block, ...others.slice(place)], place };
}

// Where a block of the output is also in the reference: both places, and its length.
function* commonBlocks(output, reference) {
  for (const [start, word] of output.entries()) {
    for (const [place, other] of reference.entries()) {
      if (word !== other || Math.abs(place - start) > FARTHEST) continue;
      const most = Math.min(LONGEST, output.length - start, reference.length - place);
      for (let length = 1; length <= most; length++) {
        if (output[start + length - 1] !== reference[place + length - 1]) break;
        yield [start, place, length];
      }
    }
  }
}

// Whether the first of two trials is better, at the first number in which they differ.
function isBetter(trial, other) {
  const at = trial.findIndex((number, i) => number !== other[i]);
  return at >= 0 && trial[at] > other[at];
}

// What the best single shift saves, and the shift; and how many trials there were by now.
function bestShift(output, reference, trialsBefore) {
  const rows = editRows(output, reference);
  const { places, outputEdited, referenceEdited } = alignment(rows, output, reference);
  const editsNow = rows[output.length][reference.length];
  let trials = trialsBefore;
  let found = null;
  for (const [start, wanted, length] of commonBlocks(output, reference)) {
    const isRight = !outputEdited.slice(start, start + length).includes(true);
    const isThere = !referenceEdited.slice(wanted, wanted + length).includes(true);
    const isInside = start <= places[wanted] && places[wanted] < start + length;
    if (isRight || isThere || isInside) continue;
    const targets = new Set([wanted === 0 ? 0 : places[wanted - 1] + 1]);
    for (let j = wanted; j < wanted + length; j++) targets.add(places[j] + 1);
    for (const target of targets) {
      const { after, place } = shifted(output, start, length, target);
      const saved = editsNow - countEdits(after, reference, rows, Math.min(start, target));
      trials++;
      const trial = [saved, length, -start, -target]; // ties: long, then early blocks
      if (found === null || isBetter(trial, found.trial)) {
        found = { trial, shift: { before: output, after, start, place, length } };
      }
    }
    if (trials >= TRIALS) break;
  }
  if (found === null) return { saved: 0, trials };
  return { saved: found.trial[0], shift: found.shift, trials };
}

// Shifts, found greedily, and then the other edits.
export function terEdits(output, reference) {
  const names = [...new Set([...output, ...reference])];
  const numberOf = new Map(names.map((word, i) => [word, i])); // numbers are compared faster
  const goal = reference.map((word) => numberOf.get(word));
  let current = output.map((word) => numberOf.get(word));
  let trials = 0;
  const shifts = [];
  for (;;) {
    const step = bestShift(current, goal, trials);
    trials = step.trials;
    if (step.saved <= 0 || trials >= TRIALS) break;
    shifts.push(step.shift);
    current = step.shift.after;
  }
  const rows = editRows(current, goal);
  const wordOf = (number) => names[number] ?? "";
  return {
    count: shifts.length + rows.at(-1).at(-1),
    shifts: shifts.map(({ before, after, ...where }) => ({
      ...where,
      before: before.map(wordOf),
      after: after.map(wordOf),
    })),
    edits: alignment(rows, current, goal).edits.map(({ kind, from, to }) => ({
      kind,
      from: wordOf(from),
      to: wordOf(to),
    })),
  };
}

// Edits for 100 words of the references: from 0, which is best, upwards.
export function ter(candidate, references) {
  const output = terWords(candidate);
  const others = references.map(terWords);
  const found = others.map((reference) => terEdits(output, reference));
  const chosen = best(found.map((one) => -one.count));
  const length = mean(others.map((reference) => reference.length));
  const score = (100 * found[chosen].count) / length;
  return { ...found[chosen], score, length, reference: chosen };
}

// ROUGE -----------------------------------------------------------------------------------------

// The runs of a–z and 0–9, in lower case.
export const classicWords = (text) => text.toLowerCase().match(/[a-z0-9]+/g) ?? [];

function shares(hits, ours, theirs) {
  const precision = hits / Math.max(ours, 1);
  const recall = hits / Math.max(theirs, 1);
  const both = precision + recall;
  const fmeasure = both > 0 ? (2 * precision * recall) / both : 0;
  return { hits, ours, theirs, precision, recall, fmeasure };
}

function rougeN(prediction, target, n) {
  const ours = runs(prediction, n);
  const theirs = runs(target, n);
  return shares(sharedCount(counted(ours), counted(theirs)), ours.length, theirs.length);
}

// Row i, column j: the most words that the first i of the prediction and the first j of the target
// have in common, in order.
export function lcsTable(prediction, target) {
  const table = [new Array(target.length + 1).fill(0)];
  for (const word of prediction) {
    const above = table.at(-1);
    const row = [0];
    target.forEach((other, j) => {
      row.push(word === other ? above[j] + 1 : Math.max(above[j + 1], row[j]));
    });
    table.push(row);
  }
  return table;
}

// The way back from the last cell, as cells [i, j, whether the words are equal and count]. Where
// there are several, it goes left as long as it can, as in the library's lcs_places.
export function lcsPath(table, prediction, target) {
  const path = [];
  let i = prediction.length;
  let j = target.length;
  while (i > 0 && j > 0) {
    const equal = prediction[i - 1] === target[j - 1];
    path.unshift([i - 1, j - 1, equal]);
    if (equal) {
      i--;
      j--;
    } else if (table[i][j - 1] === table[i][j]) j--;
    else i--;
  }
  return path;
}

function rougeL(prediction, target) {
  const hits = lcsTable(prediction, target).at(-1).at(-1);
  return shares(hits, prediction.length, target.length);
}

// ROUGE-1, ROUGE-2 and ROUGE-L: precision, recall and F, each from 0 to 1, and for each type the
// reference with the highest F.
export function rouge(candidate, references) {
  const prediction = classicWords(candidate);
  const targets = references.map(classicWords);
  const choose = (score) => {
    const found = targets.map(score);
    const chosen = best(found.map((one) => one.fmeasure));
    return { ...found[chosen], reference: chosen };
  };
  return {
    rouge1: choose((target) => rougeN(prediction, target, 1)),
    rouge2: choose((target) => rougeN(prediction, target, 2)),
    rougeL: choose((target) => rougeL(prediction, target)),
    prediction,
    targets,
  };
}

// All ------------------------------------------------------------------------------------------

// The scores of one candidate. References that are blank are left out; without any there is no
// score, and the answer is null.
export function scoreAll(candidate, references) {
  const given = references.filter((reference) => !isBlank(reference));
  if (given.length === 0) return null;
  return {
    candidate,
    references: given,
    bleu: bleu(candidate, given),
    chrf: chrf(candidate, given),
    chrfpp: chrf(candidate, given, 2),
    ter: ter(candidate, given),
    rouge: rouge(candidate, given),
  };
}
