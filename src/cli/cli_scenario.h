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
#include "market/chain.h"
#include "market/claims.h"
#include "market/future.h"
#include "market/market.h"

enum { CLI_SCENARIO_BYTES_MAX = 1 << 20 };

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
    enx_claims_input claims;       /* borrows from this scenario */
    enx_future_input future;       /* as well */
    void            *loaded;
} cli_scenario;

/* `path` is for messages.  ENX_FORMAT: file, line and key, with the nearest known one;
 * ENX_INVALID: key, unit and range; ENX_NOMEM. */
ENX_MUST_USE enx_status cli_scenario_open(cli_scenario **out, const enx_buf *text, const char *path,
                                          enx_report *report);
void                    cli_scenario_close(cli_scenario **scenario);

#endif /* ENX_CLI_CLI_SCENARIO_H */
