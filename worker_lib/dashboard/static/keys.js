// Shortcuts. None works while somebody types, or with Ctrl, Alt or Meta held.

const rows = () => [...document.querySelectorAll("#live tbody tr:has(a, .pick)")];

function move(by) {
  const found = rows();
  if (!found.length) return;
  const now = found.findIndex((row) => row.classList.contains("is-current"));
  const next = found[Math.min(found.length - 1, Math.max(0, now + by))];
  for (const row of found) row.classList.toggle("is-current", row === next);
  next.scrollIntoView({ block: "nearest" });
  next.querySelector("a")?.focus({ preventScroll: true });
}

const current = () => document.querySelector("tr.is-current");

export function listen({ refresh, pause, theme }) {
  let going = false;
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    x: () => current()?.querySelector(".pick")?.click(),
    Enter: () => current()?.querySelector("a")?.click(),
    "/": () => document.querySelector("form[data-filters] input:not([type=hidden])")?.focus(),
    r: refresh,
    p: pause,
    t: theme,
    "?": () => document.getElementById("help-dialog")?.showModal(),
    g: () => {
      going = true;
      setTimeout(() => (going = false), 1500);
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    if (going && /^[0-9]$/.test(event.key)) {
      const pages = document.querySelectorAll(".pages a");
      pages[(Number(event.key) + 9) % 10]?.click();
      return;
    }
    const run = Object.hasOwn(keys, event.key) && keys[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  });
}
