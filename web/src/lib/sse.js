// SPDX-License-Identifier: Apache-2.0
// sse.js - server-sent events out of a stream of text, as the HTML standard parses them.
//
//     const push = createEventParser((event) => …);   // {id, event, data}
//     push("da"); push("ta: 1\n\n");

const LINE_CHARS_MAX = 1 << 24;

export function createEventParser(emit) {
  let rest = "";
  let id = "";
  let event = "";
  let data = [];

  function take(line) {
    if (line === "") {
      if (data.length) emit({ id, event: event || "message", data: data.join("\n") });
      event = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  }

  return function push(text) {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    if (rest.length > LINE_CHARS_MAX) throw new Error("an event line is too long");
    for (const line of lines) take(line);
  };
}

// Read a response's body as events until it ends.
export async function readEvents(response, emit) {
  const push = createEventParser(emit);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    push(value);
  }
}
