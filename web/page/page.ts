// The page around the element: its texts, files that are dropped anywhere on it, and what
// it is in a frame.
import type { WindmpCheck } from "../element/check.js";
import { frameParent, serveFrame } from "../element/framed.js";
import "../element/index.js";
import { type Key, text } from "../element/texts.js";

const check = document.querySelector("windmp-check") as WindmpCheck;
const head = document.querySelector("header") as HTMLElement;

document.title = "windmp: " + text("title");
for (const e of document.querySelectorAll<HTMLElement>("[data-text]")) {
  e.textContent = text(e.dataset.text as Key);
}

document.addEventListener("dragover", (e) => e.preventDefault());
document.addEventListener("drop", (e) => {
  if (!e.defaultPrevented && e.dataTransfer?.files.length) { // the element takes its own
    e.preventDefault();
    void check.check(Array.from(e.dataTransfer.files));
  }
});

try {
  const parent = frameParent();
  if (parent !== null) {
    head.hidden = true;
    document.documentElement.classList.add("framed");
    serveFrame(check, parent);
  }
} catch (e) {
  check.replaceWith((e as Error).message);
}
