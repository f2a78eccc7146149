/**
 * All that the elements and the page themselves say, in English; `translate` puts others in
 * their place. What is said of files is windmp's, as its command says it. `{name}` and the
 * like stand for what is filled in.
 */
export const texts = {
  title: "Check a dump before you send it",
  promise: "The file is judged by your browser, where it lies. Nothing is uploaded: this page may not connect to anything.",
  choose: "Memory images and dumps of Windows, of any size",
  dropHint: "Choose files, or drop them here. What lies in two files, such as a .vmem with its .vmsn, is chosen together.",
  progress: "Progress",
  cancel: "Cancel",
  triage: "Make a small dump",
  saveDump: "Save the small dump",
  saveJSON: "Save the JSON document",
  savePage: "Save this report",
  reading: "Reading {name} …",
  readingMany: "Reading {count} files …",
  making: "Making a small dump of {name} …",
  verdict: "{name}: {verdict}",
  verdictMany: "{count} files: {verdict}",
  kindRefused: "{name} is not taken here: only {kinds}",
  core: "memory images that windmp converts",
  dump: "dumps that debuggers open",
  made: "The small dump is made: {size}.",
  madeMany: "{count} small dumps are made: {size}.",
  asItIs: "{name} is a small dump already.",
  cancelled: "Cancelled. Nothing was changed.",
  failed: "That did not work: {error}.",
  hint: "What to do: {hint}",
  noDump: "There is no small dump to be made of these files",
  needed: "Choose a memory image or a dump.",
  wait: "Wait until the file is judged.",
  refused: "This file is not taken: {reason}.",
  unsupported: "This browser has no WebAssembly, or may not use it here.",
  frame: "Check a dump",
  frameOrigin: "The page around this one names no origin that may hear of a verdict: {parent}",
};

/** Key is the name of a text. */
export type Key = keyof typeof texts;

const labelled = new Set<() => void>();

/** translate puts these texts in the place of those that there are, on elements that are on
 * the page already, too; but for what they have said. */
export function translate(translation: Partial<Record<Key, string>>): void {
  Object.assign(texts, translation);
  labelled.forEach((label) => label());
}

/** whileLabelled has texts put in, now and when they change, until what it returns is
 * called. */
export function whileLabelled(label: () => void): () => void {
  labelled.add(label);
  label();
  return () => labelled.delete(label);
}

/** text fills a text in. */
export function text(name: Key, values: Record<string, string | number> = {}): string {
  return texts[name].replace(/\{(\w+)\}/g, (whole, key: string) => String(values[key] ?? whole));
}
