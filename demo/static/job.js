"use strict";
// Keeps a job's panel up to date: by Server-Sent Events, or by asking every other
// second if no stream is to be had. Stops for good when no more is to be seen.
const panel = document.getElementById("panel");
const spoken = document.getElementById("spoken");
let told = "";
let shownAt = performance.now();

function show(job) {
  panel.innerHTML = job.html; // made and escaped by the server's template
  shownAt = performance.now();
  document.title = `${panel.dataset.title}: ${job.status}`;
  if (job.sentence !== told) {
    spoken.textContent = told = job.sentence;
  }
  if (job.final) {
    document.getElementById("cancel")?.remove();
  }
}

// The server says how long something has gone on, or when it is due; no clock of this
// computer is compared with the server's.
function tick() {
  const passed = (performance.now() - shownAt) / 1000;
  for (const clock of panel.querySelectorAll("[data-since]")) {
    clock.textContent = lengthOf(Number(clock.dataset.since) + passed, false);
  }
  for (const clock of panel.querySelectorAll("[data-due]")) {
    clock.textContent = lengthOf(Math.max(0, Number(clock.dataset.due) - passed), true);
  }
}

function lengthOf(seconds, whole) {
  if (seconds < 60) {
    return whole ? `${Math.ceil(seconds)} s` : `${seconds.toFixed(1)} s`;
  }
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return `${Math.floor(seconds / 60)} min ${rest} s`;
}

function listen() {
  const stream = new EventSource(panel.dataset.events);
  stream.addEventListener("job", (event) => show(JSON.parse(event.data)));
  stream.addEventListener("end", () => stream.close());
  stream.addEventListener("error", () => {
    // Otherwise the browser is on its way back already.
    if (stream.readyState === EventSource.CLOSED) {
      poll();
    }
  });
}

async function poll() {
  let settled = false;
  try {
    const reply = await fetch(panel.dataset.json, { cache: "no-store" });
    if (reply.ok) {
      const job = await reply.json();
      show(job);
      settled = job.settled;
    } else if (reply.status === 404) {
      settled = true; // it has expired, or this browser has lost its cookie
    }
  } catch {
    spoken.textContent = told = "The connection is lost. Trying again.";
  }
  if (!settled) {
    setTimeout(poll, 2000);
  }
}

setInterval(tick, 100);
listen();
