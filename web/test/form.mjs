// Tries the form of examples/upload-form in a real browser: form.mjs URL FILES. FILES has a
// file that is refused, cut.vmcore, and one that is sent, crashed.vmcore; full.dmp, and
// crashed.vmcore.triage, a small dump.
import { join } from "node:path";
import { accessible } from "./axe.mjs";
import { args, check, run, shoot, watch } from "./browser.mjs";
import { choose, status } from "./site.mjs";

const [home, folder] = args;

/** send presses the form's button, and tells whether that sent it. */
async function send(page, seen) {
  const before = seen.requests.length;
  await page.click("form button");
  return seen.requests.slice(before).some((r) => r.endsWith("/tickets"));
}

/** valid tells whether the element lets the form be sent, and why not. */
const valid = (page) => page.$eval("windmp-check", (e) => (e.matches(":valid") ? "" : document.querySelector("form").checkValidity() ? "the form goes out" : "refused"));

/** keyboard walks through the form by keys alone, and ends on the form's own button. */
async function keyboard(page) {
  await page.focus("[name=what]");
  const passed = [];
  for (let i = 0; i < 12 && passed.at(-1) !== "BUTTON"; i++) {
    await page.keyboard.press("Tab");
    passed.push(await page.evaluate(() => {
      const e = document.activeElement;
      return e?.shadowRoot ? e.shadowRoot.activeElement?.id : e?.tagName;
    }));
  }
  check(passed.join() === "files,save-dump,save-json,save-page,BUTTON", "keys lead to " + passed);
}

await run(async (context) => {
  const page = await context.newPage();
  const seen = watch(page);
  await page.goto(home);
  await page.type("[name=what]", "a blue screen");
  check((await valid(page)) === "refused", "nothing was chosen: " + (await valid(page)));
  check(!(await send(page, seen)), "a form without a file was sent");

  await choose(page, join(folder, "cut.vmcore"));
  await status(page, "^cut.vmcore: FAIL$");
  check((await valid(page)) === "refused", "a verdict of FAIL: " + (await valid(page)));
  check(!(await send(page, seen)), "a file that fails was sent");
  await shoot(page, "form-refused");

  // What can't be done is said as the command says it.
  await page.$eval("windmp-check", (e) => e.setAttribute("max-size", "big"));
  await choose(page, join(folder, "crashed.vmcore"));
  await status(page, "^That did not work: max-size \"big\" is no size. What to do: For example 1GB ");
  check((await valid(page)) === "refused", "after a failure: " + (await valid(page)));
  await page.$eval("windmp-check", (e) => e.setAttribute("max-size", "1KB"));
  await choose(page, join(folder, "crashed.vmcore"));
  await status(page, "^crashed.vmcore: FAIL$");
  check((await page.$eval("windmp-check", (e) => e.verdict.reason)).includes("limit"), "larger than max-size: " + (await page.$eval("windmp-check", (e) => e.verdict.reason)));
  await page.$eval("windmp-check", (e) => e.removeAttribute("max-size"));

  await page.$eval("windmp-check", (e) => e.setAttribute("accept", "dump"));
  await choose(page, join(folder, "crashed.vmcore"));
  await status(page, "is not taken here: only dumps that debuggers open$");
  check((await valid(page)) === "refused", "a kind that is not taken: " + (await valid(page)));

  // Of a full dump a small one is made, and a small one is sent as it is.
  await choose(page, join(folder, "full.dmp"));
  await status(page, "^The small dump is made");
  check((await valid(page)) === "", "a full dump: " + (await valid(page)));
  await choose(page, join(folder, "crashed.vmcore.triage"));
  await status(page, "^crashed.vmcore.triage is a small dump already");
  check((await valid(page)) === "", "a small dump: " + (await valid(page)));

  await page.$eval("windmp-check", (e) => e.setAttribute("accept", "core"));
  await choose(page, join(folder, "crashed.vmcore"));
  await status(page, "^The small dump is made");
  check((await valid(page)) === "", "a file that is taken: " + (await valid(page)));
  await keyboard(page);
  await accessible(page, "the form");
  await shoot(page, "form");
  check(seen.console.length === 0, "console: " + seen.console);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  const answer = await page.evaluate(() => document.body.textContent);
  check(answer.startsWith("thank you"), "the server says " + answer);
  await page.close();
});
