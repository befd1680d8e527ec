// Shows how the run under way goes. Everything else works without this.
"use strict";
(function () {
  const box = document.getElementById("progress");
  if (!box) return;
  const text = document.getElementById("progress-text");
  const bar = document.getElementById("progress-bar");
  const over = document.getElementById("progress-over");
  const busy = 2000, idle = 10000;
  let run = box.hasAttribute("data-running");
  let phase = "";
  let left = 3; // times that latchd may fail to answer in a row

  function show(p) {
    const under = Boolean(p.run);
    // A screen reader is told of each phase once, not of every number.
    text.setAttribute("aria-live", p.phase === phase ? "off" : "polite");
    phase = p.phase;
    text.textContent = p.text;
    bar.hidden = !under;
    if (under && p.total) {
      bar.max = p.total;
      bar.value = p.done;
    } else {
      bar.removeAttribute("value");
    }
    over.hidden = under || !run;
    if (under) run = true;
    return under;
  }

  async function ask() {
    let wait = idle;
    if (!document.hidden) {
      try {
        const res = await fetch("/progress", { credentials: "same-origin", cache: "no-store" });
        if (res.status === 401) {
          text.textContent = "You are not signed in any more.";
          return;
        }
        if (!res.ok) throw new Error(String(res.status));
        left = 3;
        if (show(await res.json())) wait = busy;
      } catch (e) {
        if (--left === 0) {
          text.textContent = "latchd does not answer. Reload the page to try again.";
          return;
        }
      }
    }
    setTimeout(ask, wait);
  }
  setTimeout(ask, run ? busy : idle);
})();
