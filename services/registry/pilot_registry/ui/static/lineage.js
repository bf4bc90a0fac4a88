// Lineage, pointed at or walked through by keyboard: the lines of one version stand out, and what they weigh is told.
"use strict";
(() => {
  const MOST = 12;
  const drawing = document.querySelector("svg.lineage"), told = document.getElementById("told");
  if (!drawing) return;
  const nodes = [...drawing.querySelectorAll("[data-n]")], lines = [...drawing.querySelectorAll("[data-e]")];
  const ends = new Map(lines.map((line) => [line, line.dataset.e.split(" ").map(Number)]));
  const title = (element) => element.querySelector("title").textContent;

  const light = (chosen) => {
    drawing.classList.toggle("choosing", chosen.length > 0);
    for (const line of drawing.querySelectorAll(".lit")) line.classList.remove("lit");
    for (const line of chosen) line.classList.add("lit");
  };
  const tell = (text) => { told.hidden = !text; told.textContent = text; };
  const between = (line) => {
    const [from, to] = ends.get(line);
    return `${title(nodes[from])} \u2192 ${title(nodes[to])}: ${title(line)}`;
  };
  const look = (element) => {
    const node = element.closest("[data-n]") || element.querySelector?.("[data-n]"), line = element.closest("[data-e]");
    if (line) { light([line]); tell(between(line)); return; }
    if (!node) { light([]); tell(""); return; }
    const number = Number(node.dataset.n), chosen = lines.filter((each) => ends.get(each).includes(number));
    light(chosen);
    const more = chosen.length > MOST ? `; and ${chosen.length - MOST} more` : "";
    tell(chosen.length ? chosen.slice(0, MOST).map(between).join("; ") + more : `${title(node)}: no lines`);
  };
  drawing.addEventListener("pointerover", (event) => look(event.target));
  drawing.addEventListener("pointerleave", () => { light([]); tell(""); });
  drawing.addEventListener("focusin", (event) => look(event.target));
  drawing.addEventListener("focusout", () => { light([]); tell(""); });
})();
