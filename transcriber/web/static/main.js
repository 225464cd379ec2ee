// The page's frame: which view the address names, its title and focus, dark and light, the key, notices.

import { json, onKeyNeeded, Refused, takeKey } from "./api.js";
import { call } from "./call.js";
import { connect } from "./connect.js";
import { h, problem } from "./dom.js";
import { home } from "./home.js";

const $ = (id) => document.getElementById(id);
const THEME = "transcriber-theme", RETRY_MS = 3000, NOTICE_MS = 8000, SAID_KEPT = 10;
const scrolled = new Map();
let leaving = new AbortController();
let shown = { path: null };
let back = "#/";
let server = null;

function notice(error) {
  $("notice").textContent = error?.message ?? String(error);
  $("notice").hidden = false;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => { $("notice").hidden = true; }, NOTICE_MS);
}

/** Told to screen readers, one after the other. */
function say(text) {
  $("said").append(h("p", {}, text));
  while ($("said").children.length > SAID_KEPT) $("said").firstElementChild.remove();
}

function setState(open) {
  $("state").replaceChildren(h("span", {}, open ? "connected" : "connection lost, trying again"));
  $("state").className = `state ${open ? "open" : "lost"}`;
}

function setTitle(title) {
  document.title = title ? `${title} – Transcriber` : "Transcriber";
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
  do await asked($("key")); while (!$("key-value").value.trim());
  return $("key-value").value.trim();
});

async function confirm(text) {
  $("sure-text").textContent = text;
  return (await asked($("sure"))) === "yes";
}

function place() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  return { path: path || "/", query: new URLSearchParams(query) };
}

async function viewOf(path, shared) {
  const [, name = "", sid = ""] = path.split("/");
  if (name === "") return home(shared);
  if (name === "connect") return connect(shared);
  if (name === "calls" && sid) {
    try {
      return await call({ ...shared, sid: decodeURIComponent(sid) });
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
    }
  }
  setTitle("No such page");
  return { nodes: [problem("There is no such page", "The address names nothing here.", h("a", { class: "button", href: "#/" }, "All calls"))] };
}

/** Without an answer there is nothing to show; asking goes on by itself. */
function unanswered(error, signal) {
  setTitle("No answer");
  setState(false);
  const soon = setTimeout(show, RETRY_MS);
  signal.addEventListener("abort", () => clearTimeout(soon));
  const title = error instanceof Refused ? "The server refuses" : "The server gives no answer";
  return { nodes: [problem(title, `${error.message}. It is asked again every few seconds.`,
    h("button", { type: "button", onclick: show }, "Try now"))] };
}

/** A view that was left has no say any more: what it asked may be answered late. */
function whileShown(signal) {
  const still = (tell) => (said) => { if (!signal.aborted) tell(said); };
  return { say: still(say), notice: still(notice), setState: still(setState), setTitle: still(setTitle) };
}

async function show() {
  takeKey();
  const { path, query } = place();
  if (path === "/") back = location.hash || "#/";
  if (path === shown.path && shown.view.moved) {
    shown.view.moved(query);
    return;
  }
  leaving.abort();
  const { signal } = leaving = new AbortController();
  shown = { path: null };
  let view, reached = true;
  try {
    server ??= await json("v1/server");
    if (!signal.aborted) setState(true);
    view = signal.aborted ? null : await viewOf(path, { server, query, back, signal, confirm, ...whileShown(signal) });
  } catch (error) {
    reached = false;
    view = signal.aborted ? null : unanswered(error, signal);
  }
  if (signal.aborted) return;
  const again = $("main").hasChildNodes();
  $("main").replaceChildren(...view.nodes);
  if (reached) shown = { path, view };
  if (again) $("main").querySelector("h1")?.focus({ preventScroll: true });
  if (!query.has("t")) scrollTo(0, scrolled.get(location.hash) ?? 0);
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
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address belongs to the views
  $("main").focus();
});
theme();
history.scrollRestoration = "manual"; // there is nothing to scroll before the view is here
addEventListener("hashchange", (event) => {
  scrolled.set(new URL(event.oldURL).hash, scrollY);
  show();
});
show();
