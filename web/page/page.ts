// The page around the element: files that are dropped anywhere on it, and what
// it is in a frame.
import type { WindmpCheck } from "../element/check.js";
import { frameParent, serveFrame } from "../element/framed.js";
import "../element/index.js";

const check = document.querySelector("windmp-check") as WindmpCheck;
const head = document.querySelector("header") as HTMLElement;

document.addEventListener("dragover", (e) => e.preventDefault());
document.addEventListener("drop", (e) => {
  if (!e.defaultPrevented) { // the element takes its own
    e.preventDefault();
    check.drop(e.dataTransfer);
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
