// One call: its conversation as it grows or as it was, talk time, exports, deletion.

import { follow, json, request, save } from "./api.js";
import { Conversation } from "./conversation.js";
import { clock, h, moment } from "./dom.js";
import { TalkBar } from "./talk.js";

const FORMATS = ["json", "txt", "vtt", "srt", "csv"];

export function call({ sid, at_ms, signal, say, notice, setState, confirm }) {
  const path = `v1/calls/${encodeURIComponent(sid)}`;
  const facts = h("p", { class: "facts" });
  const badge = h("span", { class: "badge" });
  const timer = h("span", { class: "timer" });
  const problem = h("p", { class: "error", role: "alert" });
  const empty = h("p", { class: "empty" }, "Nothing was said yet.");
  const talk = new TalkBar((ms) => seek(ms));
  let summary = null, drawing = 0, sought = at_ms == null;

  const conversation = new Conversation({
    sid,
    linked: true,
    onFinal: (final) => { if (summary?.status === "live") say(`${final.speaker}: ${final.text}`); },
    onChange: () => {
      empty.hidden = true;
      drawing ||= requestAnimationFrame(() => { drawing = 0; draw(); });
    },
  });

  function draw() {
    if (!summary) return;
    const length = summary.duration_ms ?? Date.now() - summary.started_at_ms;
    const name = (track) => summary.tracks[track]?.speaker || (track === "outbound" ? "agent" : "caller");
    talk.draw(conversation.spoken(), length, { inbound: name("inbound"), outbound: name("outbound") });
    timer.textContent = clock(length);
    if (!sought && conversation.end_ms >= at_ms) { sought = true; seek(at_ms); }
  }

  function seek(ms) {
    let found = null;
    for (const turn of conversation.element.children) if (Number(turn.dataset.at) <= ms) found = turn;
    found ??= conversation.element.firstElementChild;
    if (!found) return;
    conversation.element.querySelector(".sought")?.classList.remove("sought");
    found.classList.add("sought");
    found.scrollIntoView({ block: "center" });
  }

  async function refresh() {
    summary = await json(path);
    badge.textContent = summary.status;
    badge.className = `badge ${summary.status}`;
    facts.replaceChildren(moment(summary.started_at), ` · ${summary.words} words · model ${summary.model} (${summary.language})`,
      ...Object.entries(summary.parameters).map(([name, value]) => h("span", { class: "parameter" }, `${name}: ${value}`)));
    remove.disabled = summary.status === "live";
    remove.title = summary.status === "live" ? "A live call cannot be deleted; it can be when it has ended." : "";
    draw();
  }

  const remove = h("button", { type: "button", class: "danger", disabled: true, onclick: async () => {
    if (!(await confirm(`${sid}: its transcript and everything else of it will be gone.`))) return;
    try {
      await request(path, { method: "DELETE" });
      location.hash = "#/";
    } catch (error) {
      notice(error);
    }
  } }, "Delete");
  const exports = FORMATS.map((format) => h("button", {
    type: "button",
    onclick: () => save(`${path}/transcript?format=${format}`, `${sid}.${format}`).catch(notice),
  }, format));

  const events = () => follow(`${path}/events`, {
    signal,
    onEvent: (event) => {
      conversation.take(event);
      if (event.type === "call.ended") refresh().catch(notice);
    },
    onState: (open) => { if (!summary || summary.status === "live") setState(open); },
    ends: (event) => event.type === "call.ended",
  });
  refresh().then(events).catch((error) => { problem.textContent = error.message; empty.hidden = true; });
  const ticking = setInterval(() => { if (summary?.status === "live") draw(); }, 1000);
  signal.addEventListener("abort", () => clearInterval(ticking));

  return [h("section", { class: "onecall", "aria-labelledby": "call-title" },
    h("p", {}, h("a", { href: "#/" }, "← all calls")),
    h("header", {}, h("h1", { id: "call-title" }, sid), badge, timer),
    facts, problem, talk.element,
    h("p", { class: "buttons" }, h("span", { class: "label" }, "Export"), ...exports, h("span", { class: "gap" }), remove),
    empty, conversation.element)];
}
