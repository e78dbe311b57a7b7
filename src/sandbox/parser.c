/* SPDX-License-Identifier: Apache-2.0 */
/* parser.c - the programs that ask a parser, and their answers. */
#include "sandbox/parser.h"

#include "base/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_BYTES = 16,
    FILES_MAX = ENX_PARSER_C_CHANGES_MAX,
    ANSWER_BYTES_MAX = 4 << 20,
};

extern const char          enx_parser_program_py[];
extern const unsigned long enx_parser_program_py_bytes;
extern const char          enx_parser_program_js[];
extern const unsigned long enx_parser_program_js_bytes;

static enx_sandbox_limits judge_limits(void)
{
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    limits.cpu_us = limits.wall_us = 60 * 1000000;
    limits.memory_bytes = (uint64_t)1 << 30;
    limits.stdout_bytes = limits.stderr_bytes = ANSWER_BYTES_MAX;
    return limits;
}

static void set_words(enx_parser_verdict *v, const char *words, size_t size)
{
    if (size >= sizeof v->words) size = sizeof v->words - 1;
    memcpy(v->words, words, size);
    v->words[size] = '\0';
}

/* ---- Python, JSON, JavaScript: one process for all ------------------------------------------ */

static int append_text(const char *text, size_t size, void *out)
{
    return enx_buf_append(out, text, size) == ENX_OK ? 0 : -1;
}

static enx_status append_changes(enx_buf *out, const enx_parser_change *changes, size_t count,
                                 enx_report *report)
{
    json_t *all = json_array();
    int     failed = all ? 0 : -1;
    for (size_t i = 0; i < count && failed == 0; i++)
        failed =
            json_array_append_new(all, json_pack("[I, I, s]", (json_int_t)changes[i].at,
                                                 (json_int_t)changes[i].remove, changes[i].insert));
    if (failed == 0) failed = json_dump_callback(all, append_text, out, JSON_COMPACT);
    json_decref(all);
    return failed == 0 ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for %zu changes", count);
}

static enx_status read_answer(enx_parser_verdict *v, const char *line, enx_report *report)
{
    json_t     *answer = json_loads(line, JSON_DECODE_ANY, NULL);
    json_int_t  row = 0, column = 0;
    const char *words = "";
    *v = (enx_parser_verdict){ .is_judged = json_is_array(answer) };
    v->is_accepted = v->is_judged && json_array_size(answer) == 0;
    const bool is_good = json_is_null(answer) || v->is_accepted ||
                         json_unpack(answer, "[I, I, s]", &row, &column, &words) == 0;
    v->line = row > 0 && row < INT32_MAX ? (uint32_t)row : 0;
    v->column = column > 0 && column < INT32_MAX ? (uint32_t)column : 0;
    set_words(v, words, strlen(words));
    json_decref(answer);
    return is_good ? ENX_OK : ENX_FAIL(report, IO, "the judge said what it cannot: %.80s", line);
}

static enx_status read_answers(enx_parser_verdict *verdicts, size_t count, enx_sandbox_result *r,
                               enx_report *report)
{
    char *line = r->out.data;
    if (r->is_stopped || r->exit_code != 0)
        return ENX_FAIL(report, LIMIT, "the parser did not end well: exit code %d, limit %s",
                        r->exit_code, enx_sandbox_limit_text(r->limit));
    for (size_t i = 0; i < count; i++) {
        char *end = line ? strchr(line, '\n') : NULL;
        if (!end) return ENX_FAIL(report, IO, "the judge left out %zu of %zu", count - i, count);
        *end = '\0';
        ENX_TRY(read_answer(&verdicts[i], line, report));
        line = end + 1;
    }
    return ENX_OK;
}

static enx_status judge_in_one(enx_parser_verdict *verdicts, const enx_sandbox *sandbox,
                               const char *language, const char *text, size_t size_bytes,
                               const enx_parser_change *changes, size_t count, enx_report *report)
{
    const bool  is_js = strcmp(language, "js") == 0;
    const char *program = is_js ? "ask.js" : "ask.py";
    enx_buf     json;
    enx_buf_init(&json, ANSWER_BYTES_MAX);
    enx_status             status = append_changes(&json, changes, count, report);
    const enx_sandbox_file files[] = {
        { .name = program,
          .bytes = is_js ? enx_parser_program_js : enx_parser_program_py,
          .size_bytes = is_js ? enx_parser_program_js_bytes : enx_parser_program_py_bytes },
        { .name = "text.txt", .bytes = text, .size_bytes = size_bytes },
        { .name = "changes.json", .bytes = enx_buf_text(&json), .size_bytes = json.size_bytes },
    };
    const char *const python[] = { "/usr/bin/python3", "-S", "-E", "-B", program, language, NULL };
    const char *const node[] = { "/usr/bin/node", "--experimental-vm-modules", "--no-warnings",
                                 program, NULL };
    const enx_sandbox_task task = { .argv = is_js ? node : python,
                                    .files = files,
                                    .file_count = sizeof files / sizeof *files,
                                    .limits = judge_limits(),
                                    .is_sparse_address = is_js };
    enx_sandbox_result     result;
    if (status == ENX_OK) status = enx_sandbox_run(sandbox, &task, &result, report);
    enx_buf_deinit(&json);
    if (status != ENX_OK) return status;
    status = read_answers(verdicts, count, &result, report);
    enx_sandbox_result_deinit(&result);
    return status;
}

