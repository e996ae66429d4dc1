// Charts: drawn by uPlot from the numbers in `data-chart`, in the page's own colours.
// uPlot is loaded by pages that have one.

const drawn = new Map();
let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("./vendor/uplot.min.js", import.meta.url);
    script.onload = () => resolve(window.uPlot);
    script.onerror = reject;
    document.head.append(script);
  });
  return loading;
}

const units = {
  count: (value) => (value >= 10000 ? `${+(value / 1000).toPrecision(3)}k` : `${+value.toPrecision(4)}`),
  s: (value) => {
    if (value === 0) return "0";
    if (value < 1) return `${+(value * 1000).toPrecision(3)} ms`;
    return value < 60 ? `${+value.toPrecision(3)} s` : `${+(value / 60).toPrecision(3)} m`;
  },
  usd: (value) => `$${+value.toPrecision(3)}`,
};

const DAY = 86400;

// The time of a tick, or its date where a day begins. Whole days are those of UTC.
const clock = (step) => (seconds) => {
  const at = new Date(seconds * 1000);
  if (step >= DAY) return at.toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" });
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  return step >= 900 && midnight
    ? at.toLocaleDateString([], { weekday: "short", day: "numeric" })
    : at.toTimeString().slice(0, 5);
};

// Ticks at the very left have no label: it would run into that of the other axis.
const labels = (step) => (plot, ticks) =>
  ticks.map((tick) => (plot.valToPos(tick, "x") < 20 ? "" : clock(step)(tick)));

const colour = (element, name = "color") => getComputedStyle(element)[name];

// Series of bars stand on one another: each is drawn from zero, the whole first.
function columns({ at, series, shape }) {
  if (shape !== "bars") return [at, ...series.map((one) => one.values)];
  const sums = at.map(() => 0);
  const stacked = series.map((one) => one.values.map((value, index) => (sums[index] += value ?? 0)));
  return [at, ...stacked.reverse()];
}

function options(uPlot, figure, data, width) {
  const { series, shape, step, unit } = data;
  const swatches = [...figure.querySelectorAll(".legend .swatch")];
  const bars = shape === "bars";
  const order = bars ? [...series.keys()].reverse() : [...series.keys()];
  const muted = colour(figure.querySelector(".legend"));
  const probe = getComputedStyle(figure.closest(".card") ?? figure).borderTopColor;
  const axis = { stroke: muted, font: "11px system-ui", ticks: { show: false } };
  return {
    width,
    height: 152,
    tzDate: step >= DAY ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : undefined,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: !bars }, y: false },
    scales: {
      x: { time: true, range: (_, low, high) => [low - step / 2, high + step / 2] },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 22, space: 64, values: labels(step) },
      {
        ...axis,
        grid: { stroke: probe, width: 1 },
        size: (_, labels) => Math.max(38, 14 + 6.5 * Math.max(0, ...(labels ?? []).map((one) => one.length))),
        space: 32,
        incrs: unit === "count" ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5] : undefined,
        values: (_, ticks) => ticks.map((tick) => units[unit](tick)),
      },
    ],
    series: [
      {},
      ...order.map((index) => ({
        label: series[index].name,
        stroke: bars ? undefined : colour(swatches[index]),
        fill: bars ? colour(swatches[index]) : undefined,
        width: bars ? 0 : 1.5,
        spanGaps: true,
        paths: bars ? uPlot.paths.bars({ size: [0.75, 24], radius: 0.15 }) : undefined,
        points: { show: !bars && data.at.length <= 100, size: 4, fill: colour(swatches[index]) },
      })),
    ],
    plugins: [tip(data, step)],
  };
}

// What the numbers are at the cursor.
function tip({ at, series, unit }, step) {
  let box = null;
  const shape = step >= DAY ? { weekday: "short", month: "short", day: "numeric", timeZone: "UTC" } : { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step >= 900 && { weekday: "short" }) };
  return {
    hooks: {
      init: (plot) => {
        box = document.createElement("div");
        box.className = "chart-tip";
        box.hidden = true;
        plot.over.append(box);
      },
      setCursor: (plot) => {
        const index = plot.cursor.idx;
        box.hidden = index == null || plot.cursor.left < 0;
        if (box.hidden) return;
        const time = document.createElement("b");
        time.textContent = new Date(at[index] * 1000).toLocaleString([], shape);
        const lines = series.map((one) => {
          const value = one.values[index];
          const line = document.createElement("div");
          line.textContent = `${one.name} ${value == null ? "–" : units[unit](value)}`;
          return line;
        });
        box.replaceChildren(time, ...lines);
        const left = plot.cursor.left;
        const room = plot.over.clientWidth;
        const x = left > room / 2 ? left - box.offsetWidth - 10 : left + 10;
        box.style.transform = `translate(${Math.round(x)}px, 4px)`;
      },
    },
  };
}

function drawOne(uPlot, figure) {
  const text = figure.dataset.chart;
  const before = drawn.get(figure.id);
  const place = figure.querySelector(".chart-drawn");
  if (before?.place === place) {
    figure.classList.add("is-drawn"); // an update took it away
    if (before.text === text) return;
  }
  const data = JSON.parse(text);
  if (before) {
    before.plot.destroy();
    before.watch.disconnect();
  }
  place.replaceChildren();
  figure.classList.add("is-drawn");
  const plot = new uPlot(options(uPlot, figure, data, place.clientWidth), columns(data), place);
  const watch = new ResizeObserver(() => {
    if (place.clientWidth) plot.setSize({ width: place.clientWidth, height: 152 });
  });
  watch.observe(place);
  drawn.set(figure.id, { plot, place, text, watch });
}

export async function draw() {
  const figures = document.querySelectorAll("[data-chart]");
  if (!figures.length) return;
  const uPlot = await library();
  for (const figure of figures) drawOne(uPlot, figure);
}

export function redraw() {
  for (const one of drawn.values()) one.text = "";
  draw();
}
