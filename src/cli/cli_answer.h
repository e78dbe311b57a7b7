/* SPDX-License-Identifier: Apache-2.0 */
/* cli_answer.h - an answer as its tokens come: text that ends before stop texts and holds whole
 * characters only.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_ANSWER_H
#define ENX_CLI_CLI_ANSWER_H

#include "cli/cli.h"
#include "engine/engine.h"
#include "text/stopper.h"

typedef struct cli_answer {
    const enx_tokenizer *tokenizer; /* borrowed */
    enx_stopper          stopper;
    enx_buf              text;
    enx_status           status;      /* of writing the text */
    uint32_t             token_count; /* of the output, up to the one that completed a stop text */
    size_t               shown_bytes; /* of the text, by whoever shows it */
} cli_answer;

/* The stop texts are borrowed as long as the answer.  ENX_INVALID, ENX_LIMIT: one is none. */
ENX_MUST_USE enx_status cli_answer_init(cli_answer *answer, const enx_tokenizer *tokenizer,
                                        const cli_list *stops, enx_report *report);
void                    cli_answer_deinit(cli_answer *answer);

/* One more token.  Control tokens are no text, but for <think> and </think>. */
void cli_answer_push(cli_answer *answer, uint32_t token);
/* No more come: the text is whole. */
void cli_answer_finish(cli_answer *answer);
/* Nothing that comes now is part of the text: cancel. */
bool cli_answer_is_over(const cli_answer *answer);

/* What has not been shown yet; the caller shows it. */
const char *cli_answer_take_news(cli_answer *answer, size_t *size_bytes);

#endif /* ENX_CLI_CLI_ANSWER_H */
