// Tests the page of `make demo-web` in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type FrameLocator, type Page } from "playwright-core";
import { openSite, type Site } from "../demo/web/site.ts";
import { versions } from "./support/prosody.ts";

const main = fileURLToPath(new URL("../demo/web.ts", import.meta.url));
/** A screenshot for the README. */
const screenshot = fileURLToPath(new URL("../.build/demo-web.png", import.meta.url));
const executablePath = "/usr/bin/chromium";
const skip = !existsSync(executablePath) && `not tested in a browser: there is no ${executablePath}`;
const patience = 30_000;

const switches = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    // Chromium has no sandbox for root.
    "--no-sandbox",
];

test("make demo-web starts and ends", async () => {
    const env = { ...process.env, NO_COLOR: "1", ONCE: "1" };
    const demo = spawn(process.execPath, ["--import", "tsx", main], { env, stdio: ["ignore", "pipe", "inherit"] });
    const output: string[] = [];
    demo.stdout.on("data", (data) => output.push(String(data)));
    assert.deepEqual(await once(demo, "close"), [0, null]);
    assert.match(output.join(""), /^Open http:\/\/127\.0\.0\.1:\d+\/ in a browser/);
});

describe("the demo's page", { skip }, () => {
    let site: Site;
    let browser: Browser;
    let page: Page;
    const problems: string[] = [];

    before(async () => {
        [site, browser] = await Promise.all([
            openSite(versions.at(-1) ?? "0.12"),
            chromium.launch({ executablePath, args: switches, timeout: patience }),
        ]);
        page = await browser.newPage({ viewport: { width: 1440, height: 620 } });
        page.setDefaultTimeout(patience);
        page.on("pageerror", ({ message }) => problems.push(message));
        page.on("request", (request) => {
            if (!["127.0.0.1", ""].includes(new URL(request.url()).hostname)) {
                problems.push(`asks for ${request.url()}`);
            }
        });
        await page.goto(site.url);
    });

    after(async () => {
        await browser.close();
        await site.close();
    });

    function device(name: string): FrameLocator {
        return page.frameLocator(`#${name} iframe`);
    }

    async function bobSays(body: string): Promise<void> {
        const field = device("desk").locator("textarea.chat-textarea");
        await field.fill(body);
        await field.press("Enter");
        await sees("desk", body);
    }

    async function sees(name: string, body: string): Promise<void> {
        await device(name).locator(".chat-msg__text", { hasText: body }).waitFor();
    }

    /** Returns the state of a message, as the panel shows it. */
    async function copiesOf(body: string): Promise<string> {
        return page.locator("#messages li", { hasText: body }).locator("b").innerText();
    }

    /** Waits until the server has a session in the room, or out of it. */
    async function is(state: "in" | "out", name: string): Promise<void> {
        await page.locator(`#sessions tr.${state}`, { hasText: `/${name}` }).waitFor();
    }

    test("R1: one copy arrives, and both of Alice's devices show it", async () => {
        await is("in", "phone");
        await is("in", "laptop");
        await device("desk").locator("textarea.chat-textarea").waitFor();
        await bobSays("Tea is ready");
        await sees("phone", "Tea is ready");
        await sees("laptop", "Tea is ready");
        assert.equal(await copiesOf("Tea is ready"), "1 in → 2 out");
    });

    test("L1, H2: a device that was off gets all messages, and the room does not see it leave", async () => {
        await page.locator("#phone button").click();
        await is("out", "phone");
        await bobSays("With milk?");
        await sees("laptop", "With milk?");
        assert.equal(await copiesOf("With milk?"), "1 in → 1 out");
        await page.locator("#laptop button").click();
        await is("out", "laptop");
        await bobSays("Hello?");
        assert.equal(await copiesOf("Hello?"), "1 in → 0 out");
        // The page replaces the rows. Text contents do not depend on the layout, unlike inner texts.
        const known = await page.locator("#occupants tr > *").allTextContents();
        assert.deepEqual(known, ["Alice", "alice@example.org/minimix", "Bob", "bob@example.net/desk"]);
        await page.locator("#phone button").click();
        await sees("phone", "Hello?");
        await sees("phone", "With milk?");
        await is("in", "phone");
    });

    test("the page fetches nothing from other servers, and has no errors", async () => {
        await page.screenshot({ path: screenshot });
        assert.deepEqual(problems, []);
        site.server.checkLog();
    });
});
