/* SPDX-License-Identifier: Apache-2.0 */
/* cli_code.c - the words around a program, and its judgement. */
#include "cli/cli_code.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>

#define MARK "enxame: the test has run to its end"

enum { NAME_BYTES = 32 };

/* How each language is called, and a main program that runs test.EXT and prints the mark. */
typedef struct dialect {
    const char *name, *called, *harness;
} dialect;

/* In C, main of the test gets another name.  In Python a test framework may end by an exit of its
 * own, the program may not.  In JavaScript nobody may. */
static const dialect dialects[] = {
    { "c", "C",
      "#include <stdio.h>\n#define main enx_test_main\n#include \"test.c\"\n#undef main\n"
      "int main(int count, char **words)\n{\n"
      "    int code = ((int (*)())enx_test_main)(count, words);\n"
      "    if (code == 0) puts(\"\\n" MARK "\");\n    return code;\n}\n" },
    { "python", "Python 3",
      "import runpy, traceback\ntry:\n    runpy.run_path('test.py', run_name='__main__')\n"
      "except SystemExit as end:\n"
      "    last = traceback.extract_tb(end.__traceback__)[-1].filename\n"
      "    if end.code or last.endswith('program.py'): raise\n"
      "print('\\n" MARK "')\n" },
    { "js", "JavaScript for Node",
      "const exit = process.exit; let isOver = false;\n"
      "process.exit = code => { isOver = true; exit(code); };\n"
      "process.on('exit', code => { if (!code && !isOver) console.log('\\n" MARK "'); });\n"
      "require('./test.js');\n" },
    { "sh", "POSIX shell", "set -e\n. ./test.sh\nprintf '\\n%s\\n' '" MARK "'\n" },
    { "sql", "SQL for SQLite", ".read test.sql\nselect char(10) || '" MARK "';\n" },
};

enum { DIALECTS = sizeof dialects / sizeof *dialects };

static const dialect *dialect_of(const enx_language *language)
{
    size_t i = 0;
    while (i < DIALECTS && strcmp(dialects[i].name, language->name) != 0) i++;
    ENX_CHECK(i < DIALECTS); /* there is one for every language */
    return &dialects[i];
}

/* ---- Words ---------------------------------------------------------------------------------- */

enx_status cli_code_ask(enx_buf *out, const cli_code_task *task)
{
    const enx_language *language = task->language;
    ENX_TRY(enx_buf_printf(out, "Write in %s: %s\n", dialect_of(language)->called, task->what));
    if (task->test) {
        const size_t shown = task->test_bytes < CLI_CODE_SHOWN_BYTES_MAX ? task->test_bytes
                                                                         : CLI_CODE_SHOWN_BYTES_MAX;
        ENX_TRY(enx_buf_printf(out,
                               "\nYour code will be in the file program.%s, and must pass this "
                               "test:\n```%s\n%.*s\n```\n",
                               language->extension, language->name, (int)shown, task->test));
    }
    return enx_buf_printf(out, "\nAnswer with the whole code in one block, and nothing else.\n");
}

enx_status cli_code_complain(enx_buf *out, const char *log)
{
    return enx_buf_printf(out, "It fails.\n```\n%s\n```\nWrite the whole code again, repaired.\n",
                          log);
}

/* The line after the one at `at`, or the end. */
static const char *next_line(const char *at)
{
    at += strcspn(at, "\n");
    return *at ? at + 1 : at;
}

enx_status cli_code_extract(enx_buf *out, const char *answer)
{
    static const char thought_end[] = "</think>";
    const char       *best = NULL;
    size_t            best_bytes = 0;
    for (const char *end; (end = strstr(answer, thought_end)) != NULL;)
        answer = end + sizeof thought_end - 1;
    const bool has_fence = strncmp(answer, "```", 3) == 0 || strstr(answer, "\n```");
    for (const char *line = answer; has_fence && *line; line = next_line(line)) {
        if (strncmp(line, "```", 3) != 0) continue;
        const char *first = next_line(line), *end = first;
        while (*end && strncmp(end, "```", 3) != 0) end = next_line(end);
        if ((size_t)(end - first) > best_bytes) {
            best = first;
            best_bytes = (size_t)(end - first);
        }
        line = end; /* the closing fence, or the end of an answer that was cut */
        if (!*line) break;
    }
    if (!has_fence) {
        best = answer + strspn(answer, " \t\r\n");
        best_bytes = strlen(best);
    }
    return best_bytes ? enx_buf_append(out, best, best_bytes) : ENX_OK;
}

