/* SPDX-License-Identifier: Apache-2.0 */
/* cli_scenario.h - a market out of a scenario file.
 *
 * The file is YAML, or JSON, which is YAML too.  docs/market.md lists its keys.
 *
 * Layer: cli.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_CLI_CLI_SCENARIO_H
#define ENX_CLI_CLI_SCENARIO_H

#include "base/buf.h"
#include "cli/cli_market_law.h"
#include "market/chain.h"
#include "market/claims.h"
#include "market/future.h"
#include "market/market.h"

enum {
    CLI_SCENARIO_BYTES_MAX = 1 << 20,
    CLI_SCENARIO_PATH_MAX = 4096,
    CLI_SCENARIO_KEYS_MAX = 128,
};

typedef struct cli_chain {
    uint32_t      count; /* 0: the scenario has none */
    const char   *names[ENX_CHAIN_LAYERS_MAX];
    double        firms[ENX_CHAIN_LAYERS_MAX], share[ENX_CHAIN_LAYERS_MAX];
    enx_curvature curvature;
    double        elasticity;
    bool          has_hardware;
    double        hardware_margin, cost_share, training_share; /* each from 0 to 1 */
} cli_chain;

typedef struct cli_scenario {
    const char      *name, *about; /* may be NULL */
    enx_market       market;       /* no products: the scenario asks for the bound on firms alone */
    enx_product     *products;     /* room for firms_max, or for those there are */
    uint32_t         firms_max;    /* of free entry; 0: the firms are those listed */
    bool             is_both;      /* solve under Bertrand and under Cournot */
    cli_chain        chain;        /* split already */
    bool             has_law;      /* gamma, the exponent, the odds and gamma_sd follow from it */
    cli_market_law   law;
    enx_claims_input claims; /* borrows from this scenario */
    enx_future_input future; /* as well */
    void            *loaded;
} cli_scenario;

/* `path` is for messages, and where a law that the scenario names is looked for; `law`, which may
 * be NULL, is the path of another one instead.  ENX_FORMAT: file, line and key, with the nearest
 * known one; ENX_INVALID: key, unit and range; those of cli_market_law_read; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_scenario_open(cli_scenario **out, const enx_buf *text, const char *path,
                                          const char *law, enx_report *report);
/* The same of the file at `path` ("-": standard input). */
ENX_MUST_USE enx_status cli_scenario_read(cli_scenario **out, const char *path, const char *law,
                                          enx_report *report);
void                    cli_scenario_close(cli_scenario **scenario);

/* ---- What the keys mean ---------------------------------------------------------------------- */

typedef struct cli_scenario_key {
    const char *path; /* as firms[].quality */
    const char *unit, *range;
    const char *fallback; /* when the key is not there */
    const char *source;   /* where a value comes from, or the default does */
} cli_scenario_key;

extern const cli_scenario_key cli_scenario_keys[];
extern const size_t           cli_scenario_key_count;

/* The first with this last part of its path, or NULL. */
const cli_scenario_key *cli_scenario_key_find(const char *name);
/* Names without their paths, borrowed; returns how many there are. */
size_t                  cli_scenario_key_names(const char *names[CLI_SCENARIO_KEYS_MAX]);

#endif /* ENX_CLI_CLI_SCENARIO_H */
