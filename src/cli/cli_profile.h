/* SPDX-License-Identifier: Apache-2.0 */
/* cli_profile.h - where an engine's time goes, for people and as JSON.
 *
 *     cli_profile_start(&p, engine, live);      // live: what the engine was opened with
 *     ... steps ...                             // again and again: what lies between adds up
 *     cli_profile_stop(&p, engine, live);
 *     cli_profile_take(&p, live, report);       // p has it all, and live is empty again
 *
 * Layer: cli.  Thread-safety: one owner thread.
 */
#ifndef ENX_CLI_CLI_PROFILE_H
#define ENX_CLI_CLI_PROFILE_H

#include "engine/engine.h"

#include <jansson.h>

typedef struct cli_profile {
    const char  *part;      /* what was measured; borrowed */
    uint32_t     sequences; /* at a time */
    uint64_t     passes, rows, time_ns;
    enx_profile *phases; /* owned: enx_profile_close; NULL before take() */
} cli_profile;

/* Of the machine. */
typedef struct cli_profile_peaks {
    double read_gbps, int8_tops;
} cli_profile_peaks;

void cli_profile_start(cli_profile *p, const enx_engine *engine, enx_profile *live);
void cli_profile_stop(cli_profile *p, const enx_engine *engine, enx_profile *live);
/* ENX_NOMEM. */
ENX_MUST_USE enx_status cli_profile_take(cli_profile *p, enx_profile *live, enx_report *report);

/* After take(). */
json_t *cli_profile_json(const cli_profile *p, const cli_profile_peaks *peaks);
void    cli_profile_print(const cli_profile *p, const cli_profile_peaks *peaks);

#endif /* ENX_CLI_CLI_PROFILE_H */
