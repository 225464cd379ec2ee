// Talking to the server: JSON, files and Server-Sent Events, with the API key where one is needed.

const KEY = "transcriber-key";
let askForKey = async () => "";

/** Whoever can ask a person for the key. It is called again until the server takes what it returns. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The key in the page's address (`#key=…`, which browsers send nowhere): kept, and taken out of the address. */
export function takeKey() {
  const given = /^#key=([^&]+)$/.exec(location.hash)?.[1];
  if (!given) return;
  try {
    sessionStorage.setItem(KEY, decodeURIComponent(given));
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
  }
  history.replaceState(null, "", "#/");
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}`, ...more } : more;
}

let asking = null;

async function newKey(why) {
  // Several requests may be refused at once: one dialog for all of them.
  asking ??= askForKey(why).finally(() => { asking = null; });
  sessionStorage.setItem(KEY, await asking);
}

/** The response to a request that was granted. Throws Refused with the server's words, TypeError without a server. */
export async function request(path, options = {}) {
  for (let tried = false; ; tried = true) {
    const used = sessionStorage.getItem(KEY);
    const response = await fetch(path, { cache: "no-cache", ...options, headers: headers(options.headers) });
    if (response.ok) return response;
    if (response.status === 401) {
      if (used === sessionStorage.getItem(KEY)) await newKey(tried || used ? "The server does not take this key." : "");
      continue;
    }
    let error = {};
    try {
      error = (await response.json()).error ?? {};
    } catch { /* an answer in another shape: the status says enough */ }
    throw new Refused(response.status, error.code ?? "", error.message ?? `the server answers ${response.status}`);
  }
}

export async function json(path, options) {
  return (await request(path, options)).json();
}

/** Save what a path answers as a file; a plain link could not carry the key. */
export async function save(path, name) {
  const blob = await (await request(path)).blob();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const SHORTEST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 15_000;

/**
 * Follow Server-Sent Events until `signal` is aborted, or the server has ended the answer and `isOver()` agrees.
 * A lost connection is taken up again behind the last event seen. `onEvent(data)` gets parsed JSON, `onState(open)`
 * whether the line is open. EventSource cannot send a key, hence by hand.
 */
export async function follow(path, { signal, onEvent, onState = () => {}, isOver = () => false }) {
  let last = "", pause = SHORTEST_PAUSE_MS;
  while (!signal.aborted) {
    try {
      const more = last ? { "Last-Event-ID": last } : {};
      const response = await request(path, { signal, headers: { Accept: "text/event-stream", ...more } });
      onState(true);
      pause = SHORTEST_PAUSE_MS;
      for await (const message of messages(response.body)) {
        if (message.id) last = message.id;
        onEvent(JSON.parse(message.data));
      }
      if (await isOver()) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status < 500) throw error;
    }
    if (signal.aborted) return;
    onState(false);
    await new Promise((done) => { setTimeout(done, pause * (0.7 + 0.6 * Math.random())); });
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", id = "", data = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) yield { id, data: data.join("\n") };
        id = "";
        data = [];
      } else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
      else if (line.startsWith("id:")) id = line.slice(3).trim();
    }
  }
}
