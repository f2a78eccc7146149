// Makes the pictures of docs/screens that are of pages: screens.mjs SITE FORM FILES FOLDER.
// SITE has the page, FORM is the example's address, FILES has guest.vmcore and cut.vmcore.
import { join } from "node:path";
import { run } from "./browser.mjs";
import { choose, serve, status } from "./site.mjs";

const [site, form, files, folder] = process.argv.slice(2);

/** picture opens an address, gives a file to the element, and keeps what a visitor sees. */
async function picture(browser, name, url, file, { width = 1000, height = 800, dark = false, says }) {
  const page = await browser.newPage();
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
  await page.goto(url);
  if (url === form) {
    await page.type("[name=what]", "A blue screen, after the update of testdrv");
  }
  await choose(page, join(files, file));
  await status(page, says);
  await page.screenshot({ path: join(folder, name + ".png") });
  await page.close();
}

await run(async (browser) => {
  const server = await serve(site);
  await picture(browser, "page", server.home, "guest.vmcore", { says: ": OK$" });
  await picture(browser, "page-fails", server.home, "cut.vmcore", { says: ": FAIL$", height: 640 });
  await picture(browser, "page-narrow-dark", server.home, "guest.vmcore", { says: ": OK$", width: 390, height: 800, dark: true });
  await picture(browser, "upload-form", form, "guest.vmcore", { says: "^The small dump is made", width: 860, height: 640 });
  server.close();
});
