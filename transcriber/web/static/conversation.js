// One call's conversation: events in, two-sided captions out, in the order of time.

import { clock, h } from "./dom.js";

const UNSURE = 0.6;
const side = (track) => (track === "outbound" ? "agent" : "caller");

export class Conversation {
  /** `onChange` hears of every change, `onFinal` of every final; `linked`: times are links to the moment. */
  constructor({ sid, onChange = () => {}, onFinal = () => {}, linked = false }) {
    this.sid = sid;
    this.element = h("ol", { class: "conversation" });
    this.turns = new Map();
    this.end_ms = 0;
    this.onChange = onChange;
    this.onFinal = onFinal;
    this.linked = linked;
  }

  /** Take an event or an utterance of a transcript; anything else than captions and marks is passed over. */
  take(event) {
    switch (event.type ?? "final") {
      case "partial":
        return this.#partial(event);
      case "final":
        return this.#final(event);
      case "dtmf":
        return this.#mark(event, event.start_ms, `key ${event.digit}`, "dtmf");
      case "gap":
        return this.#mark(event, event.from_ms, `${((event.to_ms - event.from_ms) / 1000).toFixed(1)} s of audio missing`, "gap");
      case "stream.error":
        return this.#mark(event, this.end_ms, event.message, "problem");
    }
  }

  /** Of speech, for the talk bar: [{track, start_ms, end_ms}]. */
  spoken() {
    return [...this.turns.values()].filter((turn) => turn.text);
  }

  #key(event) {
    return `${event.stream_sid ?? ""}/${event.track}/${event.utterance}`;
  }

  #turn(event) {
    const key = this.#key(event);
    let turn = this.turns.get(key);
    if (!turn) {
      const time = h(this.linked ? "a" : "span", { class: "time" });
      const words = h("p", { class: "words" });
      const element = h("li", { class: `turn ${side(event.track)}` }, h("p", { class: "who" }, h("b"), " ", time), words);
      turn = { track: event.track, element, time, words, final: false, start_ms: -1 };
      this.turns.set(key, turn);
    }
    turn.element.querySelector("b").textContent = event.speaker ?? side(event.track);
    turn.end_ms = event.end_ms;
    turn.text = event.text;
    if (turn.start_ms !== event.start_ms) {
      turn.start_ms = event.start_ms;
      turn.time.textContent = clock(event.start_ms);
      if (this.linked) turn.time.href = `#/calls/${encodeURIComponent(this.sid)}?t=${event.start_ms}`;
      this.#place(turn.element, event.start_ms);
    }
    this.end_ms = Math.max(this.end_ms, event.end_ms);
    return turn;
  }

  #partial(event) {
    if (this.turns.get(this.#key(event))?.final) return;
    const turn = this.#turn(event);
    if (!event.text) {
      turn.element.remove();
      this.turns.delete(this.#key(event));
    } else {
      const words = event.text.split(" ");
      turn.element.classList.add("partial");
      turn.words.replaceChildren(
        h("span", { class: "firm" }, words.slice(0, event.stable).join(" ")),
        event.stable && event.stable < words.length ? " " : "",
        h("span", { class: "volatile" }, words.slice(event.stable).join(" ")),
      );
    }
    this.onChange();
  }

  #final(event) {
    const turn = this.#turn(event);
    turn.final = true;
    turn.element.classList.remove("partial");
    const words = event.words?.length ? event.words : [{ word: event.text, confidence: 1 }];
    turn.words.replaceChildren(...words.flatMap((word, at) => [at ? " " : "", spelled(word)]));
    this.onFinal(event);
    this.onChange();
  }

  #mark(event, at_ms, text, kind) {
    const key = `${kind}/${event.stream_sid}/${event.track ?? ""}/${at_ms}/${text}`;
    if (this.turns.has(key)) return;
    const element = h("li", { class: `mark ${kind}` }, h("span", { class: "time" }, clock(at_ms)), ` ${text}`);
    this.turns.set(key, { element, start_ms: at_ms });
    this.#place(element, at_ms);
    this.onChange();
  }

  #place(element, at_ms) {
    element.dataset.at = at_ms;
    let behind = this.element.lastElementChild;
    while (behind && (behind === element || Number(behind.dataset.at) > at_ms)) behind = behind.previousElementSibling;
    const next = behind ? behind.nextElementSibling : this.element.firstElementChild;
    if (next !== element) this.element.insertBefore(element, next);
  }
}

function spelled({ word, confidence }) {
  if (confidence >= UNSURE) return word;
  return h("span", { class: "unsure", title: `${Math.round(confidence * 100)} % sure` }, word);
}
