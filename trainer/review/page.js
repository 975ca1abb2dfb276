"use strict";
const by = (id) => document.getElementById(id);
const list = by("samples");
const samples = [...list.children];
const chosen = { pair: "", measure: "kept", limits: { ...SUSPECT } };

const worseIsMore = () => chosen.measure === "changed";
const value = (sample) => Number(sample.dataset[chosen.measure]);
const isSuspect = (number, limit) => (worseIsMore() ? number > limit : number < limit);

function compare(a, b) {
  if (by("order").value === "name") {
    return a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true });
  }
  return worseIsMore() ? value(b) - value(a) : value(a) - value(b);
}

function update() {
  const limit = (chosen.limits[chosen.measure] = Number(by("limit").value));
  const of = by("class").value;
  const only = by("only").checked;
  by("limit-told").value = worseIsMore() ? `${Math.round(100 * limit)} %` : limit.toFixed(2);
  const suspects = [];
  let shown = 0;
  for (const sample of samples) {
    const { classes, pairs } = sample.dataset;
    const low = isSuspect(value(sample), limit);
    if (low) suspects.push(sample);
    sample.hidden =
      (only && !low) ||
      (of !== "" && !classes.split(" ").includes(of)) ||
      (chosen.pair !== "" && !pairs.split(" ").includes(chosen.pair));
    shown += !sample.hidden;
    for (const part of sample.querySelectorAll("[data-of]")) {
      part.classList.toggle("low", low && part.dataset.of === chosen.measure);
    }
  }
  document.querySelectorAll(".pairs button").forEach((button) => {
    button.setAttribute("aria-pressed", String(button.dataset.pair === chosen.pair));
  });
  by("suspects").textContent = suspects.length === 1 ? "1 suspect" : `${suspects.length} suspects`;
  by("names").value = suspects.map((sample) => sample.dataset.name).join("\n");
  by("shown").textContent = shown === samples.length ? `all ${shown} shown` : `${shown} of ${samples.length} shown`;
  by("none").hidden = shown > 0;
  spread(limit);
}

function spread(limit) {
  const bars = [...document.querySelectorAll(".spread span")];
  const counts = bars.map(() => 0);
  for (const sample of samples) counts[Math.max(Math.min(Math.floor(value(sample) * bars.length), bars.length - 1), 0)]++;
  const highest = Math.max(...counts, 1);
  bars.forEach((bar, i) => {
    const [from, to] = [i / bars.length, (i + 1) / bars.length];
    bar.style.height = `${(100 * counts[i]) / highest}%`;
    bar.title = `${counts[i]} labels of ${from.toFixed(2)} to ${to.toFixed(2)}`;
    bar.classList.toggle("low", isSuspect((from + to) / 2, limit));
  });
  const name = MEASURES[chosen.measure];
  by("measure").textContent = name[0].toUpperCase() + name.slice(1);
  by("highest").textContent = highest;
}

function sort() {
  if (by("order").value !== "name") chosen.measure = by("order").value;
  by("side").textContent = worseIsMore() ? "above" : "below";
  by("limit").value = chosen.limits[chosen.measure];
  list.append(...samples.sort(compare));
  samples.forEach((sample, i) => (sample.querySelector(".rank").textContent = i + 1));
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
