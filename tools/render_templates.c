/* SPDX-License-Identifier: Apache-2.0 */
/* render_templates.c - chat templates with the contexts that a line of JSON gives.
 *
 *     render_templates < JOBS     a line: {"template": "...", "context": {...}}
 *
 * Prints a line of JSON for each: {"text": "..."} or {"error": "..."}.
 */
#include "base/buf.h"
#include "text/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 16 << 20 };

/* Every clock here shows the same moment, 2024-07-26. */
static const int64_t now_s = 1721952000;

static enx_status render(const json_t *job, enx_buf *out, enx_report *report)
{
    const json_t *text = json_object_get(job, "template");
    enx_template *template = NULL;
    ENX_TRY(
        enx_template_open(&template, json_string_value(text), json_string_length(text), report));
    const enx_status status =
        enx_template_render(template, json_object_get(job, "context"), now_s, out, report);
    enx_template_close(&template);
    return status;
}

static void print(const char *key, const char *text, size_t size_bytes)
{
    json_t *line = json_pack("{s:s%}", key, text, size_bytes);
    char   *dump = json_dumps(line, JSON_COMPACT);
    puts(dump ? dump : "{\"error\": \"not UTF-8\"}");
    free(dump);
    json_decref(line);
}

int main(void)
{
    char  *line = NULL;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0;) {
        enx_report report = { 0 };
        enx_buf    out;
        json_t    *job = json_loadb(line, (size_t)size, 0, NULL);
        enx_buf_init(&out, TEXT_BYTES_MAX);
        if (!json_is_string(json_object_get(job, "template"))) {
            fprintf(stderr, "render_templates: a line has no template\n");
            return 64;
        }
        if (render(job, &out, &report) == ENX_OK) print("text", enx_buf_text(&out), out.size_bytes);
        else print("error", report.text, strlen(report.text));
        enx_buf_deinit(&out);
        json_decref(job);
    }
    free(line);
    return 0;
}
