"use strict";
// Everything is readable without this. It hides and shows lines, makes one
// stand out, and reads numbers off: by pointer, finger or keys.
document.documentElement.classList.add("js");

const all = (where, what) => [...where.querySelectorAll(what)];

for (const box of all(document, ".key input")) {
  const mine = `[data-s="${box.dataset.s}"]`;
  box.addEventListener("change", () => {
    for (const same of all(document, `.key input${mine}`))
      same.checked = box.checked;
    for (const drawn of all(document, `svg ${mine}`))
      drawn.classList.toggle("off", !box.checked);
    for (const ruler of all(document, ".ruler")) read(ruler);
  });
  const figure = box.closest("figure");
  const stand_out = (whether) => {
    figure.classList.toggle("dim", whether);
    for (const drawn of all(figure, `.s${mine}`))
      drawn.classList.toggle("hot", whether);
  };
  const entry = box.parentElement;
  entry.addEventListener("pointerenter", () => stand_out(true));
  entry.addEventListener("pointerleave", () => stand_out(false));
  box.addEventListener("focus", () => stand_out(box.matches(":focus-visible")));
  box.addEventListener("blur", () => stand_out(false));
}

const hidden = () => new Set(
  all(document, ".key input:not(:checked)")
    .map((box) => box.parentElement.textContent));

// What the table says at the ruler's step, and where the drawings' lines stand.
function read(ruler) {
  const step = Number(ruler.querySelector("input").value);
  const source = document.getElementById(ruler.dataset.table);
  const column = source.tHead.rows[0].cells[step + 1].textContent;
  const said = document.createElement("b");
  said.textContent = column;
  const off = hidden();
  const entries = [...source.tBodies[0].rows]
    .filter((row) => !off.has(row.cells[0].textContent))
    .map((row) => {
      const entry = document.createElement("span");
      const value = row.cells[step + 1].firstChild.textContent.trim();
      entry.textContent = `${row.cells[0].textContent} ${value}`;
      return entry;
    });
  ruler.querySelector("output").replaceChildren(said, ...entries);
  ruler.querySelector("input").setAttribute("aria-valuetext", column);
  for (const chart of charts(ruler)) {
    const x = steps(chart)[step];
    const line = chart.querySelector(".cursor");
    if (!line || x === undefined) continue;
    line.setAttribute("transform", `translate(${x},0)`);
    line.style.visibility = "visible";
  }
}

const charts = (ruler) =>
  all(ruler.closest("figure"),
      `svg[aria-labelledby^="${ruler.dataset.chart}-"]`);
const steps = (chart) =>
  (chart.dataset.steps || "").split(" ").filter(Boolean).map(Number);

for (const ruler of all(document, ".ruler")) {
  const slider = ruler.querySelector("input");
  slider.addEventListener("input", () => read(ruler));
  for (const chart of charts(ruler)) {
    if (chart.classList.contains("many")) continue;
    chart.addEventListener("pointermove", (event) => {
      const area = chart.getBoundingClientRect();
      const x = (event.clientX - area.left) / area.width *
        chart.viewBox.baseVal.width;
      const far = steps(chart).map((place) => Math.abs(place - x));
      if (far.length === 0) return;
      slider.value = far.indexOf(Math.min(...far));
      read(ruler);
    });
  }
  // What is folded is laid out when somebody opens it.
  const folded = ruler.parentElement.closest("details");
  if (folded) folded.addEventListener("toggle", () => read(ruler));
  else read(ruler);
}
