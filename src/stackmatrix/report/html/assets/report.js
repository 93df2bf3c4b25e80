// One run: its cells, the matrix, and the comparison of two arms.

const look = (slug) => DATA.looks[DATA.cells[slug].stack];

ROWS.spectrum = (slug) => DATA.groups[DATA.cells[slug].group].cells.flatMap((other) =>
  DATA.cells[other].spectrum.map(([percent, ms]) => ({
    percent, ms, stack: DATA.cells[other].stack, colour: look(other).colour, mine: other === slug,
  })));
ROWS.histogram = (slug) => DATA.cells[slug].histogram.counts.map((count, bin) => ({
  low: DATA.cells[slug].histogram.edges[bin], high: DATA.cells[slug].histogram.edges[bin + 1], count,
}));
SPEC.histogram = (slug) => DATA.cells[slug].histogram.log ? "histogram-log" : "histogram";
ROWS.goodput = (slug) => {
  const { rounds, slices, estimate: [value, low, high] } = DATA.cells[slug];
  return [
    { kind: "estimate", value, low, high },
    ...rounds.map(([round, goodput]) => ({ kind: "round", series: "goodput", round, at: round, value: goodput })),
    ...slices.flatMap(([round, points]) => points.map(([at, goodput]) => (
      { kind: "slice", series: "goodput", round, at: round + 0.8 * (at - 0.5), value: goodput }))),
  ];
};
ROWS.latency = (slug) => {
  const { rounds, slices } = DATA.cells[slug];
  const percentiles = [["p50", 2], ["p99", 3]];
  return [
    ...percentiles.flatMap(([series, place]) => rounds.filter((round) => round[place] !== null).map((round) => (
      { kind: "round", series, round: round[0], at: round[0], value: round[place] }))),
    ...slices.flatMap(([round, points]) => points.filter(([, , p50]) => p50 !== null).map(([at, , p50]) => (
      { kind: "slice", series: "p50", round, at: round + 0.8 * (at - 0.5), value: p50 }))),
  ];
};
ROWS.cpu = (slug) => DATA.cells[slug].cpu.map(([part, us], order) => ({ part, us, order }));
ROWS.experiment = () => DATA.experiment;
ROWS["curves-goodput"] = ROWS["curves-latency"] = (key) => DATA.sweeps[key].map((row) => ({ ...row, ...DATA.looks[row.stack] }));
SPEC["curves-goodput"] = (key) => `curves-goodput-${key}`;
SPEC["curves-latency"] = (key) => `curves-latency-${key}`;
ROWS.level = (slug) => DATA.levels[slug].map((row) => ({ ...row, ...DATA.looks[row.stack] }));

// Charts in closed cells have no size; they are watched once their cell opens.
for (const plot of all(".plot")) if (!plot.closest("details") && plot.id !== "pair-plot") inView.observe(plot);
const closeAll = document.getElementById("close-all");
for (const cell of all(".cell")) {
  cell.addEventListener("toggle", () => {
    if (cell.open) for (const plot of all(".plot:not([data-drawn])", cell)) inView.observe(plot);
    closeAll.hidden = !document.querySelector(".cell[open]");
  });
}
closeAll.addEventListener("click", () => all(".cell[open]").forEach((cell) => { cell.open = false; }));

