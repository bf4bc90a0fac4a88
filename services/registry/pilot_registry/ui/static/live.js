// A run as it goes: parts of the page arrive as HTML, each for the element of its name. The browser comes back by
// itself after a drop, and the stream then begins with everything as it is.
"use strict";
(() => {
  const place = document.querySelector("[data-live]");
  if (!place || !window.EventSource) return;
  const told = document.getElementById("live-state");
  const say = (text) => { told.hidden = !text; told.textContent = text; };
  const stream = new EventSource(place.dataset.live);

  stream.addEventListener("parts", (event) => {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const old = document.getElementById(id);
      if (!old || old.contains(document.activeElement)) continue;
      const box = document.createElement(old.tagName === "TR" ? "tbody" : "div");
      box.innerHTML = html;
      const fresh = box.firstElementChild;
      old.replaceWith(fresh);
      window.pilot.ready(fresh);
    }
    say("");
  });
  // Another round or the end: tables and curves change too.
  stream.addEventListener("turn", () => { stream.close(); location.reload(); });
  stream.addEventListener("away", (event) => say(`Nothing new comes: ${event.data}. What stands here may be old.`));
  stream.addEventListener("error", () => say("The line broke; trying again. What stands here may be old."));
  addEventListener("pagehide", () => stream.close());
})();
