// Tries the page that judges dumps in a real browser: page.mjs SITE FILES. FILES has
// inputs, and for each what is expected of it: NAME.verdict, and NAME.triage for the small
// dump that the command makes of it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { accessible } from "./axe.mjs";
import { args, check, log, name, run, shoot, watch } from "./browser.mjs";
import * as leaks from "./leaks.mjs";
import * as element from "./site.mjs";
import { press, said, serve, status, within } from "./site.mjs";

const [site, folder] = args;
const server = await serve(site);
const { home, asked } = server;

/** choose gives files of the folder to the page. */
const choose = (page, ...files) => element.choose(page, ...files.map((f) => join(folder, f)));

/** exactly is a regular expression of a text. */
const exactly = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** forged are names within files that are shown as they are. */
const forged = {
  "module.vmcore": ["</script><img src=x onerror=alert(1)><script>alert(2)</script>"],
  "process.dmp": ["<img src=x>"],
};

/** harmless says that nothing of a report is what a file wrote into it, and that its links
 * lead into itself. It runs in the page. */
const harmless = () => {
  const report = document.querySelector("windmp-check").shadowRoot.getElementById("report");
  return !report.querySelector("script, img, iframe, object, form, base, meta, link") &&
    Array.from(report.querySelectorAll("*")).every((e) => Array.from(e.attributes).every((a) => !a.name.startsWith("on") && (a.name !== "href" || a.value.startsWith("#"))));
};

/** timed has the page keep how long a check takes: from where it begins, when a file was
 * chosen, until the report is about to be seen. */
const timed = () => document.addEventListener("start", ({ target }) => {
  const began = performance.now();
  window.took = 0;
  target.addEventListener("verdict", () => requestAnimationFrame(() => { window.took = Math.ceil(performance.now() - began); }), { once: true });
});

/** took is how long the last check took, in milliseconds. */
const took = async (page) => (await page.waitForFunction(() => window.took)).jsonValue();

/** unscripted is the page in a browser that runs no scripts. */
async function unscripted(context) {
  const page = await context.newPage();
  await page.setJavaScriptEnabled(false);
  await page.goto(home);
  const { noScript, pageTitle } = JSON.parse(readFileSync(new URL("../element/texts.json", import.meta.url), "utf8"));
  check((await page.$eval("noscript", (e) => e.innerText)) === noScript && (await page.title()) === pageTitle, "without scripts it says so: " + (await page.content()).slice(-400));
  await page.close();
}

/** documented compares what the page says of files with the document of the command. */
async function documented(page, file) {
  const want = JSON.parse(readFileSync(join(folder, file + ".check"), "utf8"));
  const got = JSON.parse(await page.evaluate(() => document.querySelector("windmp-check").verdict.json));
  check(got.verdict === want.verdict && isDeepStrictEqual(got.files, want.files), file + ": the document is the command's: " + JSON.stringify(got.files) + ", want " + JSON.stringify(want.files));
}

/** outside are the ways out that no policy closes (docs/web.md), for a script that the page
 * does not have. */
const outside = ["WebRTC", "link", "location", "refresh", "window"];

/** closed checks that nothing gets out of the page, nor of its worker: with the same ways a
 * page without a policy reaches the server that listens. */
