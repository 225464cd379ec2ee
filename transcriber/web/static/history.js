// The calls that were: search, filters and the list. What is asked stands in the address, so that it can be linked and gone back to.

import { json } from "./api.js";
import { callLink, clock, counted, h, moment, names, speakersOf } from "./dom.js";

const PAGE = 25;
const STATUSES = [["", "any status"], ["live", "live"], ["ended", "ended"], ["interrupted", "interrupted"]];

export class History {
  constructor(notice) {
    this.notice = notice;
    this.asked = 0;
    this.next = null;
    this.calls = 0;
    this.words = h("input", {
      type: "search", name: "q", maxlength: 500, placeholder: 'refund, pay*, "credit card"', "aria-label": "Words in the transcript",
      // The cross in the field empties it without a submit.
      onsearch: () => { if (!this.words.value) this.#ask(); },
    });
    this.status = h("select", { name: "status", "aria-label": "Status", onchange: () => this.#ask() },
      ...STATUSES.map(([value, text]) => h("option", { value }, text)));
    const day = (name, label) => h("input", { type: "date", name, "aria-label": label, onchange: () => this.#ask() });
    this.since = day("since", "From this day");
    this.until = day("until", "Up to this day");
    const form = h("form", { class: "filters", role: "search", onsubmit: (event) => { event.preventDefault(); this.#ask(); } },
      this.words, h("label", {}, "from ", this.since), h("label", {}, "to ", this.until), this.status, h("button", { type: "submit" }, "Search"));
    this.problem = h("p", { class: "error", role: "alert" });
    this.told = h("p", { class: "told", role: "status" });
    this.list = h("ol", { class: "calls" });
    this.further = h("button", { type: "button", class: "further", hidden: true, onclick: () => this.#load({ further: true }).catch(notice) }, "Show more");
    this.element = h("section", { "aria-labelledby": "history-title", class: "history" },
      h("h2", { id: "history-title" }, "History"), form, this.problem, this.told, this.list, this.further);
  }

  get fields() {
    return { q: this.words, status: this.status, since: this.since, until: this.until };
  }

  /** Show what the address asks for. */
  show(query) {
    for (const [name, field] of Object.entries(this.fields)) field.value = query.get(name) ?? "";
    return this.#load();
  }

  /** Calls came or went: look again, once for many, unless somebody has paged on. */
  refreshSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => { if (this.calls <= PAGE) this.#load().catch(this.notice); }, 400);
  }

  stop() {
    clearTimeout(this.soon);
  }

  #ask() {
    const query = new URLSearchParams();
    for (const [name, field] of Object.entries(this.fields)) if (field.value.trim()) query.set(name, field.value.trim());
    const address = `#/${query.size ? `?${query}` : ""}`;
    if (address === (location.hash || "#/")) this.#load().catch(this.notice);
    else location.hash = address;
  }

  #query() {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.words.value.trim()) query.set("q", this.words.value.trim());
    if (this.status.value) query.set("status", this.status.value);
    if (this.since.value) query.set("since", new Date(`${this.since.value}T00:00`).toISOString());
    if (this.until.value) query.set("until", new Date(`${this.until.value}T23:59:59.999`).toISOString());
    return query;
  }

  async #load({ further = false } = {}) {
    const asked = ++this.asked;
    const query = this.#query();
    const narrowed = query.size > 1, searched = query.has("q");
    if (further && this.next) query.set("cursor", this.next);
    let page;
    this.problem.textContent = "";
    try {
      do {
        page = await json(`v1/calls?${query}`);
        query.set("cursor", page.next);
        // A page is short, even empty, when finding more would take the server too long: then it goes on from there.
      } while (!page.calls.length && page.next && asked === this.asked);
    } catch (error) {
      if (asked !== this.asked) return;
      this.problem.textContent = error.message.replace(/^q\b/, "the search");
      this.#fill([], null, "");
      return;
    }
    if (asked !== this.asked) return; // a later question was asked meanwhile
    this.calls = (further ? this.calls : 0) + page.calls.length;
    const none = searched ? "No call holds these words." : narrowed ? "No call fits these filters." : "No calls yet.";
    const told = narrowed ? `${counted(this.calls, "call")}${page.next ? " so far" : ""}` : "";
    const rows = page.calls.map(row);
    if (further) rows.unshift(...this.list.children);
    const focus = further ? this.list.children.length : -1;
    this.#fill(rows, page.next, this.calls ? told : none);
    if (focus >= 0) this.list.children[focus]?.querySelector("a").focus();
  }

  #fill(rows, next, told) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.href : null;
    this.list.replaceChildren(...rows);
    if (focused) [...this.list.querySelectorAll("a")].find((link) => link.href === focused)?.focus({ preventScroll: true });
    this.next = next;
    this.told.textContent = told;
    this.further.hidden = !next;
  }
}

function row(call) {
  const matches = call.matches ?? [];
  return h("li", { class: "call" },
    h("a", { class: "line", href: callLink(call.call_sid) },
      h("span", { class: "names" }, ...names(speakersOf(call))),
      h("span", { class: "when" }, moment(call.started_at)),
      h("span", { class: "length" }, call.duration_ms == null ? "" : clock(call.duration_ms)),
      h("span", { class: "counts" }, call.status === "live" ? "" : counted(call.words, "word")),
      h("span", { class: "sid", title: call.call_sid }, call.call_sid),
      h("span", { class: `badge ${call.status}` }, call.status)),
    ...matches.map((match) => h("a", { class: "match", href: callLink(call.call_sid, match.start_ms) },
      h("span", { class: "time" }, clock(match.start_ms)), " ", h("b", {}, h("bdi", {}, match.speaker)), " ", h("bdi", {}, ...marked(match)))),
    call.match_count > matches.length ? h("p", { class: "more" }, `and ${counted(call.match_count - matches.length, "more place")}`) : null);
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
