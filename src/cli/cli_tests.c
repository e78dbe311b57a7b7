/* SPDX-License-Identifier: Apache-2.0 */
/* cli_tests.c - the two questions in words, and what an answer must be to count. */
#include "cli/cli_tests.h"

#include <string.h>

enum { QUESTION_BYTES_MAX = 1 << 20, ANSWER_TOKENS = 2048, VERDICT_TOKENS = 64 };

/* How a test reaches the program, by language. */
static const char *const beginnings[][2] = {
    { "c", "It begins with #include \"program.c\" and has main, which uses assert." },
    { "python", "It begins with `from program import ...` and uses assert." },
    { "js", "It begins with `const program = require('./program.js');` and uses "
            "require('assert')." },
    { "sh", "It begins with `. ./program.sh`; every command must succeed (set -e)." },
    { "sql", "It begins with `.read program.sql`; a check constraint that fails is an error." },
    { "html", "It is a script that runs in the page when that is loaded, and throws an Error for "
              "what is wrong." },
};

static const char *beginning_of(const enx_language *language)
{
    size_t i = 0;
    while (strcmp(beginnings[i][0], language->name) != 0) i++;
    return beginnings[i][1];
}

static enx_status fail_memory(enx_report *report)
{
    return ENX_FAIL(report, NOMEM, "no memory for a question about a test");
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* One answer; "" where there is no program in it. */
static enx_status ask_for_test(enx_buf *out, cli_asked *asked, uint32_t model,
                               const cli_code_task *task, enx_report *report)
{
    enx_buf         words, answer;
    const enx_class kind = { .name = "code_test",
                             .instruction = "The text asks for a program. Write a short test of "
                                            "that program, not the program itself.",
                             .answer_tokens_max = ANSWER_TOKENS };
    enx_class       in_words = kind;
    enx_buf_init(&words, QUESTION_BYTES_MAX);
    enx_buf_init(&answer, QUESTION_BYTES_MAX);
    enx_status status = enx_buf_printf(
        &words,
        "Language: %s. %s Test what the text says and nothing that it leaves open. Answer with the "
        "whole test in one block.",
        task->language->name, beginning_of(task->language));
    if (status != ENX_OK) status = fail_memory(report);
    in_words.advice = enx_buf_text(&words);
    if (status == ENX_OK)
        status =
            cli_asked_ask(asked, model, &in_words, task->what, strlen(task->what), &answer, report);
    if (status == ENX_OK && cli_code_extract(out, enx_buf_text(&answer)) != ENX_OK)
        status = fail_memory(report);
    enx_buf_deinit(&words);
    enx_buf_deinit(&answer);
    return status;
}

/* A test that an answer without any code passes tests nothing. */
static enx_status refuses_nothing(const char *test, const cli_code_task *task,
                                  const enx_sandbox *sandbox, bool *is_empty, enx_report *report)
{
    cli_code_task trial = *task;
    enx_buf       log;
    trial.test = test;
    trial.test_bytes = strlen(test);
    trial.should_stop = NULL;
    enx_buf_init(&log, CLI_TEXT_BYTES_MAX);
    const enx_status status = cli_code_judge(sandbox, &trial, "\n", is_empty, &log, report);
    enx_buf_deinit(&log);
    return status;
}

enx_status cli_tests_write(enx_buf *out, cli_asked *asked, uint32_t model,
                           const cli_code_task *task, const enx_sandbox *sandbox,
                           enx_report *report)
{
    bool is_empty = true;
    for (int tries = 0; tries < CLI_TESTS_TRIES_MAX && is_empty; tries++) {
        enx_buf_clear(out);
        ENX_TRY(ask_for_test(out, asked, model, task, report));
        if (out->size_bytes == 0) continue;
        ENX_TRY(refuses_nothing(enx_buf_text(out), task, sandbox, &is_empty, report));
    }
    if (!is_empty) return ENX_OK;
    return ENX_FAIL(report, FORMAT,
                    "%s wrote no test in %d tries: what it wrote accepts an empty program, too; "
                    "give a test or examples",
                    cli_asked_name(asked, model), CLI_TESTS_TRIES_MAX);
}

/* ---- Doubting ------------------------------------------------------------------------------- */

enx_status cli_tests_doubt(bool *is_test_wrong, cli_asked *asked, uint32_t model,
                           const cli_code_task *task, const char *program, const char *log,
                           enx_report *report)
{
    static const enx_class kind = {
        .name = "code_doubt",
        .instruction = "A program was asked for. A test of it was written by one model and the "
                       "program by another, and the program fails the test. Say which of the two "
                       "does not do what was asked: \"program\" or \"test\".",
        .schema = "{\"type\":\"object\",\"properties\":{\"wrong\":{\"type\":\"string\",\"enum\":["
                  "\"program\",\"test\"]}},\"required\":[\"wrong\"],\"additionalProperties\":"
                  "false}",
        .answer_tokens_max = VERDICT_TOKENS,
    };
    enx_buf question, answer;
    enx_buf_init(&question, QUESTION_BYTES_MAX);
    enx_buf_init(&answer, QUESTION_BYTES_MAX);
    enx_status status = ENX_OK;
    if (enx_buf_printf(&question,
                       "Asked for, in %s:\n%s\n\nThe program:\n%s\n\nThe test:\n%.*s\n\n"
                       "What happened:\n%s\n",
                       task->language->name, task->what, program, (int)task->test_bytes, task->test,
                       log) != ENX_OK)
        status = fail_memory(report);
    if (status == ENX_OK)
        status = cli_asked_ask(asked, model, &kind, enx_buf_text(&question), question.size_bytes,
                               &answer, report);
    *is_test_wrong = status == ENX_OK && strstr(enx_buf_text(&answer), "\"test\"") != NULL;
    enx_buf_deinit(&question);
    enx_buf_deinit(&answer);
    return status;
}
