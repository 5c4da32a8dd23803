"use strict";
// A plot is drawn when it comes near to what is seen, so that the page opens at once.
const templates = JSON.parse(document.getElementById("templates").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const config = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
const plots = [...document.querySelectorAll(".plot")];
const drawn = new Set();

function template(isDark) {
  return structuredClone(templates[isDark ? "dark" : "light"]);
}

function draw(box, isDark) {
  const text = document.getElementById(box.dataset.figure).textContent;
  const figure = JSON.parse(text);
  const margin = { l: 8, r: 12, t: 28, b: 8, ...figure.layout.margin };
  const layout = { ...figure.layout, margin, template: template(isDark), autosize: true };
  layout.height = parseFloat(box.style.minHeight);
  drawn.add(box);
  return Plotly.react(box, figure.data, layout, config);
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((entry) => entry.isIntersecting)) {
    near.unobserve(entry.target);
    if (!drawn.has(entry.target)) draw(entry.target, dark.matches);
  }
}, { rootMargin: "300px" });
plots.forEach((box) => near.observe(box));

dark.addEventListener("change", () => drawn.forEach((box) => draw(box, dark.matches)));
// paper is white, and has no scrolling
addEventListener("beforeprint", () => plots.forEach((box) => draw(box, false)));
addEventListener("afterprint", () => drawn.forEach((box) => draw(box, dark.matches)));
