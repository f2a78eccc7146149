// Tries what becomes of the element on pages of others: taken out and put back, two on a
// page, attributes that change, files that change, and a windmp that breaks:
// element.mjs PACKAGE FILES. FILES has crashed.vmcore, full.dmp and cut.vmcore.
import { copyFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { args, check, run, watch } from "./browser.mjs";
import { choose, said, serve, status, within } from "./site.mjs";

const [elements, folder] = args;
const input = (file) => join(folder, file);
const page = (html) => ({ html: `<!DOCTYPE html><html lang="en"><title>element</title><link rel="icon" href="data:,"><script type="module" src="windmp-check.js"></script>${html}</html>` });
const server = await serve(elements, {
  "/one.html": page(`<form><windmp-check></windmp-check></form><aside></aside>`),
  "/two.html": page(`<windmp-check id="a" accept="dump"></windmp-check><windmp-check id="b" accept="core"></windmp-check>`),
});

/** hear keeps the events of elements, by their names. */
const hear = () => {
  window.events = [];
  for (const type of ["start", "verdict", "triage", "failed", "cancel"]) {
    document.addEventListener(type, (e) => window.events.push(type));
    document.querySelector("windmp-check").addEventListener(type, (e) => e.bubbles && !e.target.isConnected && window.events.push(type)); // which nobody else hears
  }
};
const events = (page) => page.evaluate(() => window.events.splice(0).join());

/** sent is what the form would send, and why it can't be sent. */
const sent = (page) => page.evaluate(() => {
  const form = document.querySelector("form");
  return Array.from(new FormData(form).keys()).join() + (form.checkValidity() ? "" : " refused");
});
const element = (page, f, ...args) => page.$eval("windmp-check", f, ...args);

async function lives(page) {
  await page.goto(server.home + "one.html");
  await page.evaluate(hear);
  check((await sent(page)) === "", "nothing is chosen, and nothing required");
  await element(page, (e) => { e.required = true; e.setAttribute("required", ""); });
  check((await sent(page)) === " refused", "required is an attribute that can come later");
  await element(page, (e) => e.cancel());
  check((await said(page)) === "" && (await events(page)) === "", "nothing is done, and nothing cancelled");

  await choose(page, input("crashed.vmcore"));
  await status(page, "^crashed.vmcore: OK$");
  await element(page, (e) => e.setAttribute("name", "late"));
  check((await sent(page)) === "late-decision,late-report", "a name that comes later: " + (await sent(page)));
  check((await events(page)) === "start,verdict", "events of a check");

  // Moved on the page, it keeps what it said; taken out while it works, it gives up.
  await element(page, (e) => document.querySelector("form").prepend(e));
  check((await sent(page)) === "late-decision,late-report" && (await said(page)) === "crashed.vmcore: OK", "moved: " + (await sent(page)));
  await element(page, (e) => { void e.makeTriage(); window.gone = e; e.remove(); });
  check((await events(page)) === "start,cancel", "taken out while it works");
  await page.evaluate(() => document.querySelector("form").append(window.gone));
  check((await page.$eval(within("#running"), (e) => e.hidden)) && (await said(page)).startsWith("Cancelled"), "put back: " + (await said(page)));
  await element(page, (e) => void e.makeTriage());
  await status(page, "^The small dump is made");
  check((await sent(page)) === "late-decision,late-report,late", "it works again: " + (await sent(page)));

  // What is chosen while something is done takes its place.
  await events(page);
  const both = await element(page, async (e) => {
    const first = e.check([new File(["first"], "first.txt")]);
    const second = e.check([new File(["second"], "second.txt")]);
    return [await first, (await second)?.files[0].name];
  });
  check(both[0] === null && both[1] === "second.txt" && (await events(page)) === "start,start,verdict", "a second drop: " + JSON.stringify(both));
}

/** dropped drops something that the page is told is a folder. */
async function dropped(page) {
  await element(page, (e) => {
    const drop = new DragEvent("drop", { bubbles: true, cancelable: true });
    Object.defineProperty(drop, "dataTransfer", { value: { files: [new File([], "dumps")], items: [{ webkitGetAsEntry: () => ({ isDirectory: true, name: "dumps" }) }] } });
    e.dispatchEvent(drop);
  });
  await status(page, "^That did not work: dumps is a folder: choose the files in it\\.$");
  check((await events(page)) === "start,failed" && (await sent(page)) === " refused", "a folder: " + (await sent(page)));
  const twice = await element(page, async (e) => {
    const file = () => new File(["the same"], "same.txt");
    const v = await e.check([file(), file()]);
    return v.files.map((f) => f.name + " " + f.verdict).join();
  });
  check(twice === "same.txt FAIL,same.txt FAIL", "the same file twice: " + twice);
}

/** changes has files change, and go, behind the browser's back. */
async function changes(page) {
  copyFileSync(input("crashed.vmcore"), input("changing.vmcore"));
  utimesSync(input("changing.vmcore"), 0, 0); // long ago: browsers look at the time of a file, some at whole seconds
  await choose(page, input("changing.vmcore"));
  await status(page, "^changing.vmcore: OK$");
  writeFileSync(input("changing.vmcore"), "something else");
  await element(page, (e) => void e.makeTriage());
  await status(page, "^That did not work: changing.vmcore: the file can't be read: .*; choose it again\\.$");
  rmSync(input("changing.vmcore"));
  await element(page, (e) => void e.check([e.shadowRoot.getElementById("files").files[0]]));
  await status(page, "^changing.vmcore: UNKNOWN$");
  const reason = await element(page, (e) => e.verdict.reason);
  check(reason.endsWith("; choose it again"), "a file that is gone: " + reason);
}

/** breaks has windmp break off, and go on: with what is no file it ends as it would without
 * memory, and its console has what Go says then. */
async function breaks(page, seen) {
  await choose(page, input("full.dmp"));
  await status(page, "^full.dmp: ");
  check(seen.console.length === 0, "console: " + seen.console);
  check((await element(page, (e) => e.check([{ name: "broken", size: 1 << 20 }]))) === null, "windmp breaks off");
  check((await said(page)).startsWith("That did not work: windmp broke off"), "windmp breaks off: " + (await said(page)));
  await choose(page, input("crashed.vmcore"));
  await status(page, "^crashed.vmcore: OK$");
  seen.console.length = 0;
}

async function pair(page) {
  await page.goto(server.home + "two.html");
  await page.waitForFunction(() => customElements.get("windmp-check"));
  const said = await page.evaluate(async () => {
    const [a, b] = document.querySelectorAll("windmp-check");
    const [x, y] = await Promise.all([a.check([new File(["a"], "a")]), b.check([new File(["b"], "b")])]);
    return [x.files[0].name, y.files[0].name, a.verdict === x, b.verdict === y].join();
  });
  check(said === "a,b,true,true", "two elements do not mind each other: " + said);
}

await run(async (context) => {
  const page = await context.newPage();
  const seen = watch(page);
  await lives(page);
  await dropped(page);
  await changes(page);
  await breaks(page, seen);
  await pair(page);
  check(seen.console.length === 0, "console: " + seen.console);
  await page.close();
});
server.close();
