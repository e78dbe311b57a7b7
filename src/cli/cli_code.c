/* SPDX-License-Identifier: Apache-2.0 */
/* cli_code.c - the words around a program, and its judgement. */
#include "cli/cli_code.h"

#include "base/check.h"
#include "cli/cli.h"
#include "cli/cli_page.h"

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
    { "html", "HTML, one page with its style and script in it,", NULL }, /* cli_page.h */
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

const char *cli_code_fence(const cli_code_task *task)
{
    return task->language ? task->language->name : "diff";
}

static enx_status ask_for_test(enx_buf *out, const cli_code_task *task)
{
    const enx_language *language = task->language;
    const size_t        shown =
        task->test_bytes < CLI_CODE_SHOWN_BYTES_MAX ? task->test_bytes : CLI_CODE_SHOWN_BYTES_MAX;
    return enx_buf_printf(out,
                          "\nYour code will be in the file program.%s, and must pass this "
                          "test:\n```%s\n%.*s\n```\n",
                          language->extension, language->name, (int)shown, task->test);
}

enx_status cli_code_ask(enx_buf *out, const cli_code_task *task)
{
    if (task->edit) return cli_edit_ask(out, task->edit, task->what);
    ENX_TRY(
        enx_buf_printf(out, "Write in %s: %s\n", dialect_of(task->language)->called, task->what));
    if (task->test) ENX_TRY(ask_for_test(out, task));
    if (task->examples) {
        ENX_TRY(enx_buf_append_text(out, "\nFor each input it must print the output:\n"));
        ENX_TRY(cli_examples_show(out, task->examples));
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

static enx_status judge_program(const enx_sandbox *sandbox, const cli_code_task *task,
                                const char *program, bool *has_passed, enx_buf *log,
                                enx_report *report)
{
    const enx_language *language = task->language;
    char                program_name[NAME_BYTES], test_name[NAME_BYTES];
    enx_sandbox_result  result;
    enx_program_step    step;
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
                                   .should_stop = task->should_stop,
                                   .user = task->user };
    ENX_TRY(enx_program_run(sandbox, &whole, &run, &result, &step, report));
    *has_passed = step == ENX_PROGRAM_RUN && !result.is_stopped && result.exit_code == 0 &&
                  (!task->test || find_mark(&result));
    const enx_status status = write_log(log, &result, step, *has_passed);
    enx_sandbox_result_deinit(&result);
    return status == ENX_OK ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the log");
}

/* ---- Examples ------------------------------------------------------------------------------- */

/* What is said of an example that failed: the ending, the example, and what came instead. */
static enx_status write_example_log(enx_buf *log, const cli_code_task *task, size_t index,
                                    const enx_sandbox_result *r)
{
    const cli_example e = cli_examples_get(task->examples, index);
    if (r->exit_code == 0 && !r->is_stopped)
        ENX_TRY(enx_buf_append_text(log, "another output than expected\n"));
    else ENX_TRY(append_ending(log, r, ENX_PROGRAM_RUN, false));
    ENX_TRY(enx_buf_printf(log, "example %zu of %zu\ninput:\n", index + 1,
                           cli_examples_count(task->examples)));
    ENX_TRY(append_shortened(log, e.input, strlen(e.input)));
    ENX_TRY(enx_buf_append_text(log, "\nexpected:\n"));
    ENX_TRY(append_shortened(log, e.output, strlen(e.output)));
    ENX_TRY(enx_buf_append_text(log, "\nprinted:\n"));
    ENX_TRY(append_shortened(log, enx_buf_text(&r->out), r->out.size_bytes));
    ENX_TRY(enx_buf_append_text(log, "\n"));
    return append_shortened(log, enx_buf_text(&r->err), r->err.size_bytes);
}

/* The examples one after the other, up to the first that fails. */
static enx_status run_examples(const enx_sandbox *sandbox, const cli_code_task *task,
                               const enx_program *program, const enx_sandbox_result *made,
                               bool *has_passed, enx_buf *log, enx_report *report)
{
    *has_passed = true;
    for (size_t i = 0; i < cli_examples_count(task->examples) && *has_passed; i++) {
        const cli_example      e = cli_examples_get(task->examples, i);
        const bool             has_input = strcmp(program->language->name, "sql") != 0;
        const enx_sandbox_task run = { .stdin_bytes = e.input,
                                       .stdin_size_bytes = has_input ? strlen(e.input) : 0,
                                       .limits = task->limits,
                                       .should_stop = task->should_stop,
                                       .user = task->user };
        enx_sandbox_result     result;
        ENX_TRY(enx_program_start(sandbox, program, made, &run, &result, report));
        *has_passed = !result.is_stopped && result.exit_code == 0 &&
                      cli_examples_agree(enx_buf_text(&result.out), e.output);
        const enx_status status = *has_passed ? ENX_OK : write_example_log(log, task, i, &result);
        enx_sandbox_result_deinit(&result);
        if (status != ENX_OK) return ENX_FAIL(report, NOMEM, "no memory for the log");
    }
    if (*has_passed && enx_buf_append_text(log, "passed\n") != ENX_OK)
        return ENX_FAIL(report, NOMEM, "no memory for the log");
    return ENX_OK;
}

static enx_status judge_examples(const enx_sandbox *sandbox, const cli_code_task *task,
                                 const char *program, bool *has_passed, enx_buf *log,
                                 enx_report *report)
{
    const enx_program      whole = { .language = task->language,
                                     .text = program,
                                     .size_bytes = strlen(program),
                                     .is_sanitized = task->is_sanitized };
    const enx_sandbox_task build = { .limits = task->limits,
                                     .should_stop = task->should_stop,
                                     .user = task->user };
    enx_sandbox_result     made;
    bool                   is_built = false;
    ENX_TRY(enx_program_build(sandbox, &whole, &build, &made, &is_built, report));
    enx_status status = ENX_OK;
    if (is_built) status = run_examples(sandbox, task, &whole, &made, has_passed, log, report);
    else if (write_log(log, &made, ENX_PROGRAM_COMPILE, false) != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for the log");
    enx_sandbox_result_deinit(&made);
    return status;
}

/* ---- Pages ---------------------------------------------------------------------------------- */

static enx_status write_page_log(enx_buf *log, const enx_sandbox_result *r, bool *has_passed)
{
    enx_buf console;
    enx_buf_init(&console, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_page_read(&console, enx_buf_text(&r->err), has_passed);
    *has_passed = *has_passed && !r->is_stopped && r->exit_code == 0;
    if (status == ENX_OK && !*has_passed && r->exit_code == 0 && !r->is_stopped)
        status =
            enx_buf_append_text(log, "errors in the page's console, or it never came to rest\n");
    else if (status == ENX_OK) status = append_ending(log, r, ENX_PROGRAM_RUN, *has_passed);
    if (status == ENX_OK)
        status = append_shortened(log, enx_buf_text(&console), console.size_bytes);
    enx_buf_deinit(&console);
    return status;
}

static enx_status judge_page(const enx_sandbox *sandbox, const cli_code_task *task,
                             const char *program, bool *has_passed, enx_buf *log,
                             enx_report *report)
{
    const enx_sandbox_file file = { .name = "test.js",
                                    .bytes = task->test,
                                    .size_bytes = task->test_bytes };
    const enx_sandbox_task run = { .files = &file,
                                   .file_count = task->test ? 1 : 0,
                                   .limits = task->limits,
                                   .should_stop = task->should_stop,
                                   .user = task->user };
    enx_buf                page;
    enx_sandbox_result     result = { 0 };
    enx_program_step       step;
    enx_buf_init(&page, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_page_wrap(&page, program, task->test != NULL);
    if (status != ENX_OK) status = ENX_FAIL(report, NOMEM, "no memory for a page");
    const enx_program whole = { .language = task->language,
                                .text = enx_buf_text(&page),
                                .size_bytes = page.size_bytes };
    if (status == ENX_OK) status = enx_program_run(sandbox, &whole, &run, &result, &step, report);
    if (status == ENX_OK && write_page_log(log, &result, has_passed) != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for the log");
    enx_sandbox_result_deinit(&result);
    enx_buf_deinit(&page);
    return status;
}

/* ---- All of them ---------------------------------------------------------------------------- */

enx_status cli_code_judge(const enx_sandbox *sandbox, const cli_code_task *task,
                          const char *program, bool *has_passed, enx_buf *log, enx_report *report)
{
    *has_passed = false;
    if (!program[0])
        return enx_buf_append_text(log, "the answer holds no code\n") == ENX_OK
                   ? ENX_OK
                   : ENX_FAIL(report, NOMEM, "no memory for the log");
    if (task->edit) {
        const cli_edit_run run = { task->limits, task->should_stop, task->user };
        return cli_edit_judge(sandbox, task->edit, program, &run, has_passed, log, report);
    }
    if (strcmp(task->language->name, "html") == 0)
        return judge_page(sandbox, task, program, has_passed, log, report);
    if (task->test || !task->examples) {
        ENX_TRY(judge_program(sandbox, task, program, has_passed, log, report));
        if (!*has_passed || !task->examples) return ENX_OK;
        enx_buf_clear(log);
    }
    return judge_examples(sandbox, task, program, has_passed, log, report);
}
