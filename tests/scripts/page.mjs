// The page of a study in a real browser: `node tests/scripts/page.mjs PAGE.html [FOLDER FOR PICTURES]`.
//
// Not part of the test suite: needs Chromium (CHROMIUM names it, default /usr/bin/chromium) and `npm install playwright-core`. Looks at
// the page on a telephone and a desk, light and dark, with scripts and without: nothing is loaded, no error is logged, nothing is wider than the
// screen, sorting, filtering, hiding and the address work, with keys too.
import { strict as assert } from "node:assert";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { chromium } = createRequire(process.cwd() + "/")("playwright-core");
const [page_file, pictures] = process.argv.slice(2);
const address = pathToFileURL(resolve(page_file)).href;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });

async function open({ width, dark = false, script = true, at = "" }) {
  const context = await browser.newContext({
    viewport: { width, height: 1000 },
    colorScheme: dark ? "dark" : "light",
    javaScriptEnabled: script,
  });
  const page = await context.newPage();
  const errors = [];
  page.on("console", (m) => ["error", "warning"].includes(m.type()) && errors.push(m.text()));
  page.on("pageerror", (e) => errors.push(String(e)));
  page.on("request", (r) => r.url().split("#")[0] !== address && errors.push("loads " + r.url()));
  await page.goto(address + at);
  return { page, errors, context };
}

for (const width of [375, 1440]) {
  for (const dark of [false, true]) {
    for (const script of [true, false]) {
      const { page, errors, context } = await open({ width, dark, script });
      const name = `${width}-${dark ? "dark" : "light"}-${script ? "script" : "plain"}`;
      if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: width === 375 });
      const shown = await page.locator("#tools").isVisible();
      assert.equal(shown, script, `${name}: tools`);
      assert.ok(await page.locator("details[open] table").first().isVisible(), `${name}: a table`);
      if (script) {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${name}: ${wide} pixels wider than the screen`);
      }
      assert.deepEqual(errors, [], name);
      await context.close();
    }
  }
}

const { page, errors } = await open({ width: 1440 });
const table = page.locator("details[open] table[data-systems]").first();
const names = () => table.locator("tbody tr:visible th").evaluateAll((all) => all.map((th) => th.parentElement.dataset.name));
const values = (column) =>
  table.locator("tbody tr:visible").evaluateAll((all, c) => all.map((tr) => tr.cells[c].dataset.v).filter((v) => v !== "").map(Number), column);
const before = await names();
assert.ok(before.length >= 2);
await table.locator("th .sort").nth(2).click();
const rising = await values(2);
assert.deepEqual(rising, [...rising].sort((a, b) => a - b), "rising");
await table.locator("th .sort").nth(2).focus();
await page.keyboard.press("Enter");
const falling = await values(2);
assert.deepEqual(falling, [...falling].sort((a, b) => b - a), "falling, by key");
assert.equal(await table.locator("th").nth(2).getAttribute("aria-sort"), "descending");
await page.fill("#filter", before[0].slice(0, 4));
assert.ok((await names()).every((n) => n.includes(before[0].slice(0, 4))), "filtered");
await page.fill("#filter", "");
await page.locator(".chips button").first().click();
assert.ok(!(await names()).includes(before[0]), "hidden");
const ink = await table.locator(`tr[data-name="${before[0]}"]`).first().getAttribute("data-ink");
if (ink) assert.equal(await page.locator(`figure.systems .s${ink}`).first().isVisible(), false, "hidden in charts");
const link = await page.evaluate(() => location.hash);
const again = await open({ width: 1440, at: link });
const same = again.page.locator("details[open] table[data-systems]").first().locator("tbody tr:visible");
assert.equal(await same.count(), (await names()).length, "the address keeps it");
await page.locator("#tools button", { hasText: "Show all" }).click();
assert.deepEqual(await names(), before, "as before");
assert.deepEqual(errors, []);
await browser.close();
console.log(`${page_file}: 375 and 1440 pixels, light and dark, with scripts and without: as it should be`);
