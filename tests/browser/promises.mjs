// What a report promises. Each function returns what is wrong, or nothing.

import { existsSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const NARROW = 360;

async function quiet(page, heard) {
  await page.waitForLoadState("load");
  const others = heard.requests.filter((url) => url !== page.url());
  return [...heard.errors, ...others].join("; ");
}

// In the page: what differs between a table and the numbers in the script.
function differences() {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  const wrong = [];
  let compared = 0;
  const plain = (text) => text.replace(/[\s\u202f]/g, "");
  // Equal to the last digit that is shown.
  const same = (shown, number) => {
    if (number === null) return shown === "\u2013";
    const digits = plain(shown).replace(/^(~|>=)/, "");
    const places = (digits.split(".")[1] || "").length;
    return Math.abs(Number(digits) - number) <= 0.5001 * 10 ** -places;
  };
  const check = (cell, value, where) => {
    compared += 1;
    if (typeof value === "string") {
      if (cell.textContent !== value) wrong.push(`${where}: ${value}`);
      return;
    }
    const [median, low, high, , invalid, bound] =
      Array.isArray(value) ? value : [value];
    const shown = cell.firstChild.textContent;
    const mark = bound ? ">" : invalid ? "~" : "";
    if (!same(shown, median) || mark !== (/^[~>]/.exec(shown) ?? [""])[0])
      wrong.push(`${where}: ${shown} is not ${median}`);
    const between = cell.querySelector("small");
    if (!between) return;
    const ends = between.textContent.split("\u2013");
    if (!same(ends[0], low) || !same(ends[1], high))
      wrong.push(`${where}: ${between.textContent}`);
  };
  for (const [figure, views] of Object.entries(numbers))
    views.forEach((view, v) => view.tables.forEach((table, t) => {
      const shown = document.getElementById(`${figure}-${v}-t${t}`);
      if (!shown) return wrong.push(`no table ${figure} ${v} ${t}`);
      const rows = [...shown.tBodies[0].rows];
      if (rows.length !== table.rows.length) wrong.push("too many or few rows");
      table.rows.forEach(([, ...values], r) => values.forEach((value, c) =>
        check(rows[r].cells[c + 1], value, `${figure} ${r} ${c}`)));
    }));
  if (compared === 0) wrong.push("nothing to compare");
  return wrong.join("; ");
}

const equals = (page) => page.evaluate(differences);

async function narrow(page) {
  await page.setViewportSize({ width: NARROW, height: 800 });
  await page.evaluate(() => {
    for (const folded of document.querySelectorAll("details"))
      folded.open = true;
  });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  return wide > NARROW ? `${wide} pixels wide` : "";
}

// All that is written in a drawing lies within it, wide and narrow.
async function whole(page) {
  const wrong = [];
  for (const width of [1280, NARROW]) {
    await page.setViewportSize({ width, height: 900 });
    wrong.push(...await page.evaluate(() => {
      for (const folded of document.querySelectorAll("details"))
        folded.open = true;
      const out = [];
      for (const chart of document.querySelectorAll("svg.chart")) {
        const area = chart.getBoundingClientRect();
        if (area.width === 0) continue;
        for (const text of chart.querySelectorAll("text")) {
          const box = text.getBoundingClientRect();
          if (box.left < area.left - 2 || box.right > area.right + 2)
            out.push(`${text.textContent} sticks out of ${chart.textContent
              .slice(0, 30)} at ${innerWidth}`);
        }
      }
      return out;
    }));
  }
  return wrong.slice(0, 3).join("; ");
}

// Tab through everything; where the focus is must be seen.
async function keyboard(page) {
  const wanted = await page.evaluate(() => {
    for (const folded of document.querySelectorAll("details"))
      folded.open = true;
    return document.querySelectorAll(
      "a[href], input, summary, [tabindex='0']").length;
  });
  const reached = new Set();
  for (let press = 0; press <= wanted; ++press) {
    await page.keyboard.press("Tab");
    const found = await page.evaluate(() => {
      const one = document.activeElement;
      if (one === document.body) return null;
      one.dataset.reached ??= String(Math.random());
      const style = getComputedStyle(one);
      const seen = style.outlineStyle !== "none" &&
        parseFloat(style.outlineWidth) > 0;
      return [one.dataset.reached, seen, one.outerHTML.slice(0, 80)];
    });
    if (found === null) break;
    if (!found[1]) return `no visible focus on ${found[2]}`;
    reached.add(found[0]);
  }
  return reached.size === wanted ? "" : `${reached.size} of ${wanted} reached`;
}

// Every value of every line is read off with the arrow keys: the table's.
async function readable(page) {
  const wrong = [];
  for (const ruler of await page.locator(".ruler").all()) {
    if (!(await ruler.isVisible())) continue;
    const slider = ruler.locator("input");
    await slider.focus();
    await page.keyboard.press("Home");
    const steps = Number(await slider.getAttribute("max"));
    for (let step = 0; step <= steps; ++step) {
      const differs = await ruler.evaluate((mine, at) => {
        const table = document.getElementById(mine.dataset.table);
        const rows = [...table.tBodies[0].rows];
        const wanted = rows.map((row) => row.cells[0].textContent + " " +
          row.cells[at + 1].firstChild.textContent.trim());
        const said = [...mine.querySelectorAll("output span")]
          .map((entry) => entry.textContent);
        return said.join() === wanted.join() ? "" : `${said} / ${wanted}`;
      }, step);
      if (differs) wrong.push(differs);
      await page.keyboard.press("ArrowRight");
    }
  }
  return wrong.slice(0, 3).join("; ");
}

// A line is switched off and on with the space bar, in all figures.
async function switched(page) {
  await page.evaluate(() => {
    for (const folded of document.querySelectorAll("details"))
      folded.open = true;
  });
  const box = page.locator(".key input").first();
  if ((await box.count()) === 0) return "no key";
  const which = await box.getAttribute("data-s");
  const shown = () => page.evaluate((s) =>
    [...document.querySelectorAll(`svg g.s[data-s="${s}"]`)]
      .filter((drawn) => drawn.getClientRects().length > 0).length, which);
  const before = await shown();
  await box.focus();
  await page.keyboard.press("Space");
  const off = await shown();
  await page.keyboard.press("Space");
  const after = await shown();
  if (before === 0) return "nothing to switch off";
  if (off !== 0) return `${off} still there`;
  return after === before ? "" : `${after} of ${before} came back`;
}

const named = (page) => page.evaluate(() => {
  const wrong = [];
  const count = (what) => document.querySelectorAll(what).length;
  if (count("h1") !== 1 || count("section > h2") < 5) wrong.push("headings");
  for (const chart of document.querySelectorAll("svg.chart"))
    for (const id of chart.getAttribute("aria-labelledby").split(" "))
      if (!document.getElementById(id)?.textContent) wrong.push(`no ${id}`);
  for (const head of document.querySelectorAll("th"))
    if (!head.scope) wrong.push(`no scope: ${head.textContent}`);
  for (const table of document.querySelectorAll("table"))
    if (!table.caption) wrong.push("no caption");
  for (const figure of document.querySelectorAll("figure"))
    if (!figure.querySelector("figcaption")) wrong.push("no figcaption");
  if (count("use *, path *, circle *")) wrong.push("shapes in shapes");
  for (const marker of document.querySelectorAll(".chart .hollow"))
    if (getComputedStyle(marker).fill === getComputedStyle(marker).stroke)
      wrong.push("a hollow marker is full");
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id twice");
  return wrong.join("; ");
});

// Nothing from the results became a part of the page.
const harmless = (page) => page.evaluate(() =>
  window.harmed ? "a script ran" :
    document.querySelector("img, iframe, object, b b") ? "markup" : "");

// gnuplot's drawings: quiet, whole, and switched from their key.
async function drawings(page, heard, page_path) {
  const wrong = [];
  const folder = path.join(path.dirname(page_path), "figures");
  for (const name of ["latency", "load", "cpu", "calls", "idle"]) {
    const file = path.join(folder, `${name}.svg`);
    if (!existsSync(file)) continue;
    await page.goto(pathToFileURL(file).href);
    wrong.push(...await page.evaluate(() => {
      const area = document.documentElement.getBoundingClientRect();
      return [...document.querySelectorAll("text")].filter((text) => {
        const box = text.getBoundingClientRect();
        return box.left < area.left || box.right > area.right;
      }).map((text) => `${text.textContent} sticks out`);
    }));
    const key = page.locator("[id$=_keyentry]").first();
    if ((await key.count()) === 0) continue;
    const line = page.locator("#" +
      (await key.getAttribute("id")).replace("_keyentry", ""));
    await key.click();
    if (await line.isVisible()) wrong.push(`${name}: the line stays`);
  }
  const network = heard.requests.filter((url) => !url.startsWith("file:"));
  return [...wrong, ...heard.errors, ...network].join("; ");
}

export const promises = {
  quiet, equals, narrow, whole, keyboard, readable, switched, named, harmless,
  drawings,
};
