// One call: its conversation as it grows or as it was, talk time, exports, deletion.

import { follow, json, Refused, request, save } from "./api.js";
import { Conversation } from "./conversation.js";
import { callLink, clock, counted, h, moment, names, problem, speakersOf } from "./dom.js";
import { TalkBar } from "./talk.js";

const SHOWN_AS_NAMES = ["inbound_label", "outbound_label"];
const FORMATS = ["json", "txt", "vtt", "srt", "csv"];

export async function call({ server, sid, query, back, signal, say, notice, setState, setTitle, confirm }) {
  const view = new Call({ server, sid, back, say, notice, setState, setTitle, confirm });
  try {
    await view.refresh();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    setTitle("No such call");
    return { nodes: [problem("This call cannot be shown", error.message, h("a", { class: "button", href: back }, "All calls"))] };
  }
  view.go(query);
  view.follow(signal);
  return { nodes: [view.element], moved: (next) => view.go(next) };
}

class Call {
  constructor({ server, sid, back, say, notice, setState, setTitle, confirm }) {
    Object.assign(this, { sid, say, notice, setState, setTitle, confirm });
    this.path = `v1/calls/${encodeURIComponent(sid)}`;
    this.sought_ms = null;
    this.found = null;
    this.following = false;
    this.talk = new TalkBar((ms) => { location.replace(callLink(sid, ms)); });
    this.conversation = new Conversation({ sid, linked: true, onChange: (item) => this.#changed(item), onFinal: (final) => this.#announce(final) });
    this.title = h("h1", { tabindex: "-1" });
    this.badge = h("span", { class: "badge" });
    this.timer = h("span", { class: "timer" });
    this.words = h("span", { class: "said" });
    this.facts = h("dl", { class: "facts" });
    this.empty = h("p", { class: "empty" });
    this.end = h("div", { class: "end" });
    this.newest = h("button", { type: "button", class: "newest", hidden: true, onclick: () => this.#toEnd() }, "Newest captions ↓");
    this.remove = h("button", { type: "button", class: "danger", hidden: !server.roles.includes("delete"), onclick: () => this.#remove(back) }, "Delete");
    const exports = FORMATS.map((format) => h("button", { type: "button", onclick: () => this.#save(format) }, format));
    this.element = h("section", { class: "onecall" },
      h("p", {}, h("a", { href: back }, "← all calls")),
      h("header", {}, this.title, this.badge, this.timer), this.facts, this.talk.element,
      h("div", { class: "buttons", role: "group", "aria-label": "Export and delete" },
        h("span", { class: "label", "aria-hidden": "true" }, "Export"), ...exports, h("span", { class: "gap" }), this.remove),
      this.empty, this.conversation.element, this.newest, this.end);
    // Tells whether the end is in sight without asking for layout at every word.
    this.watching = new IntersectionObserver(([end]) => {
      this.following = end.isIntersecting;
      this.#offerNewest();
    });
  }

  get live() {
    return this.summary.status === "live";
  }

  async refresh() {
    this.summary = await json(this.path);
    const { status, started_at, words, model, language, parameters } = this.summary;
    const speakers = speakersOf(this.summary);
    Object.assign(this.conversation.speakers, speakers);
    this.title.replaceChildren(...names(speakers));
    this.setTitle(this.title.textContent);
    this.badge.textContent = status;
    this.badge.className = `badge ${status}`;
    this.count = words;
    this.words.textContent = counted(words, "word");
    this.facts.replaceChildren(...fact("Started", moment(started_at)), ...fact("Said", this.words),
      ...fact("Model", `${model} (${language})`), ...fact("Call", h("span", { class: "sid" }, this.sid)),
      ...Object.entries(parameters).filter(([name]) => !SHOWN_AS_NAMES.includes(name)).flatMap(([name, value]) => fact(h("bdi", {}, name), h("bdi", {}, value))));
    this.remove.setAttribute("aria-disabled", this.live);
    this.remove.title = this.live ? "A live call cannot be deleted; it can be when it has ended." : "";
    this.empty.textContent = this.live ? "Nothing was said yet." : "Nothing was said in this call.";
    this.#offerNewest();
    this.draw();
  }

  draw() {
    const { duration_ms, started_at_ms } = this.summary;
    const length_ms = Math.max(this.conversation.end_ms, duration_ms ?? (this.live ? Date.now() - started_at_ms : 0));
    const { conversation } = this;
    this.talk.draw(length_ms, { inbound: conversation.speaker("inbound"), outbound: conversation.speaker("outbound") });
    this.timer.textContent = clock(length_ms);
  }

  /** Events until the call is over: the server ends the line then. */
  follow(signal) {
    this.watching.observe(this.end);
    const ticking = setInterval(() => { if (this.live) this.draw(); }, 1000);
    signal.addEventListener("abort", () => { clearInterval(ticking); this.watching.disconnect(); });
    follow(`${this.path}/events`, {
      signal,
      onEvent: (event) => {
        this.conversation.take(event);
        if (event.type === "call.started" && event.resumed) this.refresh().catch(this.notice);
        if (event.type === "call.ended" && this.live) this.refresh().catch(this.notice);
      },
      onState: (open) => { if (this.live) this.setState(open); },
      isOver: async () => {
        await this.refresh();
        if (!this.live && this.sought_ms !== null && !this.found) this.#seek();
        return !this.live;
      },
    }).catch(this.notice);
  }

  /** Where the address points: ?t= in milliseconds. */
  go(query) {
    const ms = Number(query.get("t") ?? NaN);
    this.sought_ms = Number.isFinite(ms) ? ms : null;
    this.following = this.live && this.sought_ms === null;
    if (this.sought_ms !== null && this.conversation.end_ms) this.#seek();
  }

  #seek() {
    this.found?.classList.remove("sought");
    this.found = this.conversation.at(this.sought_ms);
    if (!this.found) return;
    this.found.classList.add("sought");
    this.talk.mark(this.sought_ms);
    this.found.scrollIntoView({ block: "center" });
  }

  #changed(item) {
    this.talk.take(item);
    this.empty.hidden = true;
    this.changes ??= requestAnimationFrame(() => {
      this.changes = null;
      this.draw();
      if (this.sought_ms !== null && !this.found && this.conversation.end_ms >= this.sought_ms) this.#seek();
      else if (this.live && this.following) this.#toEnd();
    });
  }

  #announce(final) {
    // What was said before is there to be read; only news is told.
    if (!this.live || final.seq <= this.summary.last_seq) return;
    this.say(`${final.speaker}: ${final.text}`);
    this.count += final.words.length;
    this.words.textContent = counted(this.count, "word");
  }

  #toEnd() {
    this.end.scrollIntoView({ block: "end" });
  }

  #offerNewest() {
    this.newest.hidden = !this.live || this.following;
  }

  async #save(format) {
    try {
      await save(`${this.path}/transcript?format=${format}`, `${this.sid}.${format}`);
    } catch (error) {
      this.notice(error);
    }
  }

  async #remove(back) {
    if (this.live) {
      this.notice(this.remove.title);
      return;
    }
    if (!(await this.confirm(`The conversation of ${this.title.textContent} (${this.sid}) will be gone, with everything else of this call.`))) return;
    try {
      await request(this.path, { method: "DELETE" });
      location.hash = back;
    } catch (error) {
      this.notice(error);
    }
  }
}

function fact(name, value) {
  return [h("div", {}, h("dt", {}, name), h("dd", {}, value))];
}
