// The first view: live calls with their captions, or how to get one; and the history.

import { follow } from "./api.js";
import { model, ways } from "./connect.js";
import { h } from "./dom.js";
import { History } from "./history.js";
import { LiveCalls } from "./live.js";
import { samplePlayer } from "./samples.js";

export async function home({ server, query, signal, say, notice, setState, setTitle }) {
  setTitle("");
  const history = new History(notice);
  const idle = h("div", { class: "idle" });
  const controls = maySample(server) ? samplePlayer(server, notice) : null;
  const live = new LiveCalls({ say, idle, controls });
  // Shown whole, so that nothing that comes late pushes aside what is being read.
  await Promise.all([live.load(), history.show(query)].map((loading) => loading.catch(notice)));
  idle.append(...(history.calls === 0 && query.size === 0 ? firstSteps(server) : [nothingLive(server)]));
  follow("v1/events", {
    signal,
    onEvent: (event) => {
      live.take(event);
      if (event.type === "call.ended" || event.type === "call.started") history.refreshSoon();
    },
    onState: (open) => {
      setState(open);
      if (open) live.load().catch(notice);
    },
  }).catch(notice);
  const ticking = setInterval(() => live.tick(), 1000);
  signal.addEventListener("abort", () => { clearInterval(ticking); history.stop(); });
  return { nodes: [live.element, history.element], moved: (next) => history.show(next).catch(notice) };
}

/** For somebody who has no call yet. */
function firstSteps(server) {
  return [
    h("div", { class: "panel" }, h("h2", {}, "See it work"),
      maySample(server)
        ? h("p", {}, "Play a sample call: it is dialled to this server as Twilio does, in real time, and captioned here word by word. Then ", connectLink(), ".")
        : h("p", {}, "Captions appear here word by word as soon as a call begins."),
      h("h3", {}, "How to read captions"), legend(), model(server)),
    h("div", { class: "panel ways" }, h("h2", {}, "Then connect a call of your own"), ...ways(server, "h3").slice(0, -1)),
  ];
}

function nothingLive(server) {
  return h("div", { class: "panel quiet" }, h("h2", {}, "No call is live"),
    h("p", {}, "Captions appear here word by word as soon as one begins: ", maySample(server) ? "play a sample call, or " : null, connectLink(), "."),
    legend(), model(server));
}

/** What this key may not do is not offered. */
const maySample = (server) => server.roles.includes("admin");

const connectLink = () => h("a", { href: "#/connect" }, "connect one of your own");

function legend() {
  const line = (shown, told) => h("div", {}, h("dt", {}, shown), h("dd", {}, told));
  return h("dl", { class: "reading" },
    line("my number is", "settled, these words stay"),
    line(h("span", { class: "volatile" }, "four two"), "still being heard"),
    line(h("span", { class: "unsure" }, "mitchell"), "the model is unsure of this word"),
    line(h("span", { class: "sure" }, "93 %"), "confidence in the whole sentence"));
}
