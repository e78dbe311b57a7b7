// SPDX-License-Identifier: Apache-2.0
// Says which texts Ajv, a validator of JSON Schema, finds valid.
//
//     node peer_schemas.mjs < LINES > VERDICTS
//
// A line is {"schema": …, "texts": ["…", …]}; its answer a list of true, false or null (not JSON).
import { createRequire } from "node:module";
import { join } from "node:path";
import { readFileSync } from "node:fs";

const require = createRequire(join(process.env.ENXAME_PEERS, "package.json"));
const Ajv = require("ajv/dist/2020").default;
const add_formats = require("ajv-formats").default;
const is_valid = (check, text) => {
    try {
        return check(JSON.parse(text));
    } catch {
        return null;
    }
};

for (const line of readFileSync(0, "utf8").trim().split("\n")) {
    const { schema, texts } = JSON.parse(line);
    const ajv = new Ajv({ strict: false, multipleOfPrecision: 9 });
    add_formats(ajv);
    const check = ajv.compile(schema);
    console.log(JSON.stringify(texts.map((text) => is_valid(check, text))));
}
