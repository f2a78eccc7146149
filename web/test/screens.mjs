// Makes the pictures of docs/screens that are of pages: screens.mjs SITE FORM FILES FOLDER.
// SITE has the page, FORM is the example's address, FILES has guest.vmcore and cut.vmcore.
import { join } from "node:path";
import { args, run } from "./browser.mjs";
import { choose, serve, status } from "./site.mjs";

const [site, form, files, folder] = args;

/** picture opens an address, gives a file to the element, and keeps what a visitor sees. */
async function picture(context, name, url, file, { width = 1000, height = 800, dark = false, says }) {
  const page = await context.newPage();
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

await run(async (context) => {
  const server = await serve(site);
  await picture(context, "page", server.home, "guest.vmcore", { says: ": OK$" });
  await picture(context, "page-fails", server.home, "cut.vmcore", { says: ": FAIL$", height: 640 });
  await picture(context, "page-narrow-dark", server.home, "guest.vmcore", { says: ": OK$", width: 390, height: 800, dark: true });
  await picture(context, "upload-form", form, "guest.vmcore", { says: "^The small dump is made", width: 860, height: 640 });
  server.close();
});