async function closed(context, page) {
  const listener = await leaks.listen();
  const rtc = await page.evaluate(leaks.fromWorker, listener.home);
  check(rtc === "undefined", "WebRTC in the worker: " + rtc);

  const open = await leaks.tried(context);
  const shut = leaks.ways.filter((way) => !open.went.includes(way));
  check(shut.length === 0, "without a policy all is open, but not: " + shut);
  const { went } = await leaks.tried(context, home, outside, open.took);
  check(went.join() === outside.join(), "ways out of the page: " + went + ", those that are known: " + outside);
  await page.bringToFront();

  check(listener.heard.size === 0, "ways out of the worker: " + Array.from(listener.heard));
  listener.close();
  const script = readFileSync(join(site, "index.html"), "utf8");
  check(!/RTCPeerConnection|window\.open|http-equiv="?refresh|location\.(href|assign|replace)|preconnect|dns-prefetch/i.test(script), "the page has a script for a way out");
}

await run(async (context) => {
  const page = await context.newPage();
  const seen = watch(page);
  await page.evaluateOnNewDocument(leaks.hear);
  await page.setViewport({ width: 1100, height: 900 });
  const began = Date.now();
  await page.goto(home);
  await page.evaluate(timed);
  const inputs = readdirSync(folder).filter((f) => existsSync(join(folder, f + ".verdict")));
  let first = true;
  for (const file of inputs) {
    const want = readFileSync(join(folder, file + ".verdict"), "utf8").trim();
    await choose(page, file);
    await status(page, "^" + exactly(file) + ": ");
    check((await said(page)) === file + ": " + want, "verdict: " + (await said(page)) + ", want " + want);
    log(file + ": " + want + " after " + (first ? Date.now() - began : await took(page)) + " ms" + (first ? ", with the start" : ""));
    first = false;
    check((await page.$eval(within("#report .word"), (e) => e.textContent)).includes(want), file + ": the report is there");
    check(await page.evaluate(harmless), file + ": what it says is shown as text, and no link leads out");
    for (const text of forged[file] ?? []) {
      check(await page.$eval(within("#report"), (e, t) => e.textContent.includes(t), text), file + ": " + text + " is shown");
    }
    await shoot(page, "page-" + (file.startsWith("long-") || file.startsWith("many") ? file.slice(0, 4) : want));
  }

  // The small dump is the command's, byte for byte.
  const source = inputs.find((f) => existsSync(join(folder, f + ".triage")));
  await choose(page, source);
  await status(page, "^" + exactly(source) + ": ");
  await page.evaluate(() => {
    window.saved = [];
    const url = URL.createObjectURL;
    URL.createObjectURL = (blob) => { // what is saved is kept here, and no file is left
      if (blob.type === "text/javascript") {
        return url.call(URL, blob);
      }
      window.saved.push(blob);
      return "#";
    };
  });
  await press(page, "triage");
  await status(page, "^The small dump is made");
  await press(page, "save-dump");
  const made = Buffer.from(await page.evaluate(async () => {
    const b = new Uint8Array(await window.saved[0].arrayBuffer());
    let s = "";
    for (let i = 0; i < b.length; i += 0x8000) {
      s += String.fromCharCode(...b.subarray(i, i + 0x8000));
    }
    return btoa(s);
  }), "base64");
  check(made.equals(readFileSync(join(folder, source + ".triage"))), "the small dump is the command's: " + made.length + " bytes");
  await press(page, "save-json");
  const doc = JSON.parse(await page.evaluate(() => window.saved[1].text()));
  check(doc.schema === "windmp/convert/v1" && doc.output.triage, "the JSON document is saved");
  await shoot(page, "page-triage");

  // Links within the report lead to its parts, which lie in the element's own tree.
  await page.focus(within("#save-page"));
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  check(await page.evaluate(() => document.querySelector("windmp-check").shadowRoot.activeElement?.tagName === "SECTION"), "a link of the report leads into it, by keys alone");

  // Memory and its state are chosen together; alone it is less.
  await choose(page, "saved.vmem", "saved.vmsn");
  await status(page, "^2 files: ");
  await documented(page, "saved.vmem");

  // Several files at once.
  await choose(page, ...inputs.slice(0, 2));
  await status(page, "^2 files: ");
  check(seen.console.length === 0, "console: " + seen.console);
  await accessible(page, "the page");

  check(asked.every((a) => a === "GET /"), "the server was asked for more than the page: " + asked);
  await closed(context, page);

  // Cancel, and go on.
  await choose(page, source);
  await press(page, "cancel");
  await status(page, "^(Cancelled|" + source + ")");
  await choose(page, inputs[0]);
  await status(page, "^" + exactly(inputs[0]) + ": ");

  // On a page from right to left its sentences keep the order of their language.
  await page.evaluate(() => { document.body.dir = "rtl"; });
  const order = await page.evaluate(() => {
    const { shadowRoot } = document.querySelector("windmp-check");
    return ["label", ".note", "#triage", "#report > *"].map((s) => getComputedStyle(shadowRoot.querySelector(s)).direction).join();
  });
  check(order === "ltr,ltr,ltr,ltr", "English on a page from right to left: " + order);
  await page.evaluate(() => { document.body.dir = ""; });

  if (name !== "firefox") {
    await unscripted(context);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    await page.setViewport({ width: 320, height: 800 });
    check(await page.evaluate(() => document.documentElement.scrollWidth <= 320), "it fits a narrow screen, which is one at 400 %");
    await accessible(page, "the page, dark");
    await shoot(page, "page-dark-narrow");
  }
  await page.close();
});
server.close();
