// The first view: live calls with their captions, and the history with search.

import { follow, json, request } from "./api.js";
import { Conversation } from "./conversation.js";
import { clock, h, moment, stickToEnd } from "./dom.js";

const MOST_CARDS = 24, PAGE = 25, KEPT_TURNS = 30;
const link = (sid, ms) => `#/calls/${encodeURIComponent(sid)}${ms == null ? "" : `?t=${ms}`}`;

export function home({ server, signal, say, notice, setState }) {
  const live = new LiveCalls(say);
  const history = new History(notice);
  const welcome = firstSteps(server, notice);
  // Somebody who has no call yet is shown how to get one.
  history.onFirst = (calls) => { welcome.querySelector("details").open = calls === 0; };
  const watch = () => follow("v1/events", {
    signal,
    onEvent: (event) => {
      live.take(event);
      if (event.type === "call.ended" || event.type === "call.started") history.refreshSoon();
    },
    onState: (open) => {
      setState(open);
      if (open) live.load().catch(notice);
    },
  });
  watch().catch(notice);
  history.load().catch(notice);
  const ticking = setInterval(() => live.tick(), 1000);
  signal.addEventListener("abort", () => { clearInterval(ticking); history.stop(); });
  return [live.element, welcome, history.element];
}

class LiveCalls {
  constructor(say) {
    this.say = say;
    this.cards = new Map();
    this.over = new Set();
    this.list = h("div", { class: "cards" });
    this.empty = h("p", { class: "empty" }, "No call is live. Captions appear here word by word as soon as one begins.");
    this.more = h("p", { class: "more", hidden: true });
    this.element = h("section", { "aria-labelledby": "live-title", class: "livecalls" },
      h("h1", { id: "live-title" }, "Live calls"), this.empty, this.list, this.more);
  }

  /** What began before this page was opened. */
  async load() {
    const { calls } = await json(`v1/calls?status=live&limit=${MOST_CARDS}`);
    await Promise.all(calls.reverse().map(async (call) => {
      if (this.over.has(call.call_sid)) return;
      const card = this.#card(call.call_sid, call.started_at_ms);
      const { utterances } = await json(`v1/calls/${encodeURIComponent(call.call_sid)}/transcript?format=json`);
      stickToEnd(card.box, () => {
        for (const utterance of utterances.slice(-KEPT_TURNS)) card.conversation.take(utterance);
      });
    }));
  }

  take(event) {
    if (event.type === "call.ended") this.#end(event);
    else if (!this.over.has(event.call_sid) || event.type === "call.started") {
      this.over.delete(event.call_sid);
      const card = this.#card(event.call_sid, Date.now());
      if (event.type === "call.started") card.started_ms = Date.parse(event.at);
      stickToEnd(card.box, () => card.conversation.take(event));
    }
  }

  tick() {
    for (const card of this.cards.values()) {
      if (!card.ended) card.timer.textContent = clock(Date.now() - card.started_ms);
    }
  }

  #card(sid, started_ms) {
    let card = this.cards.get(sid);
    if (card) return card;
    const conversation = new Conversation({ sid, onFinal: (final) => this.say(`${final.speaker}: ${final.text}`) });
    const box = h("div", { class: "box", tabindex: "0", role: "region", "aria-label": `Captions of call ${sid}` }, conversation.element);
    const timer = h("span", { class: "timer" }, clock(Date.now() - started_ms));
    const dot = h("span", { class: "dot" });
    const element = h("article", { class: "card" },
      h("header", {}, dot, h("a", { class: "sid", href: link(sid) }, sid), timer), box);
    card = { conversation, box, timer, element, started_ms, ended: false };
    this.cards.set(sid, card);
    this.list.prepend(element);
    this.#count();
    return card;
  }

  #end(event) {
    this.over.add(event.call_sid);
    const card = this.cards.get(event.call_sid);
    if (!card) return;
    card.ended = true;
    card.element.classList.add("over");
    card.timer.textContent = `ended, ${card.timer.textContent}`;
    setTimeout(() => {
      if (!card.ended) return;
      card.element.remove();
      this.cards.delete(event.call_sid);
      this.#count();
    }, 20_000);
  }

  #count() {
    this.empty.hidden = this.cards.size > 0;
    const hidden = this.cards.size - MOST_CARDS;
    this.more.hidden = hidden <= 0;
    this.more.textContent = `and ${hidden} more`;
    [...this.list.children].forEach((card, at) => { card.hidden = at >= MOST_CARDS; });
  }
}

