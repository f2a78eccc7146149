import { WindmpCheck } from "./check.js";
import { WindmpCheckFrame } from "./host.js";

export { texts, translate } from "./texts.js";
export type * from "./types.js";
export { WindmpCheck, WindmpCheckFrame };

for (const [name, element] of [["windmp-check", WindmpCheck], ["windmp-check-frame", WindmpCheckFrame]] as const) {
  if (!customElements.get(name)) {
    customElements.define(name, element);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    "windmp-check": WindmpCheck;
    "windmp-check-frame": WindmpCheckFrame;
  }
}
