// Making elements. Everything that comes from a call is set as text, never as HTML.

/** h("p", {class: "x", onclick: f}, "text", node): an element; null children are left out. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** 75_400 -> 1:15, 3_700_000 -> 1:01:40. */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${hours ? two(Math.floor(seconds / 60) % 60) : Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function moment(at) {
  return h("time", { datetime: at }, MOMENT.format(new Date(at)));
}

export const counted = (number, noun) => `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;

/** The address of a call, or of a moment in it. */
export const callLink = (sid, ms) => `#/calls/${encodeURIComponent(sid)}${ms == null ? "" : `?t=${ms}`}`;

/** Who speaks, from {inbound: "Ada", outbound: "Desk"}. A bdi keeps names of either direction apart from what follows. */
export function names(speakers) {
  const known = Object.values(speakers).filter(Boolean);
  return known.length ? known.flatMap((name, at) => [at ? " and " : "", h("bdi", {}, name)]) : ["A call"];
}

export const speakersOf = (call) => Object.fromEntries(Object.entries(call.tracks).map(([track, { speaker }]) => [track, speaker]));

/** What a view shows in place of what could not be had. */
export function problem(title, text, ...ways) {
  return h("section", { class: "panel problem" },
    h("h1", { tabindex: "-1" }, title), h("p", {}, text), h("p", { class: "buttons" }, ...ways));
}

/** Keeps a scrolling box at its end for as long as its reader is there. To be called after something was added. */
export function endKeeper(box) {
  let atEnd = true;
  const settle = () => { if (atEnd) box.scrollTop = box.scrollHeight; };
  box.addEventListener("scroll", () => { atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48; });
  new ResizeObserver(settle).observe(box);
  return settle;
}
