// SPDX-License-Identifier: Apache-2.0
// Texts that are hard to cut into tokens, and conversations that are hard to render.

const words = [
    "The quick brown fox jumps over the lazy dog.",
    "don't can't I'LL we've THEY'RE it's 'tis",
    "O coração não é só açúcar; é também maçã.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Zażółć gęślą jaźń",
    "Tiếng Việt có nhiều dấu thanh điệu",
    "Straße ÜBER Größe ẞ",
    "Съешь же ещё этих мягких французских булок",
    "Ελληνικά γράμματα ΑΒΓ ᾧ",
    "שלום עולם עִבְרִית",
    "السلام عليكم ٠١٢٣٤٥٦٧٨٩",
    "नमस्ते दुनिया क्षत्रिय १२३",
    "สวัสดีชาวโลก ๑๒๓",
    "こんにちは世界。カタカナ ﾊﾝｶｸ",
    "你好，世界！人工智能正在改变一切。",
    "안녕하세요 세계 ㄱㄴㄷ",
    "ქართული ենხ Հայերեն",
    "ᚠᚢᚦᚨᚱᚲ 𐍈𐌰 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚",
    "😀😃😄 👨\u200D👩\u200D👧\u200D👦 🏳\uFE0F\u200D🌈 👍🏽 🇧🇷🇵🇹",
    "Z̸a̴l̵g̶o̷ t͜͡e͠x̕t͢",
    "e\u0301 é n\u0303 ñ \u212B Å ﬁ",
    "\u200B\u200D\uFEFF\u00AD\u2028\u2029",
    "a\u00A0b\u3000c\u2003d\u1680e",
    "ǅ ǈ ǋ ǲ İ ı ſ K",
    "½ ² Ⅷ ⑳ ٣ 〇 一二三",
];
const whitespace = [
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "a b",
    "a  b",
    "a   b",
    " a",
    "  a",
    "a ",
    "a  ",
    "\ta",
    "\t\ta",
    "a\nb",
    "a\n\nb",
    "a \n b",
    "a\n \nb",
    "a\r\nb\r\n",
    "    indented\n        more\n",
    "\n  \n\t x",
    "a\u0085b\u000Bc\fd",
    " \n",
    "\n ",
    "x \t\n y",
    "end of line   \nnext",
    "trailing\n\n\n",
];
const numbers = [
    "0",
    "12",
    "123",
    "1234",
    "12345",
    "123456789012",
    "3.14159",
    "1,234,567.89",
    "-42",
    "1e-10",
    "0x1F600",
    "007",
    "2024-07-26T12:34:56Z",
    "192.168.0.1",
    "10%",
    "$1,000.00",
    "№5",
    "a1b22c333",
    "1st 2nd 3rd",
    "1/2 + 3/4 = 5/4",
    "x²+y³",
    "100000000000000000000",
];
const code = [
    "int main(void) { return 0; }",
    "for (size_t i = 0; i < n; ++i) x[i] *= 2;\n",
    "def f(x):\n    return x**2  # comment\n",
    '<div class="a">&amp;</div>',
    "SELECT * FROM t WHERE a='b' -- c",
    '{"key": [1, 2.5, null, true], "s": "\\n\\u00e9"}',
    "https://example.org/a?b=c&d=%20#e",
    "a@b.co",
    "C:\\Users\\x\\n",
    "/usr/local/bin:$PATH",
    "std::vector<std::pair<int,int>>",
    "=>->::==!=<=>=&&||??",
    "camelCase snake_case SCREAMING_CASE kebab-case",
    "#include <stdio.h>\n#define X(a) #a\n",
    "\\frac{a}{b} $x_1^2$",
    "```c\nx\n```",
    "....",
    "!!!???",
    "(((())))",
    "--------",
    "______",
    "'''\"\"\"```",
    "@#$%^&*~`",
    "if x:\n\tif y:\n\t\tz\n",
];
const special = [
    "<s>",
    "</s>",
    "<|endoftext|>",
    "<|im_start|>user\n",
    "<|eot_id|>",
    "<bos>",
    "[INST] x [/INST]",
    "<unk>",
    "<0x0A>",
    "▁",
    "▁▁a",
    "Ġ",
    "Ċ",
    "<think>x</think>",
    "<|start_header_id|>",
    "<pad>",
];

// A fixed sequence of numbers below n.
function* draws() {
    for (let x = 12345n; ;) {
        x = (x * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
        yield Number(x >> 33n);
    }
}

export function hard_texts() {
    const all = [...words, ...whitespace, ...numbers, ...code, ...special];
    const chance = draws();
    const pick = (from) => from[chance.next().value % from.length];
    for (let i = 0; i < 120; i++) {
        const glue = pick(["", " ", "\n", "  ", "\t"]);
        all.push(
            [pick(words), pick(numbers), pick(whitespace), pick(code), pick(words)]
                .slice(0, 2 + (i % 4))
                .join(glue),
        );
    }
    for (let i = 0; i < 40; i++)
        all.push(Array.from({ length: 12 + i }, () => pick([...pick(words)])).join(""));
    return all.filter((text) => text.length > 0);
}

const call = {
    type: "function",
    id: "call_001aB",
    function: { name: "weather", arguments: { city: "São Paulo", days: 2 } },
};
const tool = {
    type: "function",
    function: {
        name: "weather",
        description: "The weather of a city.",
        parameters: {
            type: "object",
            properties: {
                city: { type: "string", description: "its name" },
                days: { type: "integer" },
            },
            required: ["city"],
        },
    },
};

export function contexts(config) {
    const name = (value) => (typeof value === "string" ? value : value?.content) ?? "";
    const base = {
        bos_token: name(config.bos_token),
        eos_token: name(config.eos_token),
        unk_token: name(config.unk_token),
        pad_token: name(config.pad_token),
    };
    const user = { role: "user", content: "Olá!  <b>\"x\" & 'y'</b>\n" },
        answer = { role: "assistant", content: "Oi. \n" };
    const chats = [
        [user],
        [user, answer, { role: "user", content: "e agora?" }],
        [{ role: "system", content: "Be brief. " }, user],
        [{ role: "system", content: "" }, user, answer, user],
        [user, user],
        [answer],
        [{ role: "user", content: "" }],
        [user, { role: "assistant", content: "<think>hm</think>\n\n42" }, user],
        [user, { role: "assistant", reasoning_content: "hm", content: "42" }, user],
        [
            user,
            { role: "assistant", content: "", tool_calls: [call] },
            { role: "tool", name: "weather", tool_call_id: "call_001aB", content: '{"t": 21}' },
            answer,
            user,
        ],
        [{ role: "function", content: "x" }],
        [{ role: "user", content: [{ type: "text", text: "part" }] }],
    ];
    const out = [];
    for (const messages of chats)
        for (const add_generation_prompt of [true, false])
            for (const more of [{}, { tools: [tool] }, { enable_thinking: false }])
                out.push({ ...base, messages, add_generation_prompt, ...more });
    return out;
}
