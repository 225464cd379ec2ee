// The talk-time bar: who spoke when, a row a side, what they said at once between them; and where in the call one is.

import { clock, h, svg } from "./dom.js";

const ROW = 16, BETWEEN = 6, HEIGHT = 2 * ROW + BETWEEN, TICKS = 5, TOLD_EVERY_MS = 500;
const STEPS_MS = { ArrowLeft: -5000, ArrowRight: 5000, PageDown: -30_000, PageUp: 30_000, Home: -Infinity, End: Infinity };
const SIDES = { inbound: "caller", outbound: "agent" };
const top = (track) => (track === "outbound" ? ROW + BETWEEN : 0);

export class TalkBar {
  /** `onSeek(ms)` when somebody picks a moment, by click or key. Its unit along is the millisecond. */
  constructor(onSeek) {
    this.onSeek = onSeek;
    this.items = new Map();
    this.length_ms = 1000;
    this.at_ms = 0;
    this.ground = ["inbound", "outbound"].map((track) => svg("rect", { class: "row", height: ROW, y: top(track), width: "100%" }));
    // One path for all that is settled: thousands of bars would be laid out anew whenever the call gets longer.
    this.settled = { gap: svg("path", { class: "missing" }), inbound: svg("path", { class: "caller" }), outbound: svg("path", { class: "agent" }) };
    this.growing = svg("g");
    this.overlaps = svg("path", { class: "both" });
    this.head = svg("line", { class: "head", y1: 0, y2: HEIGHT, visibility: "hidden" });
    this.drawing = svg("svg", {
      preserveAspectRatio: "none", class: "talk", tabindex: "0", role: "slider", "aria-label": "Moment of the call", "aria-valuemin": 0,
    }, ...this.ground, ...Object.values(this.settled), this.growing, this.overlaps, this.head);
    this.drawing.addEventListener("click", (click) => {
      const box = this.drawing.getBoundingClientRect();
      this.#seek(((click.clientX - box.left) / box.width) * this.length_ms);
    });
    this.drawing.addEventListener("keydown", (key) => {
      if (!(key.key in STEPS_MS)) return;
      key.preventDefault();
      this.#seek(this.at_ms + STEPS_MS[key.key]);
    });
    this.ticks = Array.from({ length: TICKS }, () => h("span"));
    this.legend = h("p", { class: "legend" });
    this.element = h("figure", { class: "panel talktime", "aria-label": "Talk time" },
      this.drawing, h("p", { class: "ticks", "aria-hidden": "true" }, ...this.ticks), this.legend);
  }

  /** A turn or a gap as Conversation tells it. */
  take(item) {
    if (item.kind !== "gap" && !(item.kind === "turn" && item.track in this.settled)) return;
    const key = `${item.key}/${item.track}`;
    const known = this.items.get(key);
    const { kind, track, start_ms, end_ms } = item;
    if (item.gone) {
      known?.bar?.remove();
      this.items.delete(key);
      return;
    }
    const bar = known?.bar ?? (item.final === false ? svg("rect", { y: top(track), height: ROW, class: SIDES[track] }) : null);
    if (bar) {
      bar.setAttribute("x", start_ms);
      bar.setAttribute("width", Math.max(1, end_ms - start_ms));
      if (!bar.isConnected) this.growing.append(bar);
    }
    this.items.set(key, { bar, kind, track, start_ms, end_ms, final: item.final !== false });
  }

  /** How long the call is by now; `speakers` of the sides for the legend. */
  draw(length_ms, speakers) {
    this.speakers = speakers;
    this.#stretch(Math.max(this.length_ms, length_ms));
    // Sums go over every turn: not for each partial of a long call.
    this.telling ??= setTimeout(() => { this.telling = null; this.#tell(); }, this.legend.hasChildNodes() ? TOLD_EVERY_MS : 0);
  }

  /** Show where in the call one is. */
  mark(ms) {
    this.at_ms = ms;
    this.head.setAttribute("x1", ms);
    this.head.setAttribute("x2", ms);
    this.head.setAttribute("visibility", "visible");
    this.drawing.setAttribute("aria-valuenow", Math.round(ms / 1000));
    this.drawing.setAttribute("aria-valuetext", `${clock(ms)} of ${clock(this.length_ms)}`);
  }

  #seek(ms) {
    const at = Math.round(Math.min(this.length_ms, Math.max(0, ms)));
    this.mark(at);
    this.onSeek(at);
  }

  #stretch(length_ms) {
    this.length_ms = length_ms;
    this.drawing.setAttribute("viewBox", `0 0 ${length_ms} ${HEIGHT}`);
    this.drawing.setAttribute("aria-valuemax", Math.round(length_ms / 1000));
    if (!this.drawing.hasAttribute("aria-valuenow")) this.drawing.setAttribute("aria-valuenow", 0);
  }

  #tell() {
    const items = [...this.items.values()];
    const { sums, overlaps } = shares(items.filter(({ kind }) => kind === "turn"), this.length_ms);
    const bars = { gap: "", inbound: "", outbound: "" };
    for (const item of items) {
      if (!item.final) continue;
      bars[item.kind === "gap" ? "gap" : item.track] += rectangle(item.start_ms, item.end_ms, top(item.track), ROW);
      item.bar?.remove();
      item.bar = null;
    }
    for (const [row, path] of Object.entries(bars)) this.settled[row].setAttribute("d", path);
    this.overlaps.setAttribute("d", overlaps.map(([from, to]) => rectangle(from, to, ROW, BETWEEN)).join(""));
    this.ticks.forEach((tick, at) => { tick.textContent = clock((this.length_ms * at) / (TICKS - 1)); });
    const told = (kind, name, ms) => h("span", { class: kind },
      h("bdi", {}, name), ` ${clock(ms)} (${Math.round((100 * ms) / this.length_ms)} %)`);
    this.legend.replaceChildren(
      told("caller", this.speakers.inbound, sums.inbound), told("agent", this.speakers.outbound, sums.outbound),
      told("both", "both at once", sums.both), told("silence", "silence", sums.silence),
      ...(bars.gap ? [h("span", { class: "missing" }, "audio missing")] : []));
  }
}

const rectangle = (from, to, y, height) => `M${from} ${y}H${Math.max(to, from + 1)}v${height}H${from}z`;

/** Milliseconds of speech a side, of both at once and of neither; and where both spoke: [[start_ms, end_ms]]. */
function shares(turns, length_ms) {
  const edges = turns.flatMap(({ track, start_ms, end_ms }) => [[start_ms, track, 1], [end_ms, track, -1]]).sort((a, b) => a[0] - b[0]);
  const open = { inbound: 0, outbound: 0 }, sums = { inbound: 0, outbound: 0, both: 0, silence: 0 }, overlaps = [];
  let at = 0;
  for (const [ms, track, step] of [...edges, [length_ms, "inbound", 0]]) {
    for (const side of ["inbound", "outbound"]) if (open[side]) sums[side] += ms - at;
    if (open.inbound && open.outbound && ms > at) {
      sums.both += ms - at;
      overlaps.push([at, ms]);
    } else if (!open.inbound && !open.outbound) sums.silence += ms - at;
    open[track] += step;
    at = ms;
  }
  return { sums, overlaps };
}
