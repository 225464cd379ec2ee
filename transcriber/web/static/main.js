// The page's frame: which view the address names, dark and light, the key, notices.

import { json, onKeyNeeded } from "./api.js";
import { call } from "./call.js";
import { home } from "./home.js";

const $ = (id) => document.getElementById(id);
const THEME = "transcriber-theme";
let leaving = new AbortController();
let server = null;

function notice(error) {
  $("notice").textContent = error?.message ?? String(error);
  $("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { $("notice").hidden = true; }, 8000);
}

/** Told to screen readers; one sentence at a time, the latest. */
function say(text) {
  $("said").textContent = text;
}

function setState(open) {
  $("state").textContent = open ? "connected" : "connection lost, trying again";
  $("state").className = `state ${open ? "open" : "lost"}`;
}

function asked(dialog) {
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue), { once: true });
    dialog.returnValue = "";
    dialog.showModal();
  });
}

onKeyNeeded(async (why) => {
  $("key-error").textContent = why;
  $("key-value").value = "";
  do await asked($("key")); while (!$("key-value").value);
  return $("key-value").value.trim();
});

async function confirm(text) {
  $("sure-text").textContent = text;
  return (await asked($("sure"))) === "yes";
}

async function show() {
  leaving.abort();
  const mine = leaving = new AbortController();
  const [path, query = ""] = location.hash.slice(1).split("?");
  const shared = { signal: mine.signal, say, notice, setState, confirm };
  setState(true);
  const [, name, sid] = path.split("/");
  try {
    server ??= await json("v1/server");
  } catch (error) {
    return notice(error);
  }
  if (mine.signal.aborted) return;
  const t = new URLSearchParams(query).get("t");
  let view;
  try {
    view = name === "calls" && sid
      ? call({ ...shared, sid: decodeURIComponent(sid), at_ms: t === null ? null : Number(t) })
      : home({ ...shared, server });
  } catch (error) {
    view = [];
    notice(error);
  }
  $("main").replaceChildren(...view);
  document.title = name === "calls" && sid ? `${sid} – Transcriber` : "Transcriber";
  $("main").focus({ preventScroll: true });
  if (t === null) scrollTo(0, 0);
}

function theme(next) {
  if (next) localStorage.setItem(THEME, next);
  const chosen = localStorage.getItem(THEME);
  if (chosen) document.documentElement.dataset.theme = chosen;
}

$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
  theme(dark ? "light" : "dark");
});
theme();
addEventListener("hashchange", show);
show();
