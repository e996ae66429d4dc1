"use strict";
// Keeps a job's panel up to date: by Server-Sent Events, or by asking every other
// second if no stream is to be had. Stops for good when the job is final.
const panel = document.getElementById("panel");
const spoken = document.getElementById("spoken");
let told = "";

function show(job) {
  panel.innerHTML = job.html; // made and escaped by the server's template
  document.title = `${panel.dataset.title}: ${job.status}`;
  if (job.sentence !== told) {
    spoken.textContent = told = job.sentence;
  }
  if (job.final) {
    document.getElementById("cancel")?.remove();
  }
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
  let final = false;
  try {
    const reply = await fetch(panel.dataset.json, { cache: "no-store" });
    if (reply.ok) {
      const job = await reply.json();
      show(job);
      final = job.final;
    }
  } catch {
    spoken.textContent = told = "The connection is lost. Trying again.";
  }
  if (!final) {
    setTimeout(poll, 2000);
  }
}

listen();
