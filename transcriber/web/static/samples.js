// A bundled call, dialled to this server as Twilio does: which one, and the button.

import { json } from "./api.js";
import { h } from "./dom.js";

export function samplePlayer(server, notice) {
  const title = (name) => name.replace(/^\d+_/, "").replaceAll("_", " ");
  const choice = h("select", { "aria-label": "Sample call" }, ...server.sample_calls.map((name) => h("option", { value: name }, title(name))));
  const play = h("button", { type: "button", class: "primary", onclick: async () => {
    if (play.ariaBusy === "true") return; // stays focusable, hence not disabled
    play.ariaBusy = "true";
    try {
      await json("v1/sample-calls", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: choice.value }) });
    } catch (error) {
      notice(error);
    }
    play.ariaBusy = "false";
  } }, "Play a sample call");
  return h("div", { class: "buttons samples" }, choice, play);
}
