"use strict";
const sheet = document.getElementById("sheet");
const labels = JSON.parse(sheet.dataset.labels);
const rows = Array.from(sheet.querySelectorAll("[data-row]"));
let unsaved = false;

// The exact values, keys in order, travel in data-row: a browser changes the line ends of what it shows and of what is typed.
function values(row) {
  const given = JSON.parse(row.dataset.row);
  const text = row.querySelector("textarea");
  const chosen = row.querySelector("input:checked");
  if (text && text.value !== text.defaultValue) given[sheet.dataset.field] = text.value.trim() ? text.value : null;
  if (chosen) given[sheet.dataset.field] = chosen.value ? labels[chosen.value] : null;
  return given;
}

function line(row) {
  const escaped = (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(values(row)).replace(/[\u007f-\uffff]/g, escaped) + "\n";
}

function count() {
  const labelled = rows.filter((row) => values(row)[sheet.dataset.field] !== null).length;
  document.getElementById("progress").textContent = `${labelled} of ${rows.length} labelled`;
  document.getElementById("bar").value = labelled;
}

function goOn(row) {
  const next = rows[rows.indexOf(row) + 1];
  const target = next ? next.querySelector("input:checked, textarea") || next.querySelector("input") : document.getElementById("save");
  target.focus({ preventScroll: true });
  (next || target).scrollIntoView({ block: "center" });
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(rows.map(line), { type: "application/jsonl" }));
  link.download = sheet.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
}

sheet.addEventListener("input", () => {
  unsaved = true;
  count();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const row = event.target.closest("[data-row]") || rows.find((one) => values(one)[sheet.dataset.field] === null);
  if (!row) return;
  if (event.target.matches("textarea")) {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    goOn(row);
  } else if (/^[0-9]$/.test(event.key)) {
    const choices = row.querySelectorAll("input");
    const choice = event.key === "0" ? choices[choices.length - 1] : choices[event.key - 1];
    if (!choice || (choice.value === "" && event.key !== "0")) return;
    event.preventDefault();
    choice.click();
    goOn(row);
  }
});

window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

document.getElementById("save").addEventListener("click", save);
count();
