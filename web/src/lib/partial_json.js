// SPDX-License-Identifier: Apache-2.0
// partial_json.js - text members of a JSON object that is still being written.
//
//     textMembers('{"path": "a.html", "content": "<p>he')
//         ->  [{key: "path", text: "a.html", isClosed: true},
//              {key: "content", text: "<p>he", isClosed: false}]
//
// Members of the outermost object only.  An escape that is cut is left out until it is whole.

const STRING = /"((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)("?)/y;

function unescape(raw) {
  try {
    return JSON.parse(`"${raw.replace(/[\u0000-\u001f]/g, escapeControl)}"`);
  } catch {
    return raw;
  }
}

function escapeControl(char) {
  return "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
}

function readString(json, at) {
  STRING.lastIndex = at;
  const match = STRING.exec(json);
  if (!match) return null;
  return { text: unescape(match[1]), isClosed: match[2] === '"', end: STRING.lastIndex };
}

export function textMembers(json) {
  const members = [];
  let depth = 0;
  let key = null; // of the member whose value comes next
  for (let at = 0; at < json.length;) {
    const char = json[at];
    if (char !== '"') {
      if (char === "{" || char === "[") depth++;
      else if (char === "}" || char === "]") depth--;
      if (char === "," && depth === 1) key = null;
      at++;
      continue;
    }
    const string = readString(json, at);
    if (depth === 1 && key === null) key = string.text;
    else if (depth === 1) members.push({ key, text: string.text, isClosed: string.isClosed });
    if (!string.isClosed) break;
    at = string.end;
  }
  return members;
}
