// Tries the element that stands in a frame, and the messages between the frame and the page
// around it: frame.mjs SITE PACKAGE FILES. SITE has the page that is framed, PACKAGE the
// elements, FILES crashed.vmcore and crashed.vmcore.triage, the small dump that the command
// makes of it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { accessible } from "./axe.mjs";
import { args, check, run, shoot, watch } from "./browser.mjs";
import { serve, within } from "./site.mjs";

const [site, elements, folder] = args;
const crashed = join(folder, "crashed.vmcore");
const forged = { schema: "windmp/frame/v1", type: "verdict", detail: { verdict: "OK", decision: "accept", reason: "", files: [], json: "forged" } };
const forger = `<!DOCTYPE html><title>forger</title><script>parent.postMessage(${JSON.stringify(forged)}, "*")</script>`;

const framed = await serve(site, { "/forger.html": { html: forger } });
const elsewhere = framed.home.replace("127.0.0.1", "localhost"); // the same server as another origin
const policy = "default-src 'none'; script-src 'self'; img-src data:; form-action 'none'; frame-src " + framed.home + " " + elsewhere;
const host = await serve(elements, {
  "/host.html": {
    headers: { "content-security-policy": policy },
    html: `<!DOCTYPE html><html lang="en"><title>host</title><link rel="icon" href="data:,"><script type="module" src="windmp-check.js"></script><main><h1>Host</h1>
<form><windmp-check-frame name="dump" required triage="auto" max-size="1GB" src="${framed.home}"></windmp-check-frame></form></main></html>`,
  },
});
const stranger = await serve(elements, {
  "/": { html: `<!DOCTYPE html><title>stranger</title><iframe src="${framed.home}?parent=${new URL(host.home).origin}"></iframe>` },
  "/pattern.html": { html: `<!DOCTYPE html><title>pattern</title><iframe src="${framed.home}?parent=*"></iframe>` },
});

/** frameOf is the frame of the page within a page. */
const frameOf = (page) => page.waitForFrame((f) => f !== page.mainFrame() && f.url().startsWith(framed.home + "?"));

/** listen keeps what an element or window hears. */
const listen = () => {
  window.heard = [];
  window.addEventListener("message", (e) => window.heard.push(e.data));
  const element = document.querySelector("windmp-check-frame");
  window.events = [];
  for (const name of ["start", "verdict", "triage", "failed", "cancel"]) {
    element?.addEventListener(name, (e) => window.events.push([name, e.detail]));
  }
};

async function hosted(context) {
  const page = await context.newPage();
  const seen = watch(page);
  await page.goto(host.home + "host.html");
  const frame = await frameOf(page);
  await page.evaluate(listen);

  // Forged by the page's own window, and by a page of the frame's origin in another frame.
  await page.evaluate((f) => window.postMessage(f, "*"), forged);
  await page.evaluate((url) => {
    const f = document.createElement("iframe");
    f.src = url;
    f.title = "forger";
    document.body.append(f);
  }, framed.home + "forger.html");
  await page.waitForFunction(() => window.heard.filter((m) => m.detail?.json === "forged").length === 2);

  const input = await frame.waitForSelector(within("#files"));
  await input.uploadFile(crashed);
  await page.waitForFunction(() => window.events.some(([name]) => name === "triage" || name === "failed"), { timeout: 120_000 });
  const got = await page.evaluate(async () => {
    const events = window.events;
    const { dumps } = events.at(-1)[1];
    const sent = new FormData(document.querySelector("form"));
    const text = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
    return {
      names: events.map(([name]) => name), verdict: events[1][1], height: document.querySelector("windmp-check-frame").offsetHeight,
      dump: text(new Uint8Array(await dumps[0].dump.arrayBuffer())),
      sent: Array.from(sent.keys()), same: sent.get("dump")?.size === dumps[0].dump.size, decision: sent.get("dump-decision"),
      report: await sent.get("dump-report")?.text(),
    };
  });
  check(got.names.join() === "start,verdict,start,triage", "events: " + got.names);
  check(got.verdict.verdict === "OK" && got.verdict.document.schema === "windmp/check/v1" && got.verdict.document.max_size === 1e9, "the verdict: " + JSON.stringify(got.verdict).slice(0, 200));
  check(Buffer.from(got.dump, "base64").equals(readFileSync(crashed + ".triage")), "the small dump is the command's");
  check(got.sent.sort().join() === "dump,dump-decision,dump-report" && got.same && got.decision === "accept" && got.report === got.verdict.json, "the form sends " + got.sent + ", " + got.decision);
  check(got.height > 400, "the frame is as high as what is in it: " + got.height);
  await shoot(page, "frame");

  // A translation counts for elements that are there already.
  const title = await page.evaluate(async () => {
    (await import("/windmp-check.js")).translate({ frame: "Speicherabbild" });
    return document.querySelector("windmp-check-frame").shadowRoot.querySelector("iframe").title;
  });
  check(title === "Speicherabbild", "translated: " + title);

  // Another page in the same frame is not listened to.
  await page.evaluate((url) => { document.querySelector("windmp-check-frame").shadowRoot.querySelector("iframe").src = url; }, elsewhere + "forger.html");
  await page.waitForFunction(() => window.heard.filter((m) => m.detail?.json === "forged").length === 3);
  check((await page.evaluate(() => window.events.length)) === got.names.length, "nothing that was forged is believed");
  // Chromium warns of any frame that may run scripts of its own origin, and can't know that
  // it is another than the page's.
  const warned = seen.console.filter((s) => !s.includes("allow-scripts and allow-same-origin"));
  check(warned.length === 0, "console: " + warned);
  await accessible(page, "the page around a frame"); // which asks all frames itself
  await page.close();
}

/** strange has a page of another origin frame the page. */
async function strange(context) {
  const page = await context.newPage();
  await page.evaluateOnNewDocument(listen);
  await page.goto(stranger.home);
  const frame = await frameOf(page);
  const input = await frame.waitForSelector(within("#files"));
  await page.evaluate(() => frames[0].postMessage({ schema: "windmp/frame/v1", type: "check", detail: [new File(["alien"], "alien.txt")] }, "*"));
  await input.uploadFile(crashed);
  await frame.waitForFunction(() => document.querySelector("windmp-check").shadowRoot.getElementById("status").textContent.startsWith("crashed.vmcore: "));
  check((await page.evaluate(() => window.heard.length)) === 0, "a stranger hears nothing");
  check(await frame.evaluate(() => document.querySelector("windmp-check").verdict.files.length === 1), "a stranger is not obeyed");

  await page.goto(stranger.home + "pattern.html");
  const pattern = await frameOf(page);
  const says = await pattern.evaluate(() => document.querySelector("main").textContent);
  check(says.includes("names no origin") && !says.includes("windmp-check"), "a pattern is no origin: " + says);
  await page.close();
}

await run(async (context) => {
  await hosted(context);
  await strange(context);
  for (const server of [framed, host, stranger]) {
    server.close();
  }
});
