// What the tests in browsers share: a browser, whose pages tell all that goes wrong in
// them, and what was found.
import { createInterface } from "node:readline";
import puppeteer from "puppeteer-core";

export const name = process.env.WINDMP_BROWSER;

/** args are the arguments of the test that runs. */
export let args = [];

let browser, failures = 0;

/** tell says something to who started the tests, in a line of its own. */
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

/** log notes something for people. */
export const log = (said) => tell({ said });

/** check notes what is not so. */
export function check(ok, what) {
  if (!ok) {
    failures++;
    log("FAIL " + what);
  }
}

/** launch starts the browser that the environment names. */
function launch() {
  return puppeteer.launch({
    browser: name === "firefox" ? "firefox" : "chrome",
    executablePath: process.env.WINDMP_BROWSER_PROGRAM,
    headless: true,
    timeout: 120_000, // on a busy machine
    // Containers have no user namespaces for root, and little of /dev/shm.
    args: name === "firefox" ? [] : ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** until waits for what browsers tell late, some seconds at most. */
export async function until(so) {
  for (let i = 0; i < 100 && !so(); i++) {
    await new Promise((r) => setTimeout(r, 100));
  }
}

/** watch returns a list that gets what a page says, breaks and asks for. */
export function watch(page) {
  const seen = { console: [], requests: [] };
  page.on("console", (m) => seen.console.push(m.type() + ": " + m.text()));
  page.on("pageerror", (e) => seen.console.push("error: " + e));
  page.on("request", (r) => {
    // Firefox draws some of its own controls with a font that it has in itself.
    if (name !== "firefox" || !r.url().startsWith("data:font/woff2;")) {
      seen.requests.push(r.url());
    }
  });
  return seen;
}

/** shoot keeps a picture where somebody wants to look at it. */
export async function shoot(page, file) {
  const folder = process.env.WINDMP_SCREENSHOTS;
  if (folder) {
    await page.screenshot({ path: folder + "/" + name + "-" + file + ".png", fullPage: true });
  }
}

/** run runs a test in a context of its own: pages of other tests, and what they keep, are
 * not there. */
export async function run(test) {
  const context = await browser.createBrowserContext();
  await test(context);
  await context.close();
}

/** runAll starts the browser, and runs the tests that a stream tells of, one after the other:
 * each is a line of JSON, of a script beside this one and its arguments. */
export async function runAll(stream) {
  browser = await launch();
  let count = 0;
  for await (const line of createInterface({ input: stream })) {
    const asked = JSON.parse(line);
    args = asked.args;
    failures = 0;
    // Each time it is another module, which begins anew.
    await import("./" + asked.script + "?" + count++).catch((e) => check(false, "" + (e.stack ?? e)));
    tell({ ended: true, failures });
  }
  await browser.close();
}
