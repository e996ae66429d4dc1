// What makes a page live. Every page can be read, and every form sent, without it.

import { draw, redraw } from "./charts.js";
import { listen } from "./keys.js";
import { follow } from "./live.js";
import { watchLog } from "./logs.js";
import { tick } from "./times.js";

const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Theme: kept in a cookie, so that the server paints the right one at once.
function switchTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  const path = document.body.dataset.root;
  document.cookie = `worker_lib_theme=${root.dataset.theme}; path=${path}; max-age=31536000; samesite=lax`;
  redraw();
}

// What is new on the page after an update.
function enhance() {
  for (const button of all("[data-copy]")) button.hidden = !navigator.clipboard;
  for (const box of all("[data-pick-all]")) box.hidden = false;
  tick();
  countPicked();
  draw();
}

// Selected rows, which updates leave selected.
function countPicked() {
  for (const form of all("form.bulk")) {
    const boxes = [...form.elements].filter((one) => one.matches?.(".pick"));
    const picked = boxes.filter((one) => one.checked).length;
    const text = find("[data-count]", form);
    if (text) {
      text.hidden = false;
      text.textContent = picked ? `${picked} selected` : "Select rows";
    }
    for (const button of all("button[data-needs-rows]", form)) button.disabled = !picked;
    for (const one of all(`[data-pick-all="${form.id}"]`)) {
      one.checked = picked > 0 && picked === boxes.length;
      one.indeterminate = picked > 0 && picked < boxes.length;
    }
  }
}

async function copy(button) {
  await navigator.clipboard.writeText(find("pre", button.parentElement).textContent);
  const words = find("span", button);
  words.textContent = "Copied";
  setTimeout(() => (words.textContent = "Copy"), 1500);
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("button, a");
  if (!target) return;
  if (target.id === "theme") switchTheme();
  if (target.id === "help") find("#help-dialog").showModal();
  if (target.matches("[data-copy]")) copy(target);
  if (target.matches("[data-close]") && target.closest("dialog")) {
    event.preventDefault();
    target.closest("dialog").close();
  }
});

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches("[data-pick-all]")) {
    const form = document.getElementById(box.dataset.pickAll);
    for (const one of form.elements) if (one.matches(".pick")) one.checked = box.checked;
  }
  if (box.matches(".pick")) countPicked();
  // A filter that is chosen applies at once; one that is typed with Enter.
  if (box.matches("form[data-filters] select")) box.form.requestSubmit();
});

// An address keeps only the filters that are set.
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-filters]")) return;
  for (const one of event.target.elements) if (one.name && !one.value) one.disabled = true;
});

// What an action answers: a question for the dialog, or a notice.
document.addEventListener("htmx:after:swap", () => {
  const dialog = find("#question-dialog");
  const question = find("#question");
  if (question?.firstElementChild) {
    if (!dialog.open) dialog.showModal();
  } else if (find("#notices .is-good")) {
    done();
  }
});
// Good news goes by itself, and what was done is no longer selected.
function done() {
  const news = find("#notices .is-good");
  setTimeout(() => news.remove(), 10000);
  for (const box of all(".pick:checked")) box.checked = false;
  countPicked();
}
document.addEventListener("htmx:before:request", (event) => {
  const source = event.detail.ctx.sourceElement;
  if (source?.closest?.("#question")) find("#question-dialog").close();
});
find("#question-dialog")?.addEventListener("close", () => find("#question").replaceChildren());

const page = follow(enhance);
document.addEventListener("htmx:after:request", (event) => {
  if (event.detail.ctx.request?.method === "POST") page.refresh();
});
for (const id of ["theme", "help", "live-sign"]) {
  const button = document.getElementById(id);
  if (button) button.hidden = false;
}
listen({ refresh: page.refresh, pause: page.toggle, theme: switchTheme });
find(".pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
watchLog();
enhance();
