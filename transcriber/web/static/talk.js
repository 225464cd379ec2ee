// The talk-time bar: who spoke when, one row a side; overlaps show as both rows filled, silences as none.

import { clock, h, svg } from "./dom.js";

const WIDTH = 1000, ROW = 16, GAP = 4;

export class TalkBar {
  /** `onSeek(ms)` when somebody clicks a moment. */
  constructor(onSeek) {
    this.rows = { inbound: svg("g", { class: "caller" }), outbound: svg("g", { class: "agent" }) };
    this.drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${2 * ROW + GAP}`, preserveAspectRatio: "none", class: "talk", role: "img" },
      svg("rect", { class: "row", width: WIDTH, height: ROW, y: 0 }),
      svg("rect", { class: "row", width: WIDTH, height: ROW, y: ROW + GAP }),
      this.rows.inbound,
      this.rows.outbound,
    );
    this.length_ms = 1000;
    this.drawing.addEventListener("click", (click) => {
      const box = this.drawing.getBoundingClientRect();
      onSeek(((click.clientX - box.left) / box.width) * this.length_ms);
    });
    this.ends = h("p", { class: "ends" }, h("span", {}, "0:00"), h("span"));
    this.legend = h("p", { class: "legend" });
    this.element = h("figure", { class: "talktime" }, this.drawing, this.ends, this.legend);
  }

  /** `spoken` as Conversation tells it; `names` of the sides. */
  draw(spoken, length_ms, names) {
    this.length_ms = Math.max(1000, length_ms, ...spoken.map((turn) => turn.end_ms));
    const talked = { inbound: 0, outbound: 0 };
    const bars = { inbound: [], outbound: [] };
    for (const { track, start_ms, end_ms } of spoken) {
      if (!(track in bars)) continue;
      talked[track] += end_ms - start_ms;
      const x = (start_ms / this.length_ms) * WIDTH;
      const width = Math.max(2, ((end_ms - start_ms) / this.length_ms) * WIDTH);
      const y = track === "inbound" ? 0 : ROW + GAP;
      bars[track].push(svg("rect", { x: x.toFixed(1), y, width: width.toFixed(1), height: ROW, rx: 2 }));
    }
    for (const track of Object.keys(bars)) this.rows[track].replaceChildren(...bars[track]);
    this.ends.lastElementChild.textContent = clock(this.length_ms);
    const share = (track) => `${clock(talked[track])} (${Math.round((100 * talked[track]) / this.length_ms)} %)`;
    const told = ["inbound", "outbound"].map((track) => `${names[track]} ${share(track)}`);
    this.legend.replaceChildren(
      h("span", { class: "caller" }, told[0]),
      h("span", { class: "agent" }, told[1]),
    );
    this.drawing.setAttribute("aria-label", `Talk time: ${told.join(", ")}`);
  }
}