/* ---- C: a file for each change -------------------------------------------------------------- */

/* "c00012.c:3:7: error: words": the first of each file counts. */
static void read_errors(enx_parser_verdict *verdicts, size_t count, const char *text)
{
    for (const char *line = text; *line;) {
        const size_t size = strcspn(line, "\n");
        const char  *at = strstr(line, "error: ");
        unsigned     index, row, column;
        if (at && at < line + size && sscanf(line, "c%5u.c:%u:%u:", &index, &row, &column) == 3 &&
            index < count && verdicts[index].is_accepted) {
            at += sizeof "error: " - 1;
            verdicts[index] =
                (enx_parser_verdict){ .is_judged = true, .line = row, .column = column };
            set_words(&verdicts[index], at, (size_t)(line + size - at));
        }
        line += size + (line[size] == '\n');
    }
}

/* texts[count]: owned by the caller from then on. */
static enx_status make_files(enx_sandbox_file *files, char **texts, char (*names)[NAME_BYTES],
                             const char *text, size_t size_bytes, const enx_parser_change *changes,
                             size_t count, enx_report *report)
{
    for (size_t i = 0; i < count; i++) {
        const enx_parser_change *c = &changes[i];
        const size_t             more = strlen(c->insert), after = c->at + c->remove;
        char                    *changed = enx_mem_new(size_bytes + more + 1, 1);
        if (!changed) return ENX_FAIL(report, NOMEM, "no memory for %zu changes", count);
        texts[i] = changed;
        memcpy(changed, text, c->at);
        memcpy(changed + c->at, c->insert, more);
        memcpy(changed + c->at + more, text + after, size_bytes - after);
        snprintf(names[i], NAME_BYTES, "c%05zu.c", i);
        files[i] = (enx_sandbox_file){ .name = names[i],
                                       .bytes = changed,
                                       .size_bytes = size_bytes + more - c->remove };
    }
    return ENX_OK;
}

/* The driver goes on to the next file after one that fails. */
static enx_status judge_c(enx_parser_verdict *verdicts, const enx_sandbox *sandbox,
                          const char *text, size_t size_bytes, const enx_parser_change *changes,
                          size_t count, enx_report *report)
{
    static const char command[] =
        "LC_ALL=C /usr/bin/gcc -fsyntax-only -w -std=gnu17 -fmax-errors=1 "
        "-fdiagnostics-column-unit=byte c?????.c";
    char              names[FILES_MAX][NAME_BYTES];
    char             *texts[FILES_MAX] = { NULL };
    enx_sandbox_file  files[FILES_MAX] = { { .name = NULL } };
    const char *const argv[] = { "/bin/sh", "-c", command, NULL };
    if (count > FILES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu changes of C; at most %d", count, FILES_MAX);
    enx_status status = make_files(files, texts, names, text, size_bytes, changes, count, report);
    const enx_sandbox_task task = {
        .argv = argv, .files = files, .file_count = count, .limits = judge_limits()
    };
    enx_sandbox_result result;
    if (status == ENX_OK) status = enx_sandbox_run(sandbox, &task, &result, report);
    if (status == ENX_OK) {
        for (size_t i = 0; i < count; i++)
            verdicts[i] = (enx_parser_verdict){ .is_judged = !result.is_stopped,
                                                .is_accepted = !result.is_stopped };
        read_errors(verdicts, count, enx_buf_text(&result.err));
        enx_sandbox_result_deinit(&result);
    }
    for (size_t i = 0; i < count; i++) enx_mem_free(texts[i]);
    return status;
}

static enx_status check_tool(const char *language, enx_report *report)
{
    static const char *const tools[][3] = {
        { "python", "/usr/bin/python3", "python3" },
        { "json", "/usr/bin/python3", "python3" },
        { "js", "/usr/bin/node", "nodejs" },
        { "c", "/usr/bin/gcc", "gcc and libc6-dev" },
    };
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        if (strcmp(tools[i][0], language) != 0) continue;
        if (access(tools[i][1], X_OK) == 0) return ENX_OK;
        return ENX_FAIL(report, NOTFOUND, "no %s to judge %s; install the package %s", tools[i][1],
                        language, tools[i][2]);
    }
    return ENX_FAIL(report, INVALID, "no judge for %s; there are c, js, json and python", language);
}

enx_status enx_parser_ask(enx_parser_verdict *verdicts, const enx_sandbox *sandbox,
                          const char *language, const char *text, size_t size_bytes,
                          const enx_parser_change *changes, size_t count, enx_report *report)
{
    ENX_TRY(check_tool(language, report));
    if (size_bytes > ENX_PARSER_TEXT_BYTES_MAX || count > ENX_PARSER_CHANGES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu bytes, %zu changes; at most %d and %d", size_bytes,
                        count, ENX_PARSER_TEXT_BYTES_MAX, ENX_PARSER_CHANGES_MAX);
    if (strcmp(language, "c") == 0)
        return judge_c(verdicts, sandbox, text, size_bytes, changes, count, report);
    return judge_in_one(verdicts, sandbox, language, text, size_bytes, changes, count, report);
}
