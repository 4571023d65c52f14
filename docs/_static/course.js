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
