import english from "./texts.json";

/**
 * All that the elements and the page themselves say, in English; `translate` puts others in
 * their place. What is said of files is windmp's, as its command says it. `{name}` and the
 * like stand for what is filled in.
 */
export const texts = { ...english };

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
