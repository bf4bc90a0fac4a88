// What pages do beyond links and forms. Everything here is a convenience: without it all can be read and done.
"use strict";
(() => {
  // Times in the reader's own zone; UTC stays in the title.
  const LOCAL = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const span = (seconds) => {
    const parts = [];
    let left = Math.max(0, Math.round(seconds));
    for (const [size, unit] of UNITS) {
      if (left >= size || (unit === "s" && !parts.length)) { parts.push(`${Math.floor(left / size)} ${unit}`); left %= size; }
    }
    return parts.slice(0, 2).join(" ");
  };
  const local = (moment) => {
    const part = Object.fromEntries(LOCAL.formatToParts(moment).map((p) => [p.type, p.value]));
    return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}`;
  };
  const times = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      element.textContent = element.classList.contains("ago")
        ? `${span((Date.now() - moment) / 1000)} ago` : local(moment);
    }
  };

  // A button that copies what stands beside it.
  const copying = (root) => {
    for (const button of root.querySelectorAll("button.copy")) {
      button.hidden = !navigator.clipboard;
    }
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(button.parentElement.querySelector("pre, code").innerText.trimEnd());
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  // A form that asks before it does something that cannot be taken back.
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  const ready = (root) => { times(root); copying(root); };
  document.addEventListener("DOMContentLoaded", () => ready(document));
  document.addEventListener("htmx:load", (event) => ready(event.detail.elt));
  setInterval(() => times(document), 20000);
  window.pilot = {ready};
})();
