// Before anything is drawn: the theme that the reader chose. The button goes through auto, light, dark.
"use strict";
(() => {
  const root = document.documentElement, KEY = "pilot-theme", NEXT = {auto: "light", light: "dark", dark: "auto"};
  const read = () => { try { return localStorage.getItem(KEY) || "auto"; } catch { return "auto"; } };
  const apply = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = theme;
  };
  apply(read());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const tell = (theme) => { button.querySelector("span").textContent = theme; };
    button.hidden = false;
    tell(read());
    button.addEventListener("click", () => {
      const theme = NEXT[read()];
      try { localStorage.setItem(KEY, theme); } catch { /* this page only */ }
      apply(theme);
      tell(theme);
      document.dispatchEvent(new CustomEvent("pilot:theme"));
    });
  });
})();
