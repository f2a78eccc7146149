import type { WindmpCheck } from "./check.js";
import { attributes, eventNames, type FromFrame, schema, type ToFrame } from "./protocol.js";
import { text } from "./texts.js";

/** frameParent is the origin that the frame's address names as the one around it, null if
 * this is no frame. An origin is scheme, host and port, and never a pattern. */
export function frameParent(): string | null {
  const parent = new URLSearchParams(location.search).get("parent");
  if (parent === null || window.parent === window) {
    return null;
  }
  let origin = "";
  try {
    origin = new URL(parent).origin;
  } catch {
    // it is no address at all
  }
  if (origin !== parent || origin === "null") {
    throw new Error(text("frameOrigin", { parent }));
  }
  return parent;
}

/**
 * serveFrame has an element tell the page around its frame what happens. What it tells goes
 * to that origin alone: the browser drops what would reach another. It listens to that
 * origin alone, too, and to no other window of it.
 */
export function serveFrame(element: WindmpCheck, parent: string): void {
  configure(element);
  const tell = (message: FromFrame) => window.parent.postMessage(message, parent);
  for (const type of eventNames) {
    element.addEventListener(type, (e) => tell({ schema, type, detail: (e as CustomEvent).detail }));
  }
  window.addEventListener("message", (e: MessageEvent<ToFrame>) => {
    if (e.origin === parent && e.source === window.parent && e.data?.schema === schema) {
      obey(element, e.data);
    }
  });
  new ResizeObserver(() => tell({ schema, type: "height", detail: Math.ceil(document.documentElement.getBoundingClientRect().height) })).observe(document.documentElement);
  tell({ schema, type: "ready" });
}

/** configure gives the element the attributes that the frame's address has. */
function configure(element: WindmpCheck): void {
  const parameters = new URLSearchParams(location.search);
  for (const name of attributes) {
    const value = parameters.get(name);
    if (value !== null) {
      element.setAttribute(name, value);
    }
  }
}

function obey(element: WindmpCheck, message: ToFrame): void {
  switch (message.type) {
    case "check":
      void element.check(message.detail);
      break;
    case "triage":
      void element.makeTriage();
      break;
    case "cancel":
      element.cancel();
      break;
    case "reset":
      element.reset();
      break;
  }
}
