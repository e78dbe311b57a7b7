/* SPDX-License-Identifier: Apache-2.0 */
/* cli_examples.c - JSON lines, read, shown, and made into a test. */
#include "cli/cli_examples.h"

#include "base/mem.h"

#include <jansson.h>
#include <string.h>

struct cli_examples {
    json_t *rows; /* owned: those of the file */
    bool    are_calls;
};

static const char python_test[] =
    "import json\nimport program\n\n\ndef plain(value):\n"
    "    return json.loads(json.dumps(value, default=list))\n\n\n"
    "for row in json.loads(%s):\n"
    "    got = eval(row['call'], dict(vars(program)))\n"
    "    assert plain(got) == row['output'], (\n"
    "        f\"{row['call']} gives {got!r}, and should give {row['output']!r}\")\n";

static const char js_test[] =
    "const assert = require('assert');\nconst program = require('./program.js');\n"
    "const names = typeof program === 'function' ? { [program.name]: program } : program;\n"
    "for (const row of JSON.parse(%s)) {\n"
    "  const body = Function(...Object.keys(names), `return (${row.call});`);\n"
    "  const got = body(...Object.values(names)) ?? null;\n"
    "  assert.deepStrictEqual(JSON.parse(JSON.stringify(got)), row.output,\n"
    "    `${row.call} gives ${JSON.stringify(got)}, and should give "
    "${JSON.stringify(row.output)}`);\n"
    "}\n";

/* ---- Reading -------------------------------------------------------------------------------- */

static bool is_row(const json_t *row, bool is_call)
{
    const json_t *input = json_object_get(row, "input"), *output = json_object_get(row, "output");
    if (is_call) return !input && output && json_is_string(json_object_get(row, "call"));
    return json_is_string(output) && (!input || json_is_string(input));
}

static enx_status add_row(cli_examples *e, const char *name, const char *line, size_t size_bytes,
                          size_t number, enx_report *report)
{
    json_t    *row = json_loadb(line, size_bytes, 0, NULL);
    const bool is_call = json_object_get(row, "call") != NULL;
    if (json_array_size(e->rows) == 0) e->are_calls = is_call;
    if (!is_row(row, is_call) || is_call != e->are_calls) {
        json_decref(row);
        return ENX_FAIL(report, FORMAT,
                        "%s:%zu: no example; expected {\"input\": TEXT, \"output\": TEXT}, or "
                        "{\"call\": TEXT, \"output\": VALUE}, and one kind in a file",
                        name, number);
    }
    if (json_array_append_new(e->rows, row) != 0)
        return ENX_FAIL(report, NOMEM, "no memory for examples");
    return ENX_OK;
}

static enx_status read_rows(cli_examples *e, const char *name, const char *text, enx_report *report)
{
    size_t number = 0;
    for (const char *at = text; *at;) {
        const size_t size = strcspn(at, "\n");
        number++;
        if (strspn(at, " \t\r") < size) ENX_TRY(add_row(e, name, at, size, number, report));
        at += size + (at[size] == '\n');
    }
    const size_t count = json_array_size(e->rows);
    if (count == 0) return ENX_FAIL(report, FORMAT, "%s: there is no example in it", name);
    if (count > CLI_EXAMPLES_MAX)
        return ENX_FAIL(report, LIMIT, "%s: %zu examples; at most %d", name, count,
                        CLI_EXAMPLES_MAX);
    return ENX_OK;
}

enx_status cli_examples_open(cli_examples **out, const char *name, const char *text,
                             enx_report *report)
{
    cli_examples *e = ENX_MEM_NEW(cli_examples, 1);
    if (e) e->rows = json_array();
    enx_status status = e && e->rows ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for examples");
    if (status == ENX_OK) status = read_rows(e, name, text, report);
    if (status == ENX_OK) *out = e;
    else cli_examples_close(&e);
    return status;
}

void cli_examples_close(cli_examples **examples)
{
    if (*examples) json_decref((*examples)->rows);
    enx_mem_free(*examples);
    *examples = NULL;
}

/* ---- What they say -------------------------------------------------------------------------- */

size_t cli_examples_count(const cli_examples *e) { return json_array_size(e->rows); }

bool cli_examples_are_calls(const cli_examples *e) { return e->are_calls; }

cli_example cli_examples_get(const cli_examples *e, size_t index)
{
    const json_t *row = json_array_get(e->rows, index), *input = json_object_get(row, "input");
    return (cli_example){ .input = input ? json_string_value(input) : "",
                          .output = json_string_value(json_object_get(row, "output")) };
}

static int append_part(const char *bytes, size_t size_bytes, void *out)
{
    return enx_buf_append(out, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

static enx_status append_json(enx_buf *out, const json_t *value, size_t flags)
{
    const size_t form = JSON_ENCODE_ANY | JSON_COMPACT | flags;
    return json_dump_callback(value, append_part, out, form) == 0 ? ENX_OK : ENX_NOMEM;
}

enx_status cli_examples_show(enx_buf *out, const cli_examples *e)
{
    const size_t start = out->size_bytes;
    size_t       index;
    json_t      *row;
    json_array_foreach (e->rows, index, row) {
        if (out->size_bytes - start > CLI_EXAMPLES_SHOWN_BYTES_MAX) break;
        ENX_TRY(append_json(out, row, 0));
        ENX_TRY(enx_buf_append_text(out, "\n"));
    }
    return ENX_OK;
}

/* The rows as a text literal, which is the same in both languages: JSON of ASCII within JSON. */
static enx_status append_literal(enx_buf *out, const json_t *rows)
{
    enx_buf inner;
    enx_buf_init(&inner, 2 * CLI_EXAMPLES_BYTES_MAX);
    enx_status status = append_json(&inner, rows, JSON_ENSURE_ASCII);
    json_t    *text = status == ENX_OK ? json_string(enx_buf_text(&inner)) : NULL;
    if (status == ENX_OK) status = text ? append_json(out, text, JSON_ENSURE_ASCII) : ENX_NOMEM;
    json_decref(text);
    enx_buf_deinit(&inner);
    return status;
}

enx_status cli_examples_test(enx_buf *out, const cli_examples *e, const char *language,
                             enx_report *report)
{
    const char *form = strcmp(language, "python") == 0 ? python_test
                       : strcmp(language, "js") == 0   ? js_test
                                                       : NULL;
    if (!form)
        return ENX_FAIL(report, UNSUPPORTED,
                        "examples of calls are for python and js; for %s give \"input\" and "
                        "\"output\", or a test",
                        language);
    const char *hole = strstr(form, "%s");
    if (enx_buf_append(out, form, (size_t)(hole - form)) != ENX_OK ||
        append_literal(out, e->rows) != ENX_OK || enx_buf_append_text(out, hole + 2) != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for a test of %zu examples",
                        cli_examples_count(e));
    return ENX_OK;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

/* Bytes of the line without white space at its end. */
static size_t trimmed(const char *line, size_t size_bytes)
{
    while (size_bytes > 0 && strchr(" \t\r", line[size_bytes - 1])) size_bytes--;
    return size_bytes;
}

bool cli_examples_agree(const char *output, const char *expected)
{
    while (*output || *expected) {
        const size_t a = strcspn(output, "\n"), b = strcspn(expected, "\n");
        const size_t short_a = trimmed(output, a), short_b = trimmed(expected, b);
        if (short_a != short_b || memcmp(output, expected, short_a) != 0) return false;
        output += a + (output[a] == '\n');
        expected += b + (expected[b] == '\n');
    }
    return true;
}
