// One call's conversation: events in, two-sided captions out, in the order of time.

import { callLink, clock, h } from "./dom.js";

const UNSURE = 0.6, SAME_GAP_MS = 100;
const DEFAULT_SPEAKERS = { inbound: "caller", outbound: "agent" };
const percent = (share) => `${Math.round(100 * share)} %`;

export class Conversation {
  /**
   * `onChange(item)` hears of every turn or gap that is new, changed or `gone`: {kind, track, start_ms, end_ms};
   * `onFinal(event)` of every final seen the first time. `linked`: times are links to the moment. `keep`: so many
   * items at most, the newest.
   */
  constructor({ sid, keep = Infinity, linked = false, onChange = () => {}, onFinal = () => {} }) {
    this.sid = sid;
    this.keep = keep;
    this.linked = linked;
    this.onChange = onChange;
    this.onFinal = onFinal;
    this.element = h("ol", { class: "conversation" });
    this.items = new Map();
    this.speakers = {};
    this.end_ms = 0;
  }

  speaker(track) {
    return this.speakers[track] || DEFAULT_SPEAKERS[track] || track || "";
  }

  /** Take an event or an utterance of a transcript; anything else than captions and marks is passed over. */
  take(event) {
    switch (event.type ?? "final") {
      case "stream.started":
        Object.assign(this.speakers, event.speakers);
        break;
      case "partial":
        this.#partial(event);
        break;
      case "final":
        this.#final(event);
        break;
      case "dtmf":
        this.#mark(event, "dtmf", event.start_ms, `${this.speaker(event.track)} pressed ${event.digit}`);
        break;
      case "gap":
        this.#gap(event);
        break;
      case "stream.error":
        this.#mark(event, "problem", this.end_ms, event.message);
    }
  }

  /** The element that is on or before a moment, or the first one. */
  at(ms) {
    let found = this.element.firstElementChild;
    for (const element of this.element.children) if (Number(element.dataset.at) <= ms) found = element;
    return found;
  }

  #turn(event) {
    const key = `${event.stream_sid ?? ""}/${event.track}/${event.utterance}`;
    const turn = this.items.get(key) ?? this.#newTurn(key, event);
    turn.end_ms = event.end_ms;
    this.end_ms = Math.max(this.end_ms, event.end_ms);
    if (turn.start_ms !== event.start_ms) {
      turn.start_ms = event.start_ms;
      turn.time.textContent = clock(event.start_ms);
      if (this.linked) turn.time.href = callLink(this.sid, event.start_ms);
      this.#place(turn);
    }
    return turn;
  }

  #newTurn(key, event) {
    const time = h(this.linked ? "a" : "span", { class: "time" });
    const firm = h("span", { class: "firm" }), volatile = h("span", { class: "volatile" });
    const words = h("p", { class: "words", dir: "auto" }, firm, volatile);
    const who = h("p", { class: "who" }, h("b", {}, h("bdi", {}, event.speaker || this.speaker(event.track))), time);
    const element = h("li", { class: `turn ${event.track === "outbound" ? "agent" : "caller"}` }, who, words);
    const turn = { kind: "turn", key, track: event.track, element, who, time, words, firm, volatile, final: false };
    this.items.set(key, turn);
    return turn;
  }

  #partial(event) {
    const key = `${event.stream_sid}/${event.track}/${event.utterance}`;
    const known = this.items.get(key);
    if (known?.final) return;
    if (!event.text) {
      if (known) this.#drop(known);
      return;
    }
    const turn = this.#turn(event);
    const words = event.text.split(" ");
    turn.element.classList.add("partial");
    turn.firm.textContent = words.slice(0, event.stable).join(" ");
    turn.volatile.textContent = (event.stable ? " " : "") + words.slice(event.stable).join(" ");
    this.onChange(turn);
  }

  #final(event) {
    const turn = this.#turn(event);
    const seen = turn.final;
    turn.final = true;
    turn.element.classList.remove("partial");
    const words = event.words?.length ? event.words : [{ word: event.text, confidence: 1 }];
    turn.words.replaceChildren(...words.flatMap((word, at) => [at ? " " : "", spelled(word)]));
    if (!seen && event.confidence != null) {
      turn.who.append(h("span", { class: "sure" }, h("span", { class: "unseen" }, "confidence "), percent(event.confidence)));
    }
    this.onChange(turn);
    if (!seen) this.onFinal(event);
  }

  #gap(event) {
    const both = [...this.items.values()].find((item) => item.kind === "gap" && item.track !== event.track
      && Math.abs(item.start_ms - event.from_ms) < SAME_GAP_MS && Math.abs(item.end_ms - event.to_ms) < SAME_GAP_MS);
    const lost = `${((event.to_ms - event.from_ms) / 1000).toFixed(1)} s of audio missing`;
    if (both) {
      both.text.textContent = `${lost} on both sides`;
      this.onChange({ ...both, track: event.track });
    } else {
      this.#mark(event, "gap", event.from_ms, `${lost} from ${this.speaker(event.track)}`, event.to_ms);
    }
  }

  #mark(event, kind, start_ms, told, end_ms = start_ms) {
    const key = `seq/${event.seq}`;
    if (this.items.has(key)) return;
    const text = h("bdi", {}, told);
    const element = h("li", { class: `mark ${kind}` }, h("span", { class: "time" }, clock(start_ms)), " ", text);
    const mark = { kind, key, track: event.track, element, text, start_ms, end_ms };
    this.items.set(key, mark);
    this.#place(mark);
    this.onChange(mark);
  }

  /** By time; almost always that is the end. */
  #place({ element, start_ms }) {
    element.dataset.at = start_ms;
    let behind = this.element.lastElementChild;
    while (behind && (behind === element || Number(behind.dataset.at) > start_ms)) behind = behind.previousElementSibling;
    const next = behind ? behind.nextElementSibling : this.element.firstElementChild;
    if (next !== element) this.element.insertBefore(element, next);
    if (this.items.size > this.keep) this.#drop(this.#first());
  }

  #first() {
    const element = this.element.firstElementChild;
    return [...this.items.values()].find((item) => item.element === element);
  }

  #drop(item) {
    item.element.remove();
    item.gone = true;
    this.items.delete(item.key);
    this.onChange(item);
  }
}

function spelled({ word, confidence }) {
  if (confidence >= UNSURE) return word;
  return h("span", { class: "unsure", title: `${percent(confidence)} sure` }, word);
}
