// A server of what scripts/web builds, and what a visitor does with the element on its pages.
import { createServer } from "node:http";
import { existsSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { check } from "./browser.mjs";

const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** serve serves a folder, and pages by their paths, on a port of this machine. It tells what
 * it was asked for. */
export async function serve(folder, pages = {}) {
  const asked = [];
  const server = createServer((q, r) => {
    asked.push(q.method + " " + q.url);
    const { pathname } = new URL(q.url, "http://x");
    const file = join(folder, pathname === "/" ? "index.html" : pathname);
    if (q.method === "GET" && pages[pathname]) {
      r.writeHead(200, { "content-type": "text/html", ...pages[pathname].headers }).end(pages[pathname].html);
    } else if (q.method === "GET" && existsSync(file) && statSync(file).isFile()) {
      r.writeHead(200, { "content-type": types[extname(file)] }).end(readFileSync(file));
    } else {
      r.writeHead(404).end();
    }
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { home: "http://127.0.0.1:" + server.address().port + "/", asked, close: () => server.close() };
}

/** within is a selector for something in the element. */
export const within = (selector) => "windmp-check >>> " + selector;

/** said is what the element says now. */
export const said = (page) => page.$eval(within("#status"), (e) => e.textContent);

/** status waits for what the element says last, a regular expression. */
export async function status(page, want, patience = 120_000) {
  await page.waitForFunction(
    (w) => new RegExp(w).test(document.querySelector("windmp-check").shadowRoot.getElementById("status").textContent),
    { timeout: patience }, want,
  ).catch(async () => check(false, "the element says " + (await said(page)) + ", not " + want));
}

/** choose gives files to the element. */
export async function choose(page, ...files) {
  const input = await page.waitForSelector(within("#files"));
  await input.evaluate((e) => { e.value = ""; }); // as the click does that opens the list of files
  await input.uploadFile(...files);
}

/** press presses a button of the element. */
export const press = (page, id) => page.$eval(within("#" + id), (b) => b.click());
