// Keeps the part `#live` up to date: by one stream, or by asking where there is none.
// Nothing is asked for while the page is hidden or paused.

const POLL_MS = 5000;
// There may be room for a stream again.
const POLLS_PER_TRY = 12;
const SIGNS = {
  live: ["Live", "Updated as things happen. Click to pause (p)."],
  poll: ["Live", "Asks every few seconds. Click to pause (p)."],
  paused: ["Paused", "Click to go on (p)."],
  off: ["Offline", "Tries again by itself."],
};

export function follow(done) {
  const { stream, part, query } = document.body.dataset;
  if (!stream) return { refresh: () => location.reload(), toggle() {} };
  let have = document.body.dataset.digest;
  let source = null;
  let timer = 0;
  let paused = false;
  let polls = !window.EventSource;
  let asked = 0;

  function sign(state) {
    const shown = document.getElementById("live-sign");
    shown.dataset.state = state;
    [shown.lastElementChild.textContent, shown.title] = SIGNS[state];
  }

  function tell(text) {
    const place = document.getElementById("trouble");
    place.replaceChildren();
    if (!text) return;
    const notice = document.createElement("div");
    notice.className = "notice is-bad";
    notice.append(`This page is not up to date: ${text}`);
    place.append(notice);
  }

  async function show(html, digest) {
    if (digest === have) return;
    have = digest;
    await window.htmx.swap({ target: "#live", text: html, swap: "innerMorph", transition: false });
    done();
  }

  function open() {
    close();
    if (paused || document.hidden) return;
    if (polls) return ask();
    const words = [query, `_have=${encodeURIComponent(have)}`].filter(Boolean).join("&");
    source = new EventSource(`${stream}?${words}`);
    source.onopen = () => sign("live");
    source.addEventListener("page", (event) => show(event.data, event.lastEventId));
    source.addEventListener("trouble", (event) => tell(event.data));
    source.onerror = () => {
      sign("off");
      // Too many streams: the server said not to come back.
      if (source?.readyState === EventSource.CLOSED) {
        polls = true;
        open();
      }
    };
  }

  function close() {
    source?.close();
    source = null;
    clearTimeout(timer);
  }

  async function ask(cache = "no-store") {
    clearTimeout(timer);
    try {
      const reply = await fetch(`${part}${query ? `?${query}` : ""}`, {
        cache,
        headers: { "HX-Request": "true", "If-None-Match": `"${have}"` },
      });
      if ([401, 403].includes(reply.status)) return location.reload();
      if (reply.ok) await show(await reply.text(), reply.headers.get("ETag")?.replace(/W\/|"/g, ""));
      if (reply.ok || reply.status === 304) tell("");
      else tell(await reply.text());
      sign(polls ? "poll" : "live");
    } catch {
      sign("off");
    }
    if (polls && !paused && !document.hidden) timer = setTimeout(again, POLL_MS);
  }

  function again() {
    asked += 1;
    if (asked % POLLS_PER_TRY || !window.EventSource) return ask();
    polls = false;
    open();
  }

  function toggle() {
    paused = !paused;
    open();
    if (paused) sign("paused");
  }

  document.addEventListener("visibilitychange", open);
  document.getElementById("live-sign").addEventListener("click", toggle);
  // A page that comes back from the browser's memory starts again.
  addEventListener("pageshow", (event) => event.persisted && open());
  addEventListener("pagehide", close);
  open();
  return { refresh: () => ask("reload"), toggle };
}
