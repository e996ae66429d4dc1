// "3 s ago", going on by itself. The words are those of the server's filters.

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

function rough(seconds) {
  const [size, unit] = UNITS.find(([one]) => seconds >= one) ?? UNITS[3];
  return `${Math.floor(seconds / size)} ${unit}`;
}

function ago(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${rough(seconds)} ago` : `in ${rough(-seconds)}`;
}

function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const index = UNITS.findIndex(([one]) => whole >= one);
  const [[size, unit], [small, name]] = UNITS.slice(index, index + 2);
  const rest = Math.floor((whole % size) / small);
  return `${Math.floor(whole / size)} ${unit} ${String(rest).padStart(2, "0")} ${name}`;
}

export function tick() {
  if (document.hidden) return;
  for (const one of document.querySelectorAll("time[data-ago], time[data-since]")) {
    const passed = (Date.now() - Date.parse(one.dateTime)) / 1000;
    const text = "ago" in one.dataset ? ago(passed) : length(passed);
    if (one.textContent !== text) one.textContent = text;
  }
}

setInterval(tick, 1000);
