// SPDX-License-Identifier: Apache-2.0
// artifact.test.mjs - artifacts: drawn while they are written, run, mended, compared.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOWN, answered, ask, shownFrame, sleep, until, withPage } from "./browser.mjs";

const panel = (page) => page.locator(".artifact-panel");

test("a page is drawn while it is written, without flicker, and runs when it is whole", () =>
  withPage({}, async (page) => {
    await ask(page, "slowclock");
    const frame = await (await page.waitForSelector(SHOWN)).contentFrame();
    await page.waitForSelector(".badge.is-live");
    // The parts appear one after the other in one document.
    const early = await frame.waitForFunction(() => {
      const face = document.querySelector("#face");
      if (!face) return null;
      face.mark = "the same element";
      const color = getComputedStyle(document.body).backgroundColor;
      return { color, hasEnd: document.querySelector("p") !== null };
    });
    assert.deepEqual(await early.jsonValue(), { color: "rgb(16, 35, 60)", hasEnd: false });
    await frame.waitForSelector("p");
    assert.equal(
      await frame.evaluate(() => document.querySelector("#face").mark),
      "the same element",
    );
    assert.equal(await frame.innerText("#face"), "00:00:00", "no script runs in the draft");
    assert.equal(await page.locator(".frames iframe").count(), 1);
    await answered(page);
    await until(
      async () => (await page.locator(".frames iframe").count()) === 1,
      "one frame is left",
    );
    const face = shownFrame(page).locator("#face");
    await until(async () => (await face.innerText()) !== "00:00:00", "the clock ticks");
    assert.equal(await panel(page).getByText("Console").count(), 0);
  }));

test("at every moment of writing, something is shown", () =>
  withPage({}, async (page) => {
    await page.evaluate(() => {
      window.empty = 0;
      const look = () => {
        const place = document.querySelector(".frames");
        if (place && window.began && !place.querySelector(".is-shown")) window.empty++;
        if (place?.querySelector(".is-shown")) window.began = true;
        requestAnimationFrame(look);
      };
      look();
    });
    await ask(page, "clock");
    await answered(page);
    await sleep(800);
    assert.equal(await page.evaluate(() => window.empty), 0);
  }));

test("an artifact that throws is mended by one click", () =>
  withPage({}, async (page) => {
    await ask(page, "broken");
    await answered(page);
    await page.waitForSelector(".console.has-errors");
    assert.match(await panel(page).locator(".console-first").innerText(), /lable is not defined/);
    await panel(page)
      .getByRole("button", { name: /Console/ })
      .click();
    assert.match(await panel(page).locator(".console-error small").first().innerText(), /line 6/);
    await panel(page).getByRole("button", { name: "Repair" }).click();
    await until(
      async () => (await page.locator(".message").count()) === 4,
      "the answer to the repair",
    );
    await answered(page);
    assert.match(
      await page.locator(".repair summary").innerText(),
      /error of index\.html went back/,
    );
    const button = shownFrame(page).locator("#b");
    await until(async () => (await button.innerText()) === "mended", "the mended page");
    await until(async () => (await page.locator(".console.has-errors").count()) === 0, "no errors");
    assert.match(await panel(page).innerText(), /Version 2 \/ 2/);
  }));

test("by itself an error is sent three times at most", () =>
  withPage({}, async (page) => {
    await page.evaluate(() => localStorage.setItem("enxame.settings", '{"autofix":true}'));
    await page.reload();
    await ask(page, "stubborn");
    await until(async () => (await page.locator(".repair").count()) === 3, "three repairs", 20000);
    await answered(page);
    await page.waitForSelector(".console.has-errors");
    await sleep(2500);
    assert.equal(await page.locator(".repair").count(), 3);
    assert.match(await panel(page).innerText(), /3 repairs in a row did not help/);
    await ask(page, "broken");
    await until(
      async () => (await page.locator(".repair").count()) === 4,
      "a new word counts anew",
      20000,
    );
  }));

test("versions can be walked, compared, read and downloaded", () =>
  withPage({}, async (page) => {
    await ask(page, "clock");
    await answered(page);
    await ask(page, "blue");
    await until(async () => (await panel(page).innerText()).includes("Version 2 / 2"), "version 2");
    await answered(page);
    await panel(page).getByRole("tab", { name: "Changes" }).click();
    const diff = panel(page).locator(".diff");
    assert.match(await diff.locator(".is-added").innerText(), /#1d4fa3/);
    assert.match(await diff.locator(".is-removed").innerText(), /#10233c/);
    assert.match(await diff.innerText(), /\+1 −1/);
    await panel(page).getByRole("button", { name: "Version before" }).click();
    await panel(page).getByRole("tab", { name: "Preview" }).click();
    const body = shownFrame(page).locator("body");
    const color = () => body.evaluate((element) => getComputedStyle(element).backgroundColor);
    await until(async () => (await color()) === "rgb(16, 35, 60)", "the first version");
    await panel(page).getByRole("tab", { name: "Source" }).click();
    assert.match(await panel(page).locator(".source").innerText(), /setInterval\(tick, 250\)/);
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      panel(page).getByRole("button", { name: "Download" }).click(),
    ]);
    assert.equal(file.suggestedFilename(), "index.html");
  }));

test("tool calls, bare documents and fences that never close are artifacts, too", () =>
  withPage({}, async (page) => {
    for (const [word, name] of [
      ["tool", "tool.html"],
      ["bare", "page.html"],
      ["cut", "drawing.svg"],
    ]) {
      await ask(page, word);
      await until(
        async () => (await panel(page).locator("h2").first().textContent()) === name,
        name,
      );
      await answered(page);
      await shownFrame(page)
        .locator(word === "cut" ? "circle" : "#face")
        .waitFor();
    }
    assert.equal(await panel(page).locator(".artifact-picker option").count(), 3);
    const after = page.locator(".message.is-model").nth(1);
    assert.match(await after.innerText(), /That is all\./);
  }));

test("diagrams and tables are drawn by the page itself", () =>
  withPage({}, async (page) => {
    await ask(page, "flow");
    await answered(page);
    assert.equal(await panel(page).locator(".flow-node").count(), 8);
    assert.equal(await panel(page).locator(".flow-edge").count(), 9);
    await ask(page, "table");
    await until(async () => (await panel(page).locator("table.data").count()) === 1, "the table");
    await answered(page);
    await panel(page).getByRole("button", { name: "parameters" }).click();
    const cells = await panel(page).locator("tbody td:first-child").allInnerTexts();
    assert.deepEqual(cells, ["scout", 'restore-es "small"', "lead"]);
  }));

test("honest pages work in the sandbox: storage, forms, dialogs, anchors", () =>
  withPage({}, async (page) => {
    await ask(
      page,
      `page <form id="f"><input name="n" value="7" required><button>Add</button></form>
<ul id="l"></ul>
<script>
localStorage.setItem("a", "1");
document.getElementById("f").addEventListener("submit", (e) => {
  e.preventDefault();
  const li = document.createElement("li");
  li.textContent = localStorage.getItem("a") + f.n.value;
  if (confirm("Sure?")) l.append(li);
});
document.addEventListener("DOMContentLoaded", () => document.body.dataset.ready = "yes");
</script>`,
    );
    await answered(page);
    const frame = shownFrame(page);
    await frame.locator('body[data-ready="yes"]').waitFor();
    await frame.locator("button").click();
    assert.equal(await frame.locator("#l").innerText(), "17");
    await frame.locator("input").focus();
    await page.keyboard.press("Enter");
    assert.equal(await frame.locator("li").count(), 2);
    assert.equal(await page.locator(".console.has-errors").count(), 0);
  }));
