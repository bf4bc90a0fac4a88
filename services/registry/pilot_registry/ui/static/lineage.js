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
  const invitation = told.textContent;
  told.hidden = false;
  const tell = (text) => { told.textContent = text || invitation; };
  // What has a weight comes first.
  const heavy = (a, b) => title(b).startsWith("weight") - title(a).startsWith("weight");
  const between = (line, number) => {
    const [from, to] = ends.get(line);
    return from === number ? `into ${title(nodes[to])} (${title(line)})` : `from ${title(nodes[from])} (${title(line)})`;
  };
  const look = (element) => {
    const node = element.closest("[data-n]") || element.querySelector?.("[data-n]"), line = element.closest("[data-e]");
    if (line) {
      light([line]);
      tell(`${title(nodes[ends.get(line)[1]])}: ${between(line)}`);
    } else if (node) {
      const number = Number(node.dataset.n), chosen = lines.filter((each) => ends.get(each).includes(number)).sort(heavy);
      const more = chosen.length > MOST ? `; and ${chosen.length - MOST} more` : "";
      const said = chosen.slice(0, MOST).map((each) => between(each, number)).join("; ");
      light(chosen);
      tell(`${title(node)}: ${said || "no lines"}${more}`);
    } else {
      light([]);
      tell("");
    }
  };
  drawing.addEventListener("pointerover", (event) => look(event.target));
  drawing.addEventListener("pointerleave", () => { light([]); tell(""); });
  drawing.addEventListener("focusin", (event) => look(event.target));
  drawing.addEventListener("focusout", () => { light([]); tell(""); });
})();
