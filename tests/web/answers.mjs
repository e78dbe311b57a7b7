// SPDX-License-Identifier: Apache-2.0
// answers.mjs - what the scripted model says: the first word of the question chooses.

const CLOCK = `<!doctype html>
<html lang="en">
<head>
<title>Clock</title>
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center;
         font: 16px system-ui; background: #10233c; color: #f3ead8; }
  #face { font-size: 17vw; font-variant-numeric: tabular-nums; letter-spacing: -.03em; }
  p { opacity: .7 }
</style>
</head>
<body>
<main>
  <div id="face">00:00:00</div>
  <p>Local time, to the second.</p>
</main>
<script>
  const face = document.getElementById("face");
  const tick = () => { face.textContent = new Date().toTimeString().slice(0, 8); };
  setInterval(tick, 250);
  tick();
</script>
</body>
</html>
`;

const page = (body) =>
  `\`\`\`html index.html\n<!doctype html>\n<html><body>\n${body}\n</body></html>\n\`\`\`\n`;

const BROKEN = page(`<button id="b">Press</button>
<script>
  const b = document.getElementById("b");
  b.textContent = lable;
</script>`);
const MENDED = page(`<button id="b">Press</button>
<script>
  const b = document.getElementById("b");
  b.textContent = "mended";
</script>`);

const MARKDOWN = `## What a swarm is

A **large model plans**, many *small* ones work:

1. the text is taken apart,
2. every part goes to a worker,
3. every answer is checked.

| language | words right |
|---|---|
| es | 94.2 % |
| vi | 89.4 % |

\`\`\`python
def check(answer, text):
    return damage(answer) == text  # byte for byte
\`\`\`

> Nothing can be invented.

[A link](https://example.org) and a picture: ![alt](https://evil.example/pixel.png)

<script>window.stolen = 1</script><img src=x onerror="window.stolen = 1">
<a href="javascript:window.stolen=1">no</a>
`;

const FLOW = `Here it is:

\`\`\`mermaid
flowchart LR
  goal([Goal and text]) --> plan[Lead plans]
  plan --> scout{Which language?}
  scout -->|es| es[restore-es]
  scout -->|pt| pt[restore-pt]
  es --> check{Checks pass?}
  pt --> check
  check -->|yes| done([Answer])
  check -.->|no| lead[Lead answers]
  lead ==> done
\`\`\`
`;

const TABLE = `\`\`\`csv prices.csv
model,parameters,usd_per_mtok
lead,"20,000,000",0.0301
scout,1200000,0.0011
"restore-es ""small""",5000000,0.0152
\`\`\`
`;

const LOREM = (
  "The swarm works while you read: every paragraph is a task, every task has a worker, " +
  "and every answer is *checked* before it is accepted. "
).split(" ");

// About `tokens` words of Markdown with paragraphs, lists and code.
function longAnswer(tokens) {
  const pieces = [];
  for (let i = 0; pieces.length < tokens; i++) {
    if (i % 5 === 4) {
      pieces.push("\n\n```js\n");
      for (let j = 0; j < 12; j++)
        pieces.push("const ", "value", `${j} `, "= ", "compute(", "input", ");\n");
      pieces.push("```\n\n");
    } else if (i % 5 === 2) {
      for (let j = 0; j < 6; j++)
        pieces.push("\n- ", ...LOREM.slice(0, 12).map((word) => word + " "));
    } else {
      pieces.push("\n\n", `### Part ${i}\n\n`);
      for (let j = 0; j < 4; j++) pieces.push(...LOREM.map((word) => word + " "));
    }
  }
  return pieces.slice(0, tokens);
}

// As a model's tokens come: a few characters at a time.
function inPieces(text, size = 6) {
  return text.match(new RegExp("[^]{1," + size + "}", "g")) ?? [];
}

function toolCall(name, fields) {
  const json = JSON.stringify(fields);
  return inPieces(json, 9).map((part, i) => ({
    ...(i === 0 ? { id: "call_1", type: "function" } : {}),
    function: { ...(i === 0 ? { name } : {}), arguments: part },
  }));
}

const ANSWERS = {
  clock: () => ({
    pieces: inPieces(`A clock, as one file:\n\n\`\`\`html index.html\n${CLOCK}\`\`\`\n\nIt ticks.`),
    delayMs: 4,
  }),
  slowclock: () => ({ pieces: inPieces(`\`\`\`html index.html\n${CLOCK}\`\`\`\n`), delayMs: 25 }),
  blue: () => ({
    pieces: inPieces(`\`\`\`html index.html\n${CLOCK.replace("#10233c", "#1d4fa3")}\`\`\`\n`),
    delayMs: 1,
  }),
  broken: () => ({ pieces: inPieces(BROKEN), delayMs: 1 }),
  stubborn: () => ({ pieces: inPieces(BROKEN.replace("index", "stubborn")), delayMs: 1 }),
  markdown: () => ({ pieces: inPieces(MARKDOWN), delayMs: 1 }),
  flow: () => ({ pieces: inPieces(FLOW), delayMs: 1 }),
  table: () => ({ pieces: inPieces(TABLE), delayMs: 1 }),
  long: () => ({ pieces: longAnswer(5000), delayMs: 1 }),
  slow: () => ({ pieces: longAnswer(5000), delayMs: 20 }),
  tool: () => ({
    pieces: toolCall("write_file", { path: "tool.html", content: CLOCK }),
    delayMs: 1,
    calls: true,
  }),
  bare: () => ({ pieces: inPieces(`Here:\n\n${CLOCK}\nThat is all.`), delayMs: 1 }),
  cut: () => ({
    pieces: inPieces(
      `\`\`\`svg\n<svg viewBox="0 0 10 10"><circle cx="5" cy="5" r="4" fill="teal"/>`,
    ),
    delayMs: 1,
  }),
};

// {pieces, delayMs, calls}: calls: the pieces are deltas of a tool call
export function script(question, body) {
  if (question.includes("it reported")) {
    const name = /`([\w.]+)`/.exec(question)[1];
    return {
      pieces: inPieces(name === "stubborn.html" ? BROKEN.replace("index", "stubborn") : MENDED),
      delayMs: 1,
    };
  }
  const [word] = question.trim().split(/\s/);
  if (word === "page") return { pieces: inPieces(page(question.slice(5)), 40), delayMs: 0 };
  if (ANSWERS[word]) return ANSWERS[word]();
  const turns = body.messages.filter(({ role }) => role === "user").length;
  return {
    pieces: inPieces(`You said “${question.slice(0, 200)}” in turn ${turns}.`),
    delayMs: 1,
  };
}
