// How a call gets here: what to put where at Twilio, with this server's own address.

import { h } from "./dom.js";

/** The view at #/connect. */
export function connect({ server, setTitle }) {
  setTitle("Connect a call");
  return { nodes: [h("section", { class: "connect" },
    h("h1", { tabindex: "-1" }, "Connect a call"), ...ways(server, "h2"), model(server))] };
}

/** The ways to attach a call, each with something to copy. */
export function ways(server, heading) {
  const base = server.public_url || `https://${location.host}${location.pathname.replace(/\/$/, "")}`;
  const http = base.replace(/^ws/, "http"), media = `${base.replace(/^http/, "ws")}/v1/media`;
  const twiml = [
    "<Response>", "  <Start>",
    '    <Stream track="both_tracks"', `      url="${media}"`, `      statusCallback="${http}/v1/stream-status"/>`,
    "  </Start>", "  <Dial>+15550100</Dial>", "</Response>",
  ].join("\n");
  return [
    server.public_url ? null : h("p", { class: "hint warn" },
      "No public address is set, so this page's stands in its place. Twilio dials wss only: set ", h("code", {}, "TRANSCRIBER_PUBLIC_URL"), " to where it reaches this server."),
    way(heading, "A number's calls", "As the number's voice webhook (POST) at Twilio:", `${http}/v1/twiml`),
    way(heading, "Your own TwiML", "Put the stream before what you do with the call anyway:", twiml),
    way(heading, "A call in progress", "With the account's SID and auth token set:", "transcriber attach CALL_SID"),
  ];
}

export function model(server) {
  if (!server.demo) return h("p", { class: "hint" }, `Model ${server.model} (${server.language}).`);
  return h("p", { class: "hint" }, `The model ${server.model} is a demo: it knows about 2,250 words. For real calls get an official one: `,
    h("code", {}, `transcriber models pull ${server.language.split("-")[0]}`));
}

function way(heading, title, told, text) {
  const code = h("code", {}, text);
  const copy = h("button", { type: "button", "aria-label": `Copy: ${title}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 3000);
  } }, "Copy");
  return h("div", { class: "way" }, h("header", {}, h("div", {}, h(heading, {}, title), h("p", {}, told)), copy),
    h("pre", { tabindex: "0", "aria-label": title, role: "group" }, code));
}
