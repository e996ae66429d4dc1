// The log of a job: follows what is printed, stays at its end, finds text in it.

const MOST = 2_000_000;

export function watchLog() {
  const card = document.getElementById("log");
  if (!card) return;
  const text = card.querySelector(".log-text");
  const none = card.querySelector(".log-none");
  const search = card.querySelector(".log-search");
  const found = card.querySelector(".log-found");
  const pause = card.querySelector(".log-pause");
  let feed = card.dataset.feed;
  let source = null;
  let position = "";
  let paused = false;
  let held = "";
  let at = -1;

  const isAtEnd = () => text.scrollHeight - text.scrollTop - text.clientHeight < 40;
  const toEnd = () => (text.scrollTop = text.scrollHeight);

  function add(more) {
    const follows = isAtEnd();
    none.hidden = true;
    text.hidden = false;
    text.append(more);
    text.normalize();
    const node = text.firstChild;
    if (node.length > MOST) node.deleteData(0, node.length - MOST / 2);
    if (follows) toEnd();
    if (search.querySelector("input").value) find(false);
  }

  function open() {
    source?.close();
    source = null;
    if (!feed || document.hidden || !window.EventSource) return;
    const address = new URL(feed, location.href);
    if (position) address.searchParams.set("position", position);
    source = new EventSource(address);
    source.addEventListener("log", (event) => {
      position = event.lastEventId;
      if (paused) held += event.data;
      else add(event.data);
    });
    source.addEventListener("end", () => {
      feed = "";
      source.close();
      if (!paused) pause.hidden = true;
      if (text.hidden) none.textContent = "It printed nothing.";
    });
  }

  // Marks where a text is found, without a change of what is shown.
  function find(moves) {
    const wanted = search.querySelector("input").value.toLowerCase();
    const marks = globalThis.CSS?.highlights;
    const node = text.firstChild;
    marks?.clear();
    found.textContent = "";
    if (!wanted || !node) return;
    const whole = node.data.toLowerCase();
    const places = [];
    for (let i = whole.indexOf(wanted); i >= 0 && places.length < 5000; i = whole.indexOf(wanted, i + wanted.length)) {
      const range = document.createRange();
      range.setStart(node, i);
      range.setEnd(node, Math.min(node.length, i + wanted.length));
      places.push(range);
    }
    if (moves && places.length) at = (at + 1) % places.length;
    at = Math.min(at, places.length - 1);
    if (marks && places.length) {
      marks.set("found", new Highlight(...places));
      if (at >= 0) marks.set("found-now", new Highlight(places[at]));
    }
    if (moves && at >= 0) {
      const box = places[at].getBoundingClientRect();
      text.scrollTop += box.top - text.getBoundingClientRect().top - text.clientHeight / 3;
    }
    found.textContent = places.length ? `${at >= 0 ? `${at + 1} of ` : ""}${places.length} found` : "not found";
  }

  search.hidden = false;
  search.addEventListener("input", () => {
    at = -1;
    find(false);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") find(true);
  });
  pause.hidden = !feed;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    pause.querySelector("span").textContent = paused ? "Go on" : "Pause";
    if (!paused && held) add(held);
    if (!paused) held = "";
    if (!paused && !feed) pause.hidden = true;
  });
  document.addEventListener("visibilitychange", open);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (event) => event.persisted && open());
  toEnd();
  open();
}
