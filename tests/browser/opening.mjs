// How long a page takes to open, in milliseconds from the beginning of the
// navigation: until it has loaded (scripts included), and until something is
// seen. Arguments: as report.mjs, then the page and how often. Each time in a
// new context, so that nothing is remembered.

import { pathToFileURL } from "node:url";
import { driver, FLAGS } from "./report.mjs";

const [folder, program, page_path, times] = process.argv.slice(2);
const browser = await driver(folder).launch({
  executablePath: program,
  args: FLAGS,
});
const found = { loaded: [], painted: [] };
for (let time = 0; time < Number(times); ++time) {
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  await page.goto(pathToFileURL(page_path).href);
  const [loaded, painted] = await page.evaluate(() => new Promise((tell) => {
    new PerformanceObserver((seen) => tell([
      performance.getEntriesByType("navigation")[0].loadEventEnd,
      seen.getEntriesByName("first-contentful-paint")[0].startTime,
    ])).observe({ type: "paint", buffered: true });
  }));
  found.loaded.push(loaded);
  found.painted.push(painted);
  await context.close();
}
await browser.close();
console.log(JSON.stringify(found));
