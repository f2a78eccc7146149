// Runs tests in one browser, which WINDMP_BROWSER and WINDMP_BROWSER_PROGRAM name, until its
// standard input ends. Package internal/browsertest tells it which.
import { runAll } from "./browser.mjs";

await runAll(process.stdin);
process.exit(); // servers of tests that failed may listen still