// The matrix: which figure it shows, and arrow keys between its cells.
const matrix = document.querySelector(".matrix");
for (const radio of all("#metric input")) {
  radio.addEventListener("change", () => {
    matrix.classList.remove(...[...matrix.classList].filter((name) => name.startsWith("metric-")));
    matrix.classList.add(`metric-${radio.value}`);
  });
}
const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
matrix.addEventListener("keydown", (event) => {
  const cell = event.target.closest("td");
  if (!cell || !MOVES[event.key]) return;
  const [down, right] = MOVES[event.key];
  const row = matrix.rows[cell.parentElement.rowIndex + down];
  const next = row?.cells[cell.cellIndex + right]?.querySelector("td > a");
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

// Comparison of two arms of one group.
const chooser = document.getElementById("chooser");
const comparable = Object.entries(DATA.groups).filter(([, group]) => group.ranked.length > 1);

function options(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function choose(group, first, second) {
  const { group: groups, first: one, second: other } = chooser.elements;
  const ranked = DATA.groups[group].ranked;
  const arms = ranked.map((slug) => [slug, DATA.cells[slug].stack]);
  first = ranked.includes(first) ? first : ranked[0];
  second = ranked.includes(second) && second !== first ? second : ranked.find((slug) => slug !== first);
  options(groups, comparable.map(([slug, { title }]) => [slug, title]), group);
  options(one, arms, first);
  options(other, arms.filter(([slug]) => slug !== first), second);
  show(first, second);
}

function row(tag, words) {
  const line = document.createElement("tr");
  line.append(...words.map((word, place) => {
    const cell = document.createElement(place === 0 ? "th" : tag);
    cell.textContent = word;
    if (place === 0 || tag === "th") cell.scope = place === 0 && tag === "td" ? "row" : "col";
    if (place > 0) cell.className = "n";
    return cell;
  }));
  return line;
}

function show(first, second) {
  const [one, other] = [DATA.cells[first], DATA.cells[second]];
  const pair = DATA.pairs[`${first} ${second}`];
  document.getElementById("outcome-says").textContent = pair.says;
  document.getElementById("outcome-why").replaceChildren(...pair.why.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  const table = document.getElementById("pair-table");
  table.tHead.replaceChildren(row("th", ["metric", one.stack, other.stack, "ratio"]));
  table.tBodies[0].replaceChildren(
    ...DATA.metrics.map(([key, name]) => row("td", [name, one.show[key], other.show[key], pair.ratios[key] ?? ""])),
    ...pair.settings.map((line) => row("td", [...line, ""])));
  const plot = document.getElementById("pair-plot");
  plot.dataset.of = `${first} ${second}`;
  if (plot.dataset.seen) draw(plot);
}

ROWS.pair = (of) => {
  const [first, second] = of.split(" ");
  const against = new Map(DATA.cells[second].rounds.map(([round, goodput]) => [round, goodput]));
  const { value, low, high } = DATA.pairs[of];
  return DATA.cells[first].rounds.filter(([round, goodput]) => goodput > 0 && against.get(round) > 0).map(([round, goodput]) => (
    { round, ratio: goodput / against.get(round), value, low, high, floor: DATA.floor }));
};

if (chooser) {
  const plot = document.getElementById("pair-plot");
  choose(comparable[0][0]);
  new IntersectionObserver(([entry], observer) => {
    if (!entry.isIntersecting) return;
    observer.disconnect();
    plot.dataset.seen = "yes";
    draw(plot);
  }, { rootMargin: "300px" }).observe(plot);
  chooser.addEventListener("change", (event) => {
    const { group, first, second } = chooser.elements;
    document.getElementById("compare").classList.add("chosen");
    if (event.target === group) {
      const names = [first.value, second.value].map((slug) => DATA.cells[slug].stack);
      const same = names.map((name) => DATA.groups[group.value].ranked.find((slug) => DATA.cells[slug].stack === name));
      choose(group.value, ...same);
    } else {
      choose(group.value, first.value, event.target === first && first.value === second.value ? undefined : second.value);
    }
  });
}

// Addresses: #cell-… opens the cell, #compare/first/second compares.
function follow() {
  const name = decodeURIComponent(location.hash.slice(1));
  if (name.startsWith("compare/")) {
    const [, first, second] = name.split("/");
    if (!chooser || !DATA.cells[first]) return;
    choose(DATA.cells[first].group, first, second);
    document.getElementById("compare").scrollIntoView();
    return;
  }
  const target = name ? document.getElementById(name) : null;
  if (target?.matches("details.cell")) {
    target.open = true;
    target.scrollIntoView();
    target.querySelector("summary").focus({ preventScroll: true });
  }
}
addEventListener("hashchange", follow);
for (const link of all('a[href^="#cell-"], a[href^="#compare/"]')) {
  link.addEventListener("click", () => { if (link.hash === location.hash) follow(); });
}
follow();
