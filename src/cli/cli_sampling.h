/* SPDX-License-Identifier: Apache-2.0 */
/* cli_sampling.h - how tokens are chosen, as options of the commands that generate.
 *
 * One table of options, one check of their ranges, one translation into what the engine takes.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_SAMPLING_H
#define ENX_CLI_CLI_SAMPLING_H

#include "backend/loaded.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "text/grammar.h"

enum { CLI_SAMPLING_OPTIONS = 19 };

typedef struct cli_sampling {
    double       temperature, typical_p, top_p, min_p;
    double       repeat_penalty, frequency_penalty, presence_penalty;
    double       dry_multiplier, dry_base;
    uint64_t     top_k, repeat_last, dry_allowed, dry_last, seed;
    cli_list     biases, stops, breakers;
    /* Files; NULL: everything goes. */
    const char  *grammar, *schema;
    /* private: what lists and files mean */
    enx_bias     bias_items[CLI_LIST_MAX];
    uint32_t    *breaker_ids; /* owned, [breaker_count] */
    uint32_t     breaker_count;
    enx_grammar *rules; /* owned */
} cli_sampling;

/* Everything is off but the temperature; the seed is 1. */
void cli_sampling_init(cli_sampling *sampling, double temperature);
void cli_sampling_deinit(cli_sampling *sampling);

/* Fill out [CLI_SAMPLING_OPTIONS] with options that write into `sampling`; returns how many.  Help
 * says that the temperature is 0 by default, or 0.7 where it is not 0 now. */
size_t cli_sampling_options(cli_sampling *sampling, cli_option *out);

/* ENX_INVALID: a number out of its range, a bias or a stop text that is none, or two files that
 * both say what the text is; ENX_LIMIT. */
ENX_MUST_USE enx_status cli_sampling_check(cli_sampling *sampling, enx_report *report);

/* ENX_INVALID: something is set that no API takes; they take temperature, top-p, a seed and a few
 * stop texts. */
ENX_MUST_USE enx_status cli_sampling_check_api(const cli_sampling *sampling, enx_report *report);

/* What a request takes; borrows from `sampling`, which cli_sampling_check has seen.  ENX_NOMEM. */
ENX_MUST_USE enx_status cli_sampling_get(cli_sampling *sampling, const enx_tokenizer *tokenizer,
                                         enx_sampling *out, enx_report *report);

/* Read the grammar or the schema, if there is one.  Texts name the file. */
ENX_MUST_USE enx_status cli_sampling_read_rules(cli_sampling *sampling, enx_report *report);
/* A mask of those rules, which the caller closes before `sampling` and `loaded`; NULL: none. */
ENX_MUST_USE enx_status cli_sampling_open_mask(const cli_sampling *sampling,
                                               const enx_loaded *loaded, enx_mask **out,
                                               enx_report *report);

#endif /* ENX_CLI_CLI_SAMPLING_H */
