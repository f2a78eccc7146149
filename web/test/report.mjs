// Looks at pages of convert/htmlreport in a real browser: report.mjs FOLDER. Each page of
// the folder is opened from its file, in light, dark, narrow and as on paper.
import { readdirSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { accessible } from "./axe.mjs";
import { args, check, name, run, shoot, until, watch } from "./browser.mjs";

const folder = args[0];

/** media is what tells Chromium how a page is looked at. */
let media;

/** open shows a page that must load nothing but itself and say nothing, anew. */
async function open(page, file, { dark = false, width = 1100, paper = false, forced = false, scripts = true } = {}) {
  await page.setViewport({ width, height: 900 });
  if (name !== "firefox") {
    // All at once: what is not named is reset, as it is by each of puppeteer's functions for one.
    media ??= await page.createCDPSession();
    await media.send("Emulation.setEmulatedMedia", {
      media: paper ? "print" : "screen",
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }, { name: "forced-colors", value: forced ? "active" : "none" }],
    });
    await page.setJavaScriptEnabled(scripts);
  }
  await page.goto(pathToFileURL(folder + "/" + file).href);
  if (name !== "firefox" && scripts) {
    const is = await page.evaluate(() => ["(prefers-color-scheme: dark)", "print", "(forced-colors: active)"].map((m) => matchMedia(m).matches).join());
    check(is === [dark, paper, forced].join(), file + ": it is shown as it should be: " + is);
  }
}

/** finish looks at what a page said and asked for since it was shown. */
async function finish(page, seen, file) {
  const url = pathToFileURL(folder + "/" + file).href;
  const [said, asked] = [seen.console.splice(0), seen.requests.splice(0)];
  check(said.length === 0, file + ": console: " + said);
  check(asked.every((r) => r.split("#")[0] === url), file + ": requests: " + asked);
}

/** unfold opens the long lists, which are folded at first. */
async function unfold(page, file) {
  const lists = await page.$$(".windmp details:has(.filter)");
  check((lists.length > 0) === file.startsWith("kernel"), file + ": " + lists.length + " lists are folded");
  for (const list of lists) {
    check(await list.evaluate((d) => !d.open && document.body.scrollHeight < 4000), file + ": a folded list takes no room");
    await (await list.$("summary")).click();
    check(await list.evaluate((d) => d.open), file + ": its summary unfolds it");
  }
}

/** filters types into each filter, and counts the rows. */
async function filters(page, file) {
  for (const bar of await page.$$(".filter")) {
    check(await bar.evaluate((b) => !b.hidden), file + ": the filter is there");
    const field = await bar.$("input");
    const rows = () => bar.evaluate((b) => Array.from(b.nextElementSibling.querySelectorAll("tbody tr")).filter((r) => r.offsetParent).map((r) => r.querySelector("td.c").textContent));
    const all = await rows();
    await field.type("NO such, thing");
    check((await rows()).length === 0, file + ": a filter that fits nothing leaves " + (await rows()));
    check(await bar.evaluate((b, n) => b.querySelector(".count").textContent === "0 of " + n, all.length), file + ": the count is told");
    await field.evaluate((f) => { f.value = ""; });
    await field.type(all[0].slice(0, 4).toUpperCase());
    const some = await rows();
    check(some.includes(all[0]) && some.length <= all.length, file + ": the filter finds " + all[0]);
    await field.evaluate((f) => { f.value = ""; f.dispatchEvent(new Event("input")); });
    check((await rows()).length === all.length, file + ": without words all rows are there");
  }
}

await run(async (context) => {
  const page = await context.newPage(); // one for all: each starts a process
  const seen = watch(page);
  for (const file of readdirSync(folder).filter((f) => f.endsWith(".html"))) {
    const base = file.replace(".html", "");
    await open(page, file);
    check(await page.evaluate(() => document.scripts.length === 1 && document.images.length === 0 && !document.querySelector("iframe, object, embed, link, form")), file + ": one script and nothing else");
    check(await page.evaluate(() => getComputedStyle(document.querySelector(".windmp")).backgroundColor === "rgb(245, 246, 248)") || name === "firefox", file + ": the style sheet counts");
    check(await page.evaluate(() => {
      const s = document.createElement("script");
      s.textContent = "window.alien = 1";
      document.body.append(s);
      return window.alien === undefined;
    }), file + ": no other script runs");
    await until(() => seen.console.length > 0);
    check(seen.console.length === 1 && seen.console[0].includes("Content"), file + ": the policy forbids it: " + seen.console);
    seen.console.length = 0;
    await unfold(page, file);
    await filters(page, file);
    await shoot(page, base + "-light");
    await finish(page, seen, file);
    await accessible(page, file);
    if (name === "firefox") {
      continue; // which emulates no media by this protocol
    }

    await open(page, file, { dark: true });
    await shoot(page, base + "-dark");
    await finish(page, seen, file);
    await accessible(page, file + ", dark");

    await open(page, file, { width: 320 });
    check(await page.evaluate(() => document.documentElement.scrollWidth <= 320), file + ": it fits a narrow screen, which is one at 400 %");
    await shoot(page, base + "-narrow");
    await page.evaluate(() => { document.documentElement.dir = "rtl"; });
    check(await page.evaluate(() => getComputedStyle(document.querySelector("td")).direction === "ltr"), file + ": it is from left to right, wherever it stands");
    await finish(page, seen, file);

    await open(page, file, { paper: true, width: 800 });
    check(await page.evaluate(() => !document.querySelector(".filter") || getComputedStyle(document.querySelector(".filter")).display === "none"), file + ": no filter on paper");
    check(await page.$$eval("td", (cells) => cells.every((c) => c.getBoundingClientRect().right <= 800)), file + ": no table is cut off on paper");
    await shoot(page, base + "-paper");
    await finish(page, seen, file);

    await open(page, file, { forced: true });
    check(await page.evaluate(() => {
      const key = document.querySelector(".key.part");
      return !key || getComputedStyle(key, "::before").backgroundColor !== getComputedStyle(document.querySelector(".card")).backgroundColor;
    }), file + ": the picture's key keeps its colours");
    await shoot(page, base + "-forced");
    await finish(page, seen, file);

    await open(page, file, { scripts: false });
    check(await page.$$eval(".filter", (list) => list.every((f) => getComputedStyle(f).display === "none")), file + ": no filter without scripts");
    await finish(page, seen, file);
  }
});
