// Tries the page that judges dumps in a real browser: page.mjs SITE FILES. FILES has
// inputs, and for each what is expected of it: NAME.verdict, and NAME.triage for the small
// dump that the command makes of it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { accessible } from "./axe.mjs";
import { check, name, run, shoot, watch } from "./browser.mjs";
import * as element from "./site.mjs";
import { press, said, serve, status, within } from "./site.mjs";

const [site, folder] = process.argv.slice(2);
const server = await serve(site);
const { home, asked } = server;

/** choose gives files of the folder to the page. */
const choose = (page, ...files) => element.choose(page, ...files.map((f) => join(folder, f)));

/** exactly is a regular expression of a text. */
const exactly = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** forbidden tries each way out of a worker or page, and tells which were open. */
const forbidden = (url) => {
  const ways = {
    fetch: () => fetch(url).then(() => true),
    XMLHttpRequest: () => new Promise((done) => {
      const x = new XMLHttpRequest();
      x.onload = () => done(true);
      x.onerror = () => done(false);
      x.open("GET", url);
      x.send();
    }),
    WebSocket: () => new Promise((done) => {
      const w = new WebSocket(url.replace("http", "ws"));
      w.onopen = () => done(true);
      w.onerror = () => done(false);
    }),
    EventSource: () => new Promise((done) => {
      const e = new EventSource(url);
      e.onopen = () => done(true);
      e.onerror = () => done(false);
    }),
    sendBeacon: async () => navigator.sendBeacon?.(url, "x") && false, // which tells nothing: the server does
    importScripts: async () => (importScripts(url), true),
    worker: () => new Promise((done) => {
      const w = new Worker(url);
      w.onmessage = () => done(true);
      w.onerror = () => done(false);
    }),
    module: () => import(url).then(() => true),
  };
  return Promise.all(Object.entries(ways).map(async ([way, go]) => {
    const open = await Promise.race([Promise.resolve().then(go).catch(() => false), new Promise((r) => setTimeout(r, 1500, false))]);
    return open ? way : "";
  })).then((list) => list.filter(Boolean));
};

await run(async (browser) => {
  const page = await browser.newPage();
  const seen = watch(page);
  await page.setViewport({ width: 1100, height: 900 });
  const began = Date.now();
  await page.goto(home);
  const inputs = readdirSync(folder).filter((f) => existsSync(join(folder, f + ".verdict")));
  let first = true;
  for (const file of inputs) {
    const want = readFileSync(join(folder, file + ".verdict"), "utf8").trim();
    const at = Date.now();
    await choose(page, file);
    await status(page, "^" + exactly(file) + ": ");
    check((await said(page)) === file + ": " + want, "verdict: " + (await said(page)) + ", want " + want);
    console.log(file + ": " + want + " after " + (Date.now() - (first ? began : at)) + " ms" + (first ? ", with the start" : ""));
    first = false;
    check((await page.$eval(within("#report .word"), (e) => e.textContent)).includes(want), file + ": the report is there");
    await shoot(page, "page-" + want);
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
  await page.$eval(within("#report nav a"), (a) => a.click());
  check(await page.evaluate(() => document.querySelector("windmp-check").shadowRoot.activeElement?.tagName === "SECTION"), "a link of the report leads into it");

  // Several files at once.
  await choose(page, ...inputs.slice(0, 2));
  await status(page, "^2 files: ");
  check(seen.console.length === 0, "console: " + seen.console);
  await accessible(page, "the page");

  // Nothing gets out: the server is asked for the page's own files, each once.
  const before = asked.length;
  const open = await page.evaluate(forbidden, home + "leak");
  check(open.length === 0, "ways out of the page: " + open);
  if (name !== "firefox") { // whose protocol shows no workers of blobs
    const worker = page.workers()[0];
    check(worker !== undefined, "there is a worker");
    const out = await worker.evaluate(forbidden, home + "leak");
    check(out.length === 0, "ways out of the worker: " + out);
    check(await worker.evaluate(() => typeof RTCPeerConnection === "undefined"), "no WebRTC in the worker");
  }
  await page.evaluate((url) => {
    const f = document.createElement("form");
    f.method = "post";
    f.action = url;
    document.body.append(f);
    try {
      f.submit();
    } catch {} // Firefox throws what others only say
    const i = new Image();
    i.alt = "x";
    i.src = url;
    document.body.append(i);
    f.remove();
    i.remove();
  }, home + "leak");
  await new Promise((r) => setTimeout(r, 1000));
  check(asked.length === before, "the server was asked: " + asked.slice(before));
  check(page.url().split("#")[0] === home, "no form was sent: " + page.url());

  // Cancel, and go on.
  await choose(page, source);
  await press(page, "cancel");
  await status(page, "^(Cancelled|" + source + ")");
  await choose(page, inputs[0]);
  await status(page, "^" + exactly(inputs[0]) + ": ");

  if (name !== "firefox") {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
    await page.setViewport({ width: 360, height: 800 });
    check(await page.evaluate(() => document.documentElement.scrollWidth <= 360), "it fits a narrow screen");
    await accessible(page, "the page, dark");
    await shoot(page, "page-dark-narrow");
  }
  await page.close();
});
server.close();
