// The landing page's answer, played back as it came. Without JavaScript, or for those who want no motion, it stands there whole.
const answer = document.querySelector(".answer");
if (answer && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
  const tokens = [...answer.querySelectorAll("[data-t]")];
  answer.classList.add("playing");
  const wait = tokens[0]?.dataset.t * 1000;  // the prompt has been read
  let start;
  const step = (now) => {
    start ??= now;
    while (tokens.length && tokens[0].dataset.t * 1000 <= now - start + wait) tokens.shift().classList.add("said");
    if (tokens.length) requestAnimationFrame(step);
    else answer.classList.remove("playing");
  };
  requestAnimationFrame(step);
}

// What scrolls sideways can be reached by keyboard. The theme sees to code and tables; signatures and formulas are left.
const reach = () => {
  for (const box of document.querySelectorAll("dt.sig, div.math, div.cell_output, .table-box")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", reach);
addEventListener("resize", reach);

// An address whose anchor stands in a fold opens the fold. One whose anchor has moved to another page goes after it: anchors.json
// says where cells and names are now, and where sections went.
const reveal = (target) => {
  const folds = target.matches(".tag_test") ? [...target.querySelectorAll("details")] : [];
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
  for (const fold of folds) fold.open = true;
  if (folds.length) target.scrollIntoView();
};
const siteRoot = new URL(document.documentElement.dataset.content_root ?? "./", location.href);
const follow = async (anchor) => {
  const page = location.pathname.slice(siteRoot.pathname.length).replace(/\.html$/, "");
  const { cells, names, sections } = await (await fetch(new URL("anchors.json", siteRoot))).json();
  const cell = Object.keys(cells).find((name) => anchor.startsWith("cell-") && cells[name].includes(anchor.slice(5)));
  const name = page.startsWith("api/") ? anchor.replace(/^llm_course\.[a-z_.]*\.(?=\w+(\.\w+)?$)/, "") : "";
  const module = Object.keys(names).find((module) => names[module].includes(name));
  const section = sections[page]?.[anchor];
  const address = cell ? `${cell}.html#${anchor}`
    : module ? `api/${module}.html#llm_course.${module}.${name}`
    : section ? `${section}.html#${anchor}` : "";
  if (address && !address.startsWith(`${page}.html`)) location.replace(new URL(address, siteRoot));
};
const arrive = () => {
  if (location.hash.length < 2) return;
  let anchor = location.hash.slice(1);
  try { anchor = decodeURIComponent(anchor); } catch { /* no percent encoding after all */ }
  const target = document.getElementById(anchor);
  if (target) reveal(target);
  else follow(anchor).catch(() => { /* a file on a disk can't ask for another */ });
};
arrive();
addEventListener("hashchange", arrive);
