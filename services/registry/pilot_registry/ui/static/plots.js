// Draws each [data-plot] from the JSON beside it, in the colours of the theme, and again when theme or width change.
"use strict";
(() => {
  const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = () => ["--accent", "--info", "--warn", "--bad", "--good", "--quiet", "--edge"].map(colour);
  const drawn = new Map();

  const options = (made, width) => {
    const ink = colour("--quiet"), grid = {stroke: colour("--line"), width: 1}, colours = palette();
    const axis = {stroke: ink, grid, ticks: grid};
    return {
      width, height: 260, scales: {x: {time: false}},
      cursor: {points: {size: 6}}, legend: {live: true},
      axes: [
        {...axis, values: (_, ticks) => ticks.map((tick) => Number.isInteger(tick) ? `round ${tick}` : "")},
        {...axis, label: made.unit, labelSize: 20, size: 58},
      ],
      series: [{label: "round"}, ...made.series.map((line, i) => ({
        label: line.label, spanGaps: true, points: {show: true, size: 5},
        stroke: colours[i % colours.length], dash: DASHES[Math.floor(i / colours.length) % DASHES.length],
        width: line.label.startsWith("mean ") || made.series.length < 4 ? 2.5 : 1.2,
        value: (_, value) => value === null ? "-" : value.toPrecision(4),
      }))],
    };
  };

  const draw = (figure) => {
    const made = JSON.parse(document.getElementById(figure.dataset.plot).textContent);
    drawn.get(figure)?.destroy();
    figure.replaceChildren();
    const width = Math.max(260, figure.clientWidth);
    drawn.set(figure, new uPlot(options(made, width), [made.x, ...made.series.map((line) => line.values)], figure));
  };
  const all = () => document.querySelectorAll("[data-plot]").forEach(draw);
  document.addEventListener("DOMContentLoaded", () => {
    all();
    new ResizeObserver(() => {
      for (const [figure, plot] of drawn) {
        if (Math.abs(figure.clientWidth - plot.width) > 4) plot.setSize({width: Math.max(260, figure.clientWidth), height: 260});
      }
    }).observe(document.getElementById("main"));
  });
  document.addEventListener("pilot:theme", all);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
