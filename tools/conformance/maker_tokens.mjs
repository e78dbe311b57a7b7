// SPDX-License-Identifier: Apache-2.0
// The tokens that the vocabulary's makers' own encoder gives (transformers.js of the npm package).
//
//     node maker_tokens.mjs PACKAGE < TEXTS
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.env.ENXAME_PEERS + "/package.json");
const encoder = require(process.argv[2]).fromPreTrained();
for (const text of readFileSync(0, "utf8").split("\0").slice(0, -1))
    console.log(encoder.encode(text, { add_special_tokens: false }).join(" "));
