/* SPDX-License-Identifier: Apache-2.0 */
/* cli_author_file.h - an author that is a file: a sequence of one engine for each seat.
 *
 * Layer: cli.  Thread-safety: as of cli_author.h.
 */
#ifndef ENX_CLI_CLI_AUTHOR_FILE_H
#define ENX_CLI_CLI_AUTHOR_FILE_H

#include "cli/cli_author.h"
#include "cli/cli_sampling.h"

typedef struct cli_author_file_options {
    const char   *model, *form; /* form NULL: the model's own template */
    cli_sampling *sampling;     /* checked, its rules read; borrowed until close */
    uint32_t      seats;
    uint32_t      max_tokens; /* of an answer */
    uint32_t      context;    /* 0: the model's, at most 8192 */
    uint32_t      threads;    /* 0: one per core */
} cli_author_file_options;

/* The failures of enx_loaded_open, enx_chat_open, enx_engine_open and cli_sampling_*. */
ENX_MUST_USE enx_status cli_author_file_open(cli_author                   **out,
                                             const cli_author_file_options *options,
                                             enx_report                    *report);

#endif /* ENX_CLI_CLI_AUTHOR_FILE_H */
