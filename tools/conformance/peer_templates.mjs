// SPDX-License-Identifier: Apache-2.0
// @huggingface/jinja's renderings of the jobs on stdin, in the format of render_templates.c.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const { Template } = await import(pathToFileURL(require.resolve("@huggingface/jinja")));

// Every clock here shows the same moment as in render_templates.c.
process.env.TZ = "UTC";
const Clock = Date;
globalThis.Date = class extends Clock {
    constructor(...when) {
        super(...(when.length ? when : [1721952000000]));
    }
};

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const job = JSON.parse(line);
    try {
        const text = new Template(job.template).render(job.context);
        console.log(JSON.stringify({ text }));
    } catch (error) {
        console.log(JSON.stringify({ error: String(error.message) }));
    }
}
