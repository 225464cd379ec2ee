// The calls that are live, a card with captions each. A card keeps its place, so that nothing moves under a reader's eyes.

import { json } from "./api.js";
import { Conversation } from "./conversation.js";
import { callLink, clock, counted, endKeeper, h, names, speakersOf } from "./dom.js";

const MOST_CARDS = 24, KEPT = 40, READ_ON_MS = 20_000;

export class LiveCalls {
  /** `say` tells screen readers; `idle` is shown while there is no card; `controls` stand beside the title. */
  constructor({ say, idle, controls }) {
    this.say = say;
    this.idle = idle;
    this.cards = new Map();
    this.over = new Set();
    this.list = h("div", { class: "cards" });
    this.more = h("p", { class: "more", hidden: true });
    this.clear = h("button", { type: "button", hidden: true, onclick: () => this.#clear() }, "Clear ended calls");
    this.title = h("h1", { tabindex: "-1" }, "Live calls");
    this.element = h("section", { "aria-label": "Live calls", class: "livecalls" },
      h("header", {}, this.title, this.clear, controls), h("div", { class: "stage" }, this.idle, this.list), this.more);
  }

  /** What is live now: before this page was opened, or while the line was lost. */
  async load() {
    const asked = performance.now();
    this.over.clear();
    const { calls } = await json(`v1/calls?status=live&limit=${MOST_CARDS}`);
    const live = new Set(calls.map((call) => call.call_sid));
    for (const card of this.cards.values()) {
      if (calls.length < MOST_CARDS && card.born < asked && !live.has(card.sid)) this.#end(card);
    }
    await Promise.all(calls.reverse().map((call) => this.#catchUp(call)));
  }

  take(event) {
    const known = this.cards.get(event.call_sid);
    if (event.type === "call.ended") {
      this.over.add(event.call_sid);
      if (known) this.#end(known);
      return;
    }
    const card = known ?? this.#card(event.call_sid, Date.now());
    if (event.type === "call.started") this.#begin(card, event);
    card.conversation.take(event);
    card.settle();
    if (event.type === "stream.started") this.#name(card, event.speakers);
  }

  tick() {
    for (const card of this.cards.values()) if (!card.ended) card.timer.textContent = clock(Date.now() - card.started_ms);
  }

  async #catchUp(call) {
    if (this.over.has(call.call_sid)) return; // it ended since the question
    const card = this.cards.get(call.call_sid) ?? this.#card(call.call_sid, call.started_at_ms);
    card.started_ms = call.started_at_ms;
    this.#name(card, speakersOf(call));
    const { utterances } = await json(`v1/calls/${encodeURIComponent(call.call_sid)}/transcript?format=json`);
    card.quiet = true;
    for (const utterance of utterances.slice(-KEPT)) card.conversation.take(utterance);
    card.settle();
    card.quiet = false;
  }

  #card(sid, started_ms) {
    const card = { sid, started_ms, born: performance.now(), ended: false, quiet: false };
    card.conversation = new Conversation({
      sid, keep: KEPT, onFinal: (final) => { if (!card.quiet) this.say(`${final.speaker}: ${final.text}`); },
    });
    card.box = h("div", { class: "box", tabindex: "0", role: "group" }, card.conversation.element);
    card.settle = endKeeper(card.box);
    card.link = h("a", { class: "names", href: callLink(sid) });
    card.timer = h("span", { class: "timer" }, clock(Date.now() - started_ms));
    card.element = h("article", { class: "card", title: sid }, h("header", {}, h("span", { class: "dot" }), card.link, card.timer), card.box);
    this.#name(card, {});
    this.cards.set(sid, card);
    this.#seat(card);
    this.#count();
    return card;
  }

  /** At the end of the list, or in the place of the call that ended first, when its last words can have been read. */
  #seat(card) {
    const read = (other) => other.ended && Date.now() - other.ended > READ_ON_MS && !other.element.contains(document.activeElement);
    const [over] = [...this.cards.values()].filter(read).sort((a, b) => a.ended - b.ended);
    if (!over) this.list.append(card.element);
    else {
      over.element.replaceWith(card.element);
      this.cards.delete(over.sid);
    }
  }

  #name(card, speakers) {
    card.link.replaceChildren(...names(speakers));
    card.box.setAttribute("aria-label", `Captions of ${card.link.textContent}`);
    Object.assign(card.conversation.speakers, speakers);
  }

  #begin(card, event) {
    this.over.delete(card.sid);
    if (!event.resumed) card.started_ms = Date.parse(event.at);
    card.ended = false;
    card.element.classList.remove("over");
  }

  #end(card) {
    if (card.ended) return;
    card.ended = Date.now();
    card.element.classList.add("over");
    card.timer.textContent = `ended, ${clock(card.ended - card.started_ms)}`;
    this.#count();
  }

  #clear() {
    for (const card of this.cards.values()) {
      if (!card.ended) continue;
      card.element.remove();
      this.cards.delete(card.sid);
    }
    this.#count();
    this.title.focus();
  }

  #count() {
    const cards = [...this.cards.values()];
    this.idle.classList.toggle("behind", cards.length > 0);
    this.clear.hidden = !cards.some((card) => card.ended);
    this.more.hidden = cards.length <= MOST_CARDS;
    this.more.textContent = `and ${counted(cards.length - MOST_CARDS, "more call")}`;
    [...this.list.children].forEach((element, at) => { element.hidden = at >= MOST_CARDS; });
  }
}