class History {
  constructor(notice) {
    this.notice = notice;
    this.asked = 0;
    this.onFirst = () => {};
    this.next = null;
    this.words = h("input", { type: "search", name: "q", maxlength: 500, placeholder: 'refund, pay*, "credit card"', "aria-label": "Words in the transcript" });
    this.status = h("select", { name: "status", "aria-label": "Status" },
      ...[["", "any status"], ["live", "live"], ["ended", "ended"], ["interrupted", "interrupted"]].map(([value, text]) => h("option", { value }, text)));
    this.since = h("input", { type: "date", name: "since", "aria-label": "From this day" });
    this.until = h("input", { type: "date", name: "until", "aria-label": "Up to this day" });
    const changed = () => this.load().catch(notice);
    this.form = h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); changed(); }, onchange: changed },
      this.words, this.status, h("label", {}, "from ", this.since), h("label", {}, "to ", this.until), h("button", { type: "submit" }, "Search"));
    this.problem = h("p", { class: "error", role: "alert" });
    this.list = h("ol", { class: "calls" });
    this.empty = h("p", { class: "empty", hidden: true });
    this.further = h("button", { type: "button", class: "further", hidden: true, onclick: () => this.load({ further: true }).catch(notice) }, "Show more");
    this.element = h("section", { "aria-labelledby": "history-title", class: "history" },
      h("h2", { id: "history-title" }, "History"), this.form, this.problem, this.list, this.empty, this.further);
  }

  /** Calls came or went: look again, once for many, unless somebody has paged on. */
  refreshSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => { if (this.list.children.length <= PAGE) this.load().catch(this.notice); }, 400);
  }

  stop() {
    clearTimeout(this.soon);
  }

  async load({ further = false } = {}) {
    const asked = ++this.asked;
    const query = new URLSearchParams({ limit: PAGE });
    if (this.words.value.trim()) query.set("q", this.words.value.trim());
    if (this.status.value) query.set("status", this.status.value);
    if (this.since.value) query.set("since", new Date(`${this.since.value}T00:00`).toISOString());
    if (this.until.value) query.set("until", new Date(`${this.until.value}T23:59:59.999`).toISOString());
    if (further && this.next) query.set("cursor", this.next);
    let page;
    this.problem.textContent = "";
    try {
      page = await json(`v1/calls?${query}`);
    } catch (error) {
      if (asked === this.asked) this.problem.textContent = error.message;
      return;
    }
    if (asked !== this.asked) return; // a later question was asked meanwhile
    const rows = page.calls.map(row);
    if (further) this.list.append(...rows);
    else this.list.replaceChildren(...rows);
    this.next = page.next;
    this.onFirst(this.list.children.length || query.size - 1);
    this.onFirst = () => {};
    this.further.hidden = !page.next;
    this.empty.hidden = this.list.children.length > 0;
    this.empty.textContent = query.has("q") ? "No call holds these words." : "No calls yet.";
  }
}

function row(call) {
  const names = Object.values(call.tracks).map((track) => track.speaker).join(" and ");
  const length = call.duration_ms == null ? "" : clock(call.duration_ms);
  return h("li", { class: `call ${call.status}` },
    h("a", { class: "line", href: link(call.call_sid) },
      moment(call.started_at), h("span", { class: "names" }, names || "–"), h("span", { class: "length" }, length),
      h("span", { class: `badge ${call.status}` }, call.status),
      h("span", { class: "counts" }, `${call.words} words`), h("span", { class: "sid" }, call.call_sid)),
    ...(call.matches ?? []).map((match) => h("a", { class: "match", href: link(call.call_sid, match.start_ms) },
      h("span", { class: "time" }, clock(match.start_ms)), " ", h("b", {}, match.speaker), " ", ...marked(match))),
    call.match_count > (call.matches ?? []).length
      ? h("p", { class: "more" }, `and ${call.match_count - call.matches.length} more places`) : null);
}

/** The text with its marks; they count code points, JavaScript strings do not. */
function marked({ text, marks }) {
  const letters = [...text];
  const parts = [];
  let at = 0;
  for (const [from, to] of marks) {
    parts.push(letters.slice(at, from).join(""), h("mark", {}, letters.slice(from, to).join("")));
    at = to;
  }
  return [...parts, letters.slice(at).join("")];
}

function firstSteps(server, notice) {
  const attach = h("details", { class: "attach" });
  const base = server.public_url || `https://${location.host}`;
  const media = `${base.replace(/^http/, "ws")}/v1/media`;
  const twiml = [
    "<Response>", "  <Start>",
    `    <Stream url="${media}" track="both_tracks"`,
    `            statusCallback="${base.replace(/^ws/, "http")}/v1/stream-status"/>`,
    "  </Start>", "  <Dial>+15550100</Dial>", "</Response>",
  ].join("\n");
  const copy = h("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(twiml);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected: press Ctrl+C";
    }
  } }, "Copy");
  const code = h("code", {}, twiml);
  const samples = h("select", { "aria-label": "Sample call" },
    ...server.sample_calls.map((name) => h("option", { value: name }, name.replace(/^\d+_/, "").replaceAll("_", " "))));
  const play = h("button", { type: "button", class: "primary", onclick: async () => {
    play.disabled = true;
    try {
      await request("v1/sample-calls", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: samples.value }) });
    } catch (error) {
      notice(error);
    }
    play.disabled = false;
  } }, "Play a sample call");
  attach.append(h("summary", {}, "Attach a call of your own"),
    h("p", {}, "Answer your number's voice webhook with this TwiML, or point the webhook at ", h("code", {}, "/v1/twiml"), ":"),
    server.public_url ? "" : h("p", { class: "hint" }, "TRANSCRIBER_PUBLIC_URL is not set: put the address Twilio can reach in place of this page's."),
    h("pre", { tabindex: "0" }, code), copy);
  const demo = server.demo
    ? h("p", { class: "hint" }, `The model ${server.model} is a demo: it knows about 2,250 words. For real calls get an official one: `, h("code", {}, `transcriber models pull ${server.language.split("-")[0]}`))
    : h("p", { class: "hint" }, `Model ${server.model} (${server.language}).`);
  return h("section", { class: "welcome", "aria-labelledby": "attach-title" },
    h("div", { class: "try" },
      h("h2", { id: "attach-title" }, "Try it"), h("p", {}, "A recorded call is dialled to this server as Twilio does, in real time."),
      h("p", { class: "buttons" }, samples, play), demo),
    attach);
}
