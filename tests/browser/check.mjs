// Looks at pages in Chromium, wide and narrow, light and dark, and lets axe-core judge them.
//
//     node check.mjs [--pictures FOLDER] NAME=URL...
//
// For each page: it asks for nothing but itself, the browser has nothing to complain of, nothing sticks out to the right
// on any width, and axe-core finds no violation of WCAG 2 A and AA nor of its best practices. Prints what it looked at,
// one line each, and every finding; ends with 1 if there is one. CHROMIUM names another browser than Debian's.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";

const VIEWPORTS = [
  { width: 360, height: 800 },
  { width: 1280, height: 900 },
];
const SCHEMES = ["light", "dark"];
// 320 is what WCAG 1.4.10 asks for; the others lie on both sides of where the layout changes.
const WIDTHS = [320, 360, 600, 820, 850, 950, 1000, 1280, 1920];
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const LIMIT_MS = 30_000;

// The words of the command line, each page with its name.
function read(words) {
  const pages = [];
  let pictures = null;
  while (words.length > 0) {
    const word = words.shift();
    const [, name, url] = word.match(/^([a-z-]+)=(http.*)$/) ?? [];
    if (word === "--pictures") pictures = words.shift();
    else if (name) pages.push({ name, url });
    else throw new Error(`"${word}" is no NAME=URL`);
  }
  if (pages.length === 0) throw new Error("name a page: NAME=URL");
  return { pages, pictures };
}

// What sticks out to the right: the elements, as a person would look for them.
function stickingOut() {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const wide = [...document.body.querySelectorAll("*")].filter(
    (element) => element.getBoundingClientRect().right > root.clientWidth + 0.5,
  );
  return wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120));
}

// What a page asks for, and what the browser says of it.
async function open(context, url) {
  const page = await context.newPage();
  const [requests, complaints] = [[], []];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url, { waitUntil: "networkidle", timeout: LIMIT_MS });
  return { page, requests, complaints };
}

async function judge(page) {
  // Through the debugger, which no policy of the page holds back; the page itself runs no script.
  await page.evaluate(axe.source);
  const options = { runOnly: { type: "tag", values: RULES }, preload: false };
  return page.evaluate((options) => window.axe.run(document, options), options);
}

async function look(browser, { name, url }, viewport, scheme, pictures) {
  const findings = [];
  const context = await browser.newContext({ viewport, colorScheme: scheme, deviceScaleFactor: 1 });
  const { page, requests, complaints } = await open(context, url);
  const where = `${name} ${viewport.width}x${viewport.height} ${scheme}`;
  if (requests.length !== 1) findings.push(`asks for more than itself: ${requests.join(" ")}`);
  // The browser itself tells of an answer of 403; that is the page that was asked for.
  const told = complaints.filter((text) => !text.includes("the server responded with a status of 403"));
  told.forEach((text) => findings.push(`the browser says: ${text}`));
  const styled = await page.evaluate(() => getComputedStyle(document.body).maxWidth !== "none");
  if (!styled) findings.push("the stylesheet is not in force");
  if (pictures) {
    const path = join(pictures, `${name}-${viewport.width}-${scheme}.png`);
    await page.screenshot({ path, fullPage: true });
  }
  const result = await judge(page);
  for (const violation of result.violations) {
    const nodes = violation.nodes.slice(0, 3).map((node) => `${node.html}: ${node.failureSummary}`);
    findings.push(`${violation.id}: ${violation.help}\n    ${nodes.join("\n    ")}`);
  }
  for (const open of result.incomplete) {
    findings.push(...open.nodes.map((node) => `${open.id} could not be judged: ${node.html}`));
  }
  // Colours change nothing in what has which width.
  for (const width of scheme === SCHEMES[0] ? WIDTHS : []) {
    await page.setViewportSize({ width, height: viewport.height });
    const wide = await page.evaluate(stickingOut);
    wide.forEach((element) => findings.push(`sticks out at ${width} pixels: ${element}`));
  }
  await context.close();
  console.log(`${findings.length === 0 ? "good" : "BAD"}  ${where}, ${result.passes.length} rules of axe-core passed`);
  findings.forEach((finding) => console.log(`  ${finding}`));
  return findings.length;
}

async function main() {
  const { pages, pictures } = read(process.argv.slice(2));
  if (pictures) mkdirSync(pictures, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "ingam-browser-"));
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const env = { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile };
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, env, timeout: LIMIT_MS });
  let findings = 0;
  try {
    for (const page of pages)
      for (const viewport of VIEWPORTS)
        for (const scheme of SCHEMES) findings += await look(browser, page, viewport, scheme, pictures);
  } finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
  }
  console.log(`${pages.length} pages, ${findings} findings, axe-core ${axe.version}, Chromium ${browser.version()}`);
  process.exitCode = findings === 0 ? 0 : 1;
}

await main();