/* ---- Judgement ------------------------------------------------------------------------------ */

/* Long texts keep their beginning and their end: the first error and the last line. */
static enx_status append_shortened(enx_buf *out, const char *text, size_t size_bytes)
{
    enum { HALF = CLI_CODE_LOG_BYTES_MAX / 2 };
    if (size_bytes <= CLI_CODE_LOG_BYTES_MAX) return enx_buf_append(out, text, size_bytes);
    ENX_TRY(enx_buf_append(out, text, HALF));
    ENX_TRY(enx_buf_append_text(out, "\n[...]\n"));
    return enx_buf_append(out, text + size_bytes - HALF, HALF);
}

static enx_status append_ending(enx_buf *log, const enx_sandbox_result *r, enx_program_step step,
                                bool has_passed)
{
    if (has_passed) return enx_buf_append_text(log, "passed\n");
    if (r->is_stopped) ENX_TRY(enx_buf_append_text(log, "stopped"));
    else if (step == ENX_PROGRAM_COMPILE) ENX_TRY(enx_buf_append_text(log, "does not compile"));
    else if (r->signal) ENX_TRY(enx_buf_printf(log, "ended by signal %d", r->signal));
    else if (r->exit_code) ENX_TRY(enx_buf_printf(log, "exit code %d", r->exit_code));
    else ENX_TRY(enx_buf_append_text(log, "the test did not run to its end"));
    if (r->limit == ENX_SANDBOX_LIMIT_NONE) return enx_buf_append_text(log, "\n");
    return enx_buf_printf(log, ", at the limit of %s\n", enx_sandbox_limit_text(r->limit));
}

/* Where the mark begins, when it is the last that was printed; else NULL. */
static const char *find_mark(const enx_sandbox_result *r)
{
    static const char mark[] = "\n" MARK "\n";
    const size_t      size = sizeof mark - 1, printed = r->out.size_bytes;
    if (printed < size || memcmp(r->out.data + printed - size, mark, size) != 0) return NULL;
    return r->out.data + printed - size;
}

static enx_status write_log(enx_buf *log, const enx_sandbox_result *r, enx_program_step step,
                            bool has_passed)
{
    const char  *mark = find_mark(r);
    const size_t printed = mark ? (size_t)(mark - r->out.data) : r->out.size_bytes;
    ENX_TRY(append_ending(log, r, step, has_passed));
    ENX_TRY(append_shortened(log, enx_buf_text(&r->out), printed));
    if (printed && r->out.data[printed - 1] != '\n') ENX_TRY(enx_buf_append_text(log, "\n"));
    return append_shortened(log, enx_buf_text(&r->err), r->err.size_bytes);
}

enx_status cli_code_judge(const enx_sandbox *sandbox, const cli_code_task *task,
                          const char *program, bool *has_passed, enx_buf *log, enx_report *report)
{
    const enx_language *language = task->language;
    char                program_name[NAME_BYTES], test_name[NAME_BYTES];
    enx_sandbox_result  result;
    enx_program_step    step;
    *has_passed = false;
    if (!program[0])
        return enx_buf_append_text(log, "the answer holds no code\n") == ENX_OK
                   ? ENX_OK
                   : ENX_FAIL(report, NOMEM, "no memory for the log");
    snprintf(program_name, sizeof program_name, "program.%s", language->extension);
    snprintf(test_name, sizeof test_name, "test.%s", language->extension);
    const enx_sandbox_file files[] = {
        { .name = program_name, .bytes = program, .size_bytes = strlen(program) },
        { .name = test_name, .bytes = task->test, .size_bytes = task->test_bytes },
    };
    const char            *text = task->test ? dialect_of(language)->harness : program;
    const enx_program      whole = { .language = language,
                                     .text = text,
                                     .size_bytes = strlen(text),
                                     .is_sanitized = task->is_sanitized };
    const enx_sandbox_task run = { .files = files,
                                   .file_count = task->test ? 2 : 0,
                                   .limits = task->limits,
                                   .should_stop = task->should_stop };
    ENX_TRY(enx_program_run(sandbox, &whole, &run, &result, &step, report));
    *has_passed = step == ENX_PROGRAM_RUN && !result.is_stopped && result.exit_code == 0 &&
                  (!task->test || find_mark(&result));
    const enx_status status = write_log(log, &result, step, *has_passed);
    enx_sandbox_result_deinit(&result);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the log");
}
