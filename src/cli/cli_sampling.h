/* SPDX-License-Identifier: Apache-2.0 */
/* cli_sampling.h - how tokens are chosen, as options of the commands that generate.
 *
 * One table of options, one check of their ranges, one translation into what the engine takes.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_SAMPLING_H
#define ENX_CLI_CLI_SAMPLING_H

#include "cli/cli.h"
#include "engine/engine.h"

enum { CLI_SAMPLING_OPTIONS = 18 };

typedef struct cli_sampling {
    double    temperature, typical_p, top_p, min_p;
    double    repeat_penalty, frequency_penalty, presence_penalty;
    double    dry_multiplier, dry_base;
    uint64_t  top_k, repeat_last, dry_allowed, dry_last, seed;
    cli_list  biases, stops, breakers;
    /* private: what the lists mean */
    enx_bias  bias_items[CLI_LIST_MAX];
    uint32_t *breaker_ids; /* owned, [breaker_count] */
    uint32_t  breaker_count;
} cli_sampling;

/* Everything is off but the temperature; the seed is 1. */
void cli_sampling_init(cli_sampling *sampling, double temperature);
void cli_sampling_deinit(cli_sampling *sampling);

/* Fill out [CLI_SAMPLING_OPTIONS] with options that write into `sampling`; returns how many.  Help
 * names the temperature that is in it now as the default. */
size_t cli_sampling_options(cli_sampling *sampling, cli_option *out);

/* ENX_INVALID: a number out of its range, a bias or a stop text that is none; ENX_LIMIT. */
ENX_MUST_USE enx_status cli_sampling_check(cli_sampling *sampling, enx_report *report);

/* What a request takes; borrows from `sampling`, which cli_sampling_check has seen.  ENX_NOMEM. */
ENX_MUST_USE enx_status cli_sampling_get(cli_sampling *sampling, const enx_tokenizer *tokenizer,
                                         enx_sampling *out, enx_report *report);

#endif /* ENX_CLI_CLI_SAMPLING_H */
