// SPDX-License-Identifier: Apache-2.0
// Schemas as people write them, a few for each keyword: what their grammars take must be valid.
const object = (properties, more = {}) => ({
    type: "object",
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
    ...more,
});
const text = { type: "string" };
const strings = [
    "date",
    "time",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
];
const patterns = [
    "^[A-Z]{2}-\\d{4}$",
    "^(?:\\+|00)[1-9][0-9 ]{6,12}$",
    "t$|^d",
    '^[^\\s@"]+@[a-z]+\\.(com|org)$',
    "^\\w+(\\.\\w+)*$",
    "\\$[0-9]+(?:\\.[0-9]{2})?$",
    "^[\\u00e0-\\u00ff\\n\\\\]{1,3}.$",
    "^\\S\\D\\W[\\s\\]-]?$",
];
const numbers = [
    { type: "integer" },
    { type: "number" },
    { type: "integer", minimum: 0, maximum: 130 },
    { type: "integer", exclusiveMinimum: -1000, exclusiveMaximum: -7 },
    { type: "integer", multipleOf: 15, maximum: 1e6 },
    { type: "integer", minimum: 5, multipleOf: 1000 },
    { type: "number", minimum: -1, maximum: 1 },
    { type: "number", exclusiveMinimum: 0 },
    { type: "number", minimum: 9.75, maximum: 120.5, multipleOf: 0.25 },
    { type: "number", maximum: -0.001 },
];

export const schemas = [
    {},
    { type: ["object", "null"] },
    { enum: ["a", 1, null, [1, { b: 'ü"' }]] },
    { const: { x: [true] } },
    ...numbers,
    ...strings.map((format) => ({ type: "string", format })),
    ...patterns.map((pattern) => ({ type: "string", pattern })),
    { type: "string", minLength: 3, maxLength: 8 },
    { type: "array", items: { type: "integer" }, minItems: 2, maxItems: 4 },
    { type: "array", prefixItems: [text, { type: "boolean" }], items: { type: "null" } },
    object({
        name: text,
        age: { type: "integer", minimum: 0 },
        mail: { ...text, format: "email" },
    }),
    { type: "object", properties: { a: text, b: { type: "number" }, c: { type: "null" } } },
    {
        type: "object",
        properties: { ab: { type: "integer" }, abc: { type: "integer" }, é: { type: "null" } },
        additionalProperties: { type: "string", maxLength: 2 },
    },
    {
        type: "object",
        additionalProperties: { type: "integer" },
        minProperties: 1,
        maxProperties: 3,
    },
    { type: "object", required: ["x", "y"], properties: { y: { const: 1 } } },
    {
        $ref: "#/$defs/node",
        $defs: {
            node: object({
                value: { type: "integer", minimum: 0, maximum: 9 },
                children: { type: "array", items: { $ref: "#/$defs/node" }, maxItems: 2 },
            }),
        },
    },
    {
        allOf: [
            { $ref: "#/definitions/base" },
            { properties: { extra: text }, required: ["extra"] },
        ],
        definitions: {
            base: {
                type: "object",
                properties: { id: { type: "integer" } },
                required: ["id"],
            },
        },
    },
    {
        anyOf: [
            object({
                kind: { const: "circle" },
                radius: { type: "number", exclusiveMinimum: 0 },
            }),
            object({
                kind: { const: "box" },
                sides: { type: "array", items: { type: "integer" }, maxItems: 3 },
            }),
        ],
    },
    {
        type: "object",
        properties: { kind: text },
        required: ["kind"],
        oneOf: [
            { properties: { kind: { const: "a" }, a: { type: "integer" } }, required: ["a"] },
            { properties: { kind: { const: "b" }, b: { type: "string" } }, required: ["b"] },
        ],
    },
    object({
        steps: {
            type: "array",
            items: object({ explanation: text, output: text }),
            minItems: 1,
        },
        final_answer: { anyOf: [text, { type: "null" }] },
    }),
];
