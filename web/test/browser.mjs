// What the tests in browsers share: one browser, whose pages tell all that goes wrong in
// them, and a list of what was found.
import puppeteer from "puppeteer-core";

export const name = process.env.WINDMP_BROWSER;
const failures = [];

/** check notes what is not so. */
export function check(ok, what) {
  if (!ok) {
    failures.push(what);
    console.log("FAIL " + what);
  }
}

/** launch starts the browser that the environment names. */
export function launch() {
  return puppeteer.launch({
    browser: name === "firefox" ? "firefox" : "chrome",
    executablePath: process.env.WINDMP_BROWSER_PROGRAM,
    headless: true,
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

/** run runs a test with a browser and ends the process with its outcome. */
export async function run(test) {
  const browser = await launch();
  try {
    await test(browser);
  } catch (e) {
    check(false, "" + (e.stack ?? e));
  } finally {
    await browser.close();
  }
  console.log(failures.length ? failures.length + " failures" : "ok");
  process.exit(failures.length ? 1 : 0);
}
