"use strict";
const by = (id) => document.getElementById(id);
const list = by("samples");
const samples = [...list.children];
const chosen = { pair: "" };

const ORDERS = {
  weight: (a, b) => a.dataset.weight - b.dataset.weight,
  changed: (a, b) => b.dataset.changed - a.dataset.changed,
  iou: (a, b) => a.dataset.iou - b.dataset.iou,
  name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
};

function suspects() {
  const limit = Number(by("limit").value);
  return samples.filter((sample) => Number(sample.dataset.weight) < limit);
}

function update() {
  const limit = Number(by("limit").value);
  const of = by("class").value;
  const only = by("only").checked;
  by("limit-told").value = limit.toFixed(2);
  let shown = 0;
  for (const sample of samples) {
    const { weight, classes, pairs } = sample.dataset;
    const low = Number(weight) < limit;
    sample.hidden =
      (only && !low) ||
      (of !== "" && !classes.split(" ").includes(of)) ||
      (chosen.pair !== "" && !pairs.split(" ").includes(chosen.pair));
    shown += !sample.hidden;
    sample.querySelectorAll("[data-low]").forEach((part) => part.classList.toggle("low", low));
  }
  document.querySelectorAll(".spread span").forEach((bin) => bin.classList.toggle("low", Number(bin.dataset.to) <= limit));
  document.querySelectorAll(".pairs button").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.pair === chosen.pair));
  });
  const names = suspects().map((sample) => sample.dataset.name);
  by("suspects").textContent = names.length === 1 ? "1 suspect" : `${names.length} suspects`;
  by("names").value = names.join("\n");
  by("shown").textContent = shown === samples.length ? `all ${shown} shown` : `${shown} of ${samples.length} shown`;
  by("none").hidden = shown > 0;
}

function sort() {
  list.append(...samples.sort(ORDERS[by("order").value]));
  update();
}

by("order").addEventListener("change", sort);
for (const id of ["limit", "class", "only"]) by(id).addEventListener("input", update);

document.querySelectorAll(".pairs button").forEach((button) =>
  button.addEventListener("click", () => {
    chosen.pair = chosen.pair === button.dataset.pair ? "" : button.dataset.pair;
    update();
  }),
);

by("list").addEventListener("click", () => {
  by("names").hidden = !by("names").hidden;
  by("list").textContent = by("names").hidden ? "Show names" : "Hide names";
});

by("copy").addEventListener("click", async () => {
  const field = by("names");
  const was = field.hidden;
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    field.hidden = false; // browsers that keep the clipboard from files
    field.select();
    document.execCommand("copy");
    field.hidden = was;
  }
  by("copy").textContent = "Copied";
  setTimeout(() => (by("copy").textContent = "Copy names"), 1500);
});

by("save").addEventListener("click", () => {
  const link = document.createElement("a");
  const text = by("names").value;
  link.href = URL.createObjectURL(new Blob([text && text + "\n"], { type: "text/plain" }));
  link.download = "suspect.txt";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

by("controls").hidden = false;
update();
