// What axe says of a page. It is run in the page's world from outside, which no policy of
// the page forbids.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { check } from "./browser.mjs";

const source = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

/** accessible checks that axe finds nothing. */
export async function accessible(page, what) {
  await page.evaluate(source);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const v of found.violations) {
    check(false, what + ": axe: " + v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200)).join(" | "));
  }
}
