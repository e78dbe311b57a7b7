// SPDX-License-Identifier: Apache-2.0
// Which of many changed texts is JavaScript?  Runs in the sandbox; as parser_ask.py.  A text that
// imports or exports is a module, any other a script; V8 does not
// tell places in modules.
const fs = require('fs');
const vm = require('vm');
const milliseconds = 8000;
const text = fs.readFileSync('text.txt');
const changes = JSON.parse(fs.readFileSync('changes.json', 'utf8'));
const isModule = /^\s*(import\b(?!\s*\()|export\b)/m.test(text.toString());

function refuse(source) {
  try {
    if (isModule) new vm.SourceTextModule(source, {identifier: 'x'});
    else new vm.Script(source, {filename: 'x'});
    return [];
  } catch (e) {
    const lines = String(e.stack).split('\n');
    const at = /^(?:file:\/\/\/)?x:(\d+)$/.exec(lines[0]);
    return [at ? +at[1] : 0, at ? lines[2].indexOf('^') + 1 : 0, e.message];
  }
}

const end = Date.now() + milliseconds;
for (const [at, remove, insert] of changes) {
  const source = Buffer.concat([text.subarray(0, at), Buffer.from(insert),
                                text.subarray(at + remove)]).toString();
  console.log(JSON.stringify(Date.now() > end ? null : refuse(source)));
}
