/* SPDX-License-Identifier: Apache-2.0 */
/* cli_code.h - programs out of answers, judged by running them, and what is said when they fail.
 *
 * A test is a program in the same language, in a file beside the answer, which is program.c, .py,
 * .js, .sh or .sql there: it includes, imports, requires, sources or reads it.  It has passed when
 * it ran to its end and its exit code is 0; a program that ends the test early has not.  Examples
 * that are no calls are run beside it, one by one.  Without either, the answer itself must end with
 * exit code 0.  A web page is judged by cli_page.h; of a tree that is edited, the answer is a
 * patch, judged by cli_edit.h.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_CODE_H
#define ENX_CLI_CLI_CODE_H

#include "base/buf.h"
#include "cli/cli_edit.h"
#include "cli/cli_examples.h"
#include "sandbox/language.h"

enum {
    CLI_CODE_TEST_BYTES_MAX = 1 << 20,
    CLI_CODE_SHOWN_BYTES_MAX = 8192, /* of a test, to the model */
    CLI_CODE_LOG_BYTES_MAX = 3000,   /* of what a run printed, its beginning and its end */
};

typedef struct cli_code_task {
    const char         *what;     /* to write */
    const enx_language *language; /* NULL: a tree is edited */
    const char         *test;     /* [test_bytes]; NULL: none */
    size_t              test_bytes;
    const cli_examples *examples; /* to be run; NULL: none */
    const cli_edit     *edit;     /* the tree and its test; NULL: a program is written */
    enx_sandbox_limits  limits;
    bool                is_sanitized;
    bool (*should_stop)(void *user);
    void *user;
} cli_code_task;

/* What its answers are fenced as: "python", "diff". */
const char *cli_code_fence(const cli_code_task *task);

/* Append the first message. */
ENX_MUST_USE enx_status cli_code_ask(enx_buf *out, const cli_code_task *task);

/* Append the program of an answer: its longest fenced block, or all of it when there is none,
 * without thoughts before it.  Nothing is appended when there is no program. */
ENX_MUST_USE enx_status cli_code_extract(enx_buf *out, const char *answer);

/* Run it.  *has_passed; appended to `log`: how it ended, in one line, and what it printed.  Errors
 * are those of enx_program_run: none of them is the program's fault. */
ENX_MUST_USE enx_status cli_code_judge(const enx_sandbox *sandbox, const cli_code_task *task,
                                       const char *program, bool *has_passed, enx_buf *log,
                                       enx_report *report);

/* Append the message that asks for a better one. */
ENX_MUST_USE enx_status cli_code_complain(enx_buf *out, const char *log);

#endif /* ENX_CLI_CLI_CODE_H */
