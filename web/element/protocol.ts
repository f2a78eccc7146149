import type { CheckEvents } from "./types.js";

/** Messages between the page in a frame and the page around it, windmp/frame/v1, by
 * postMessage. Each names the schema, so that those of others are told apart. */
export const schema = "windmp/frame/v1";

/** FromFrame is what the frame tells: that it listens, its height in pixels of CSS, and the
 * events of the element in it, with their details. */
export type FromFrame =
  | { schema: typeof schema; type: "ready" }
  | { schema: typeof schema; type: "height"; detail: number }
  | { [Name in keyof CheckEvents]: { schema: typeof schema; type: Name; detail: CheckEvents[Name] } }[keyof CheckEvents];

/** ToFrame is what the frame is asked for: to judge files, as if the visitor had chosen them
 * there, to make the small dump, to give up. */
export type ToFrame =
  | { schema: typeof schema; type: "check"; detail: File[] }
  | { schema: typeof schema; type: "triage" | "cancel" | "reset" };

/** eventNames are the events that are told. */
export const eventNames = ["start", "verdict", "triage", "progress", "failed", "cancel"] as const satisfies (keyof CheckEvents)[];

/** attributes are those of the element that the frame's address may have, as parameters of
 * the same names. */
export const attributes = ["max-size", "accept", "triage", "brief"] as const;
