"use strict";
// The chat page: sends the whole conversation, shows the answer as it comes, and can stop it.

const el = (id) => document.getElementById(id);
const SLIDERS = ["temperature", "top_p", "repetition_penalty", "max_tokens"];
let turns = []; // {role, content}, as the server takes them
let running = null; // the AbortController of the answer that is being written
let model = null;

function show(role, text) {
  const turn = document.createElement("div");
  const who = document.createElement("span");
  const said = document.createElement("span");
  turn.className = "turn " + role;
  who.className = "who";
  who.textContent = role === "user" ? "You" : "Model";
  said.textContent = text; // never HTML: nobody knows what a model writes
  turn.append(who, said);
  el("log").append(turn);
  turn.scrollIntoView({ block: "end" });
  return { turn, said };
}

function headers() {
  const key = el("key").value;
  return { "Content-Type": "application/json", ...(key ? { Authorization: "Bearer " + key } : {}) };
}

function body() {
  const system = el("system").value.trim();
  const settings = Object.fromEntries(SLIDERS.map((name) => [name, Number(el(name).value)]));
  return {
    model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns],
    stream: true,
    stream_options: { include_usage: true },
    ...settings,
  };
}

async function problem(response) {
  if (response.status === 401) {
    el("key-row").hidden = false;
    el("key-row").closest("details").open = true;
    el("key").focus();
  }
  try {
    return (await response.json()).error.message;
  } catch {
    return "The server answered with status " + response.status + ".";
  }
}

// The events of a stream, as they come: each is a line "data: " and JSON.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (text + value).split("\n");
    text = lines.pop(); // the end of it hasn't come yet
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

async function answer() {
  const { turn, said } = show("assistant", "");
  const start = performance.now();
  let first = null;
  let pieces = 0;
  let usage = null;
  let end = "";
  el("log").setAttribute("aria-busy", "true"); // it is read aloud when it is whole
  el("status").textContent = "The model reads.";
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers(), body: JSON.stringify(body()), signal: running.signal,
    });
    if (!response.ok) throw new Error(await problem(response));
    for await (const event of events(response)) {
      usage = event.usage || usage;
      const choice = event.choices[0];
      if (!choice) continue;
      if (choice.finish_reason === "length") end = " It was cut off: no tokens were left.";
      if (!choice.delta.content) continue;
      first = first ?? performance.now();
      pieces += 1;
      said.textContent += choice.delta.content;
      el("status").textContent = "The model writes.";
      const log = el("log");
      if (log.scrollHeight - log.scrollTop - log.clientHeight < 80) log.scrollTop = log.scrollHeight;
    }
  } catch (error) {
    if (error.name === "AbortError") {
      end = " Stopped.";
    } else {
      turn.classList.add("wrong");
      end = " " + (error instanceof TypeError ? "The server can't be reached." : error.message);
      said.textContent = said.textContent || "(no answer)";
    }
  }
  const seconds = (performance.now() - (first ?? start)) / 1000;
  const tokens = usage ? usage.completion_tokens : pieces;
  const speed = tokens > 1 ? ` ${((tokens - 1) / seconds).toFixed(1)} tokens per second.` : "";
  el("status").textContent = `${tokens} tokens.${speed}${end}`;
  el("log").setAttribute("aria-busy", "false");
  return { text: said.textContent, right: !turn.classList.contains("wrong") };
}

async function ask(event) {
  event.preventDefault();
  const text = el("text").value.trim();
  if (!text || running) return;
  if (!model) await find();
  if (el("hint")) el("hint").remove();
  el("text").value = "";
  turns.push({ role: "user", content: text });
  show("user", text);
  const mine = turns;
  running = new AbortController();
  el("send").disabled = true;
  el("stop").disabled = false;
  const { text: said, right } = await answer();
  if (right && said) mine.push({ role: "assistant", content: said });
  if (!right) {
    mine.pop(); // what failed isn't part of the chat, but can be sent again
    el("text").value = el("text").value || text;
  }
  running = null;
  el("stop").disabled = true;
  el("send").disabled = false;
  if (document.activeElement === document.body) el("text").focus();
}

function stop() {
  if (running) running.abort();
}

function fresh() {
  stop();
  turns = [];
  el("log").replaceChildren();
  el("status").textContent = "";
  el("text").focus();
}

async function find() {
  try {
    const found = await (await fetch("/health")).json();
    model = found.model;
    el("model").textContent = model;
    el("max_tokens").max = found.max_tokens;
    follow("max_tokens");
  } catch {
    el("status").textContent = "The server can't be reached.";
  }
}

function follow(name) {
  el(name + "-value").textContent = el(name).value;
}

for (const name of SLIDERS) {
  el(name).addEventListener("input", () => follow(name));
  follow(name);
}
el("ask").addEventListener("submit", ask);
el("stop").addEventListener("click", stop);
el("new").addEventListener("click", fresh);
el("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) ask(event);
  if (event.key === "Escape") stop();
});
find();
