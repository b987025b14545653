// Opens reports in headless Chromium, without a network, and holds them to what
// they promise. Arguments: a folder that has playwright-core in node_modules,
// the browser, and promises=page, such as quiet,equals=index.html. Prints an
// object: {page: {promise: "" or what is wrong}}. For bench/test_browser.py.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";
import { promises } from "./promises.mjs";

export function driver(folder) {
  const require = createRequire(path.resolve(folder, "package.json"));
  return require("playwright-core").chromium;
}

export const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update",
  "--disable-sync",
];

const PATIENCE_MS = 10_000;

async function hold(browser, names, page_path) {
  const found = {};
  for (const name of names) {
    const context = await browser.newContext({ offline: true });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const heard = { errors: [], requests: [] };
    page.on("console", (said) => {
      if (["error", "warning"].includes(said.type()))
        heard.errors.push(said.text());
    });
    page.on("pageerror", (error) => heard.errors.push(error.message));
    page.on("request", (asked) => heard.requests.push(asked.url()));
    try {
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.goto(pathToFileURL(page_path).href);
      found[name] = (await promises[name](page, heard, page_path)) || "";
    } catch (error) {
      found[name] = String(error);
    }
    await context.close();
  }
  return found;
}

async function main([folder, program, ...pages]) {
  const browser = await driver(folder).launch({
    executablePath: program,
    args: FLAGS,
  });
  const found = {};
  await Promise.all(pages.map(async (wanted) => {
    const [names, ...rest] = wanted.split("=");
    const page = rest.join("=");
    found[page] = await hold(browser, names.split(","), page);
  }));
  await browser.close();
  console.log(JSON.stringify(found));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  await main(process.argv.slice(2));
