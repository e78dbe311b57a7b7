/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ability.h - several models graded on the same tasks, in one table.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_ABILITY_H
#define ENX_CLI_CLI_ABILITY_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { CLI_ABILITY_MODELS_MAX = 32 };

typedef struct cli_ability_options {
    const char *const *models; /* [model_count], at most CLI_ABILITY_MODELS_MAX */
    uint32_t           model_count;
    const char        *rows; /* texts to be repaired, JSON lines; NULL: none */
    uint32_t           rows_max;
    const char        *text; /* file for the next word; NULL: the task is left out */
    uint32_t           questions;
    uint32_t           threads;
    bool               is_json;
} cli_ability_options;

/* Grade them one after the other, and print.  Restoring is left out for models that cannot. */
ENX_MUST_USE enx_status cli_ability_print(const cli_ability_options *options, enx_report *report);

#endif /* ENX_CLI_CLI_ABILITY_H */
