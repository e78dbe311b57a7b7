/* SPDX-License-Identifier: Apache-2.0 */
/* cli_answer.c - tokens to text, up to a stop text. */
#include "cli/cli_answer.h"

#include <string.h>

enx_status cli_answer_init(cli_answer *a, const enx_tokenizer *tokenizer, const cli_list *stops,
                           enx_report *report)
{
    *a = (cli_answer){ .tokenizer = tokenizer };
    enx_buf_init(&a->text, CLI_TEXT_BYTES_MAX);
    const enx_status status = enx_stopper_init(&a->stopper, stops->items, stops->count, report);
    if (status != ENX_OK) enx_report_wrap(report, "--stop");
    return status;
}

void cli_answer_deinit(cli_answer *a) { enx_buf_deinit(&a->text); }

static bool is_named(enx_gguf_str token, const char *name)
{
    return token.size_bytes == strlen(name) && memcmp(token.data, name, token.size_bytes) == 0;
}

/* The engine may give more tokens in the step in which a stop text is complete. */
void cli_answer_push(cli_answer *a, uint32_t token)
{
    if (cli_answer_is_over(a)) return;
    a->token_count++;
    const enx_gguf_str bytes = enx_tokenizer_bytes(a->tokenizer, token);
    if (enx_tokenizer_is_control(a->tokenizer, token) && !is_named(bytes, "<think>") &&
        !is_named(bytes, "</think>"))
        return;
    a->status = enx_stopper_push(&a->stopper, bytes.data, bytes.size_bytes, &a->text);
}

void cli_answer_finish(cli_answer *a)
{
    if (a->status == ENX_OK) a->status = enx_stopper_finish(&a->stopper, &a->text);
}

bool cli_answer_is_over(const cli_answer *a)
{
    return a->stopper.is_stopped || a->status != ENX_OK;
}

const char *cli_answer_take_news(cli_answer *a, size_t *size_bytes)
{
    const size_t first = a->shown_bytes;
    *size_bytes = a->text.size_bytes - first;
    a->shown_bytes = a->text.size_bytes;
    return enx_buf_text(&a->text) + first;
}
