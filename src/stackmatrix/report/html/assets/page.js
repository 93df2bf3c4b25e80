"use strict";
// What every page does: colours, copying, and charts that are drawn when they come into view.

const DATA = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

for (const radio of all("#theme input")) {
  radio.checked = radio.value === document.documentElement.dataset.theme;
  radio.addEventListener("change", () => {
    document.documentElement.dataset.theme = radio.value;
    try { localStorage.setItem("theme", radio.value); } catch { /* see theme.js */ }
  });
}

for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
  });
}

/** Rows of a chart, by its kind; each page adds its own. */
const ROWS = {};
/** The specification of a chart where it is not simply called as its kind. */
const SPEC = {};

async function draw(plot) {
  const { chart, of } = plot.dataset;
  const rows = ROWS[chart](of);
  if (!rows || rows.length === 0) {
    plot.replaceChildren(Object.assign(document.createElement("p"), {
      className: "empty-plot", textContent: "Nothing to draw: too few answers for percentiles, or their records were not kept.",
    }));
    plot.dataset.drawn = "nothing";
    return;
  }
  const name = SPEC[chart] ? SPEC[chart](of) : chart;
  const spec = { ...DATA.specs[name], datasets: { rows } };
  plot.view?.finalize();
  const { view } = await vegaEmbed(plot, spec, { renderer: "svg", actions: false, ast: true, logLevel: 1, tooltip: { theme: "custom" } });
  plot.view = view;
  for (const part of plot.children) part.ariaHidden = "true"; // the plot itself says in words what it shows
  plot.dataset.drawn = "yes";
  offerPicture(plot);
}

function offerPicture(plot) {
  const caption = plot.closest("figure")?.querySelector("figcaption");
  if (!caption || caption.querySelector("button")) return;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "ghost", textContent: "Save as SVG" });
  button.addEventListener("click", async () => {
    const style = getComputedStyle(document.documentElement);
    const svg = (await plot.view.toSVG()).replace(/var\((--[a-z0-9-]+)\)/g, (_, name) => style.getPropertyValue(name));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
    link.download = `${plot.dataset.of || "chart"}-${plot.dataset.chart}.svg`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  caption.append(button);
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      inView.unobserve(target);
      draw(target);
    }
  }
}, { rootMargin: "300px" });
