"use strict";
// Local times, countdowns, copying, and parts of the page that follow the live stream.
(() => {
  const page = document.body.dataset.page;
  const kept = new Map();
  const parts = (root) => root.querySelectorAll("[data-live]");

  // Times: the server writes UTC; a person reads the local time, with the date when it is not today.
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const dated = { day: "numeric", month: "short", year: "numeric", ...clock, timeZoneName: "short" };
  const lang = document.documentElement.lang;
  function localise(root) {
    for (const it of root.querySelectorAll("time[datetime]:not([data-countdown])")) {
      if (it.title) continue;
      const at = new Date(it.dateTime);
      const today = at.toDateString() === new Date().toDateString();
      it.title = it.textContent;
      it.textContent = new Intl.DateTimeFormat(lang, today ? clock : dated).format(at);
    }
    for (const it of root.querySelectorAll("[data-copy]")) it.hidden = !navigator.clipboard;
  }

  function countDown() {
    for (const it of document.querySelectorAll("[data-countdown]")) {
      const left = Math.max(0, Math.round((new Date(it.dateTime) - Date.now()) / 1000));
      const minutes = Math.floor(left / 60);
      it.textContent = minutes ? `${minutes} min ${left % 60} s` : `${left} s`;
    }
  }

  // A part is replaced only when the server's text of it changed. What somebody typed stays, also when a
  // refusal brought it back. A preview that somebody is about to approve is never exchanged under the thumb:
  // it is called out of date.
  const guardOf = (part) => part.dataset.guard;
  const typing = (part) =>
    [...part.querySelectorAll("input, textarea")].some(
      (field) => field === document.activeElement || (field.type !== "hidden" && field.value));
  let stale = false;

  function outdated(old, fresh) {
    const notice = old.querySelector("[data-stale]");
    const consent = document.querySelector("form[action$='/approve']");
    if (!notice || !consent || guardOf(old) === guardOf(fresh)) return false;
    notice.hidden = false;
    for (const button of consent.querySelectorAll("button")) button.disabled = true;
    return true;
  }

  function exchange(old, fresh) {
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    const mark = active && (active.id ? `#${active.id}` : active.getAttribute("href") && `[href="${active.getAttribute("href")}"]`);
    const open = [...old.querySelectorAll("details")].map((it) => it.open);
    kept.set(fresh.id, fresh.innerHTML);
    old.className = fresh.className;
    if (guardOf(fresh) !== undefined) old.dataset.guard = guardOf(fresh);
    old.replaceChildren(...fresh.childNodes);
    old.querySelectorAll("details").forEach((it, number) => { it.open = Boolean(open[number]); });
    localise(old);
    if (mark) old.querySelector(mark)?.focus({ preventScroll: true });
  }

  function renew(fresh) {
    for (const part of parts(fresh)) {
      const old = document.getElementById(part.id);
      if (!old || kept.get(part.id) === part.innerHTML) continue;
      stale ||= outdated(old, part);
      const guarded = guardOf(part) !== undefined;
      if (guarded && (stale || (guardOf(old) === guardOf(part) && typing(old)))) continue;
      exchange(old, part);
    }
    document.title = fresh.title;
    countDown();
  }

  // The stream names what changed; the page is asked for anew, at most once a second and one answer after
  // another, so that a late one never covers a newer one. What could not be had is asked for again.
  const link = document.getElementById("link");
  let asked = 0, timer = 0, asking = false, missed = false, stream = null;

  function say(live) {
    link.textContent = live ? link.dataset.liveWord : link.dataset.waitWord;
    link.className = live ? "live" : "lost";
  }

  async function ask() {
    [timer, asked, asking, missed] = [0, Date.now(), true, false];
    let failed = false;
    try {
      const answer = await fetch(page + (location.pathname === page ? location.search : ""), { headers: { Accept: "text/html" }, cache: "no-store" });
      if (answer.status === 401 || answer.redirected) return location.assign(page);
      if (!answer.ok) throw new Error(answer.statusText);
      renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
      say(stream.readyState === EventSource.OPEN);
    } catch {
      say(false);
      failed = true;
    }
    asking = false;
    if (failed || missed) poke(failed ? 5000 : 1000);
  }

  function poke(wait = 1000) {
    if (asking) missed = true;
    else if (!timer && !document.hidden) timer = setTimeout(ask, Math.max(50, asked + wait - Date.now()));
  }

  function connect() {
    stream = new EventSource("/api/v1/stream");
    stream.onopen = () => { say(true); poke(); };
    stream.onerror = () => say(false);
    for (const kind of ["slos", "incident", "action", "run", "freeze"]) stream.addEventListener(kind, () => poke());
  }

  for (const part of parts(document)) kept.set(part.id, part.innerHTML);
  localise(document);
  countDown();
  setInterval(countDown, 1000);
  if (page && location.pathname !== page) history.replaceState(null, "", page);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.copied;
  });
  // The value under the pointer or, with the arrow keys, of the next point of a chart that has its points.
  const told = (value, unit) => unit === "ratio" ? `${(value * 100).toFixed(1)} %`
    : unit === "s" ? (value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`)
    : `${Number(value.toPrecision(4))} ${unit}`.trim();
  function point(picture, at) {
    const points = picture.dataset.points.split(";").map((it) => it.split(",").map(Number));
    const near = points.reduce((best, it) => Math.abs(it[0] - at) < Math.abs(best[0] - at) ? it : best);
    picture.dataset.at = near[0];
    const figure = picture.closest("figure");
    let line = figure.querySelector(".hover");
    if (!line) picture.after(line = Object.assign(document.createElement("p"), { className: "hover" }));
    const unit = picture.dataset.unit;
    const when = new Intl.DateTimeFormat(lang, clock).format(new Date(near[0] * 1000));
    const band = Number.isFinite(near[2]) ? ` (${told(near[2], unit)} – ${told(near[3], unit)})` : "";
    line.textContent = `${when}: ${told(near[1], unit)}${band}`;
  }
  document.addEventListener("pointermove", (event) => {
    const picture = event.target.closest?.("svg[data-points]");
    if (!picture) return;
    const box = picture.getBoundingClientRect();
    const [start, end] = picture.dataset.span.split(",").map(Number);
    point(picture, start + (event.clientX - box.left) / box.width * (end - start));
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const panel = document.querySelector("details.switch[open]");
      if (panel) { panel.open = false; panel.querySelector("summary").focus(); }
    }
    const field = event.target.closest("input, textarea, select");
    if (event.key === "/" && !field && !event.ctrlKey && !event.metaKey) {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); }
    }
  });
  document.addEventListener("submit", (event) => {
    setTimeout(() => { for (const it of event.target.querySelectorAll("button")) it.disabled = true; });
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  // Back to the page that asked for the log-in; after a refusal (at /login) the server has filled it in.
  for (const next of document.querySelectorAll("form[action='/login'] [name=next]")) {
    if (!next.value && location.pathname !== "/login") next.value = location.pathname;
  }
  const provider = document.getElementById("provider");
  if (provider && location.pathname !== "/login") provider.href = `/api/v1/auth/oidc/login?next=${encodeURIComponent(location.pathname)}`;

  if (page && link && kept.size) {
    connect();
    document.addEventListener("visibilitychange", () => poke());
    setInterval(() => {
      if (stream.readyState === EventSource.CLOSED) connect();
      if (stream.readyState !== EventSource.OPEN) poke();
    }, 10000);
  }
})();
