/* SPDX-License-Identifier: Apache-2.0 */
/* cli_display.h - what a running job looks like on stderr.
 *
 * On a terminal a live picture, redrawn in place; otherwise a plain line now and then.  NO_COLOR
 * and TERM=dumb are respected.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_DISPLAY_H
#define ENX_CLI_CLI_DISPLAY_H

#include "swarm/swarm.h"

typedef struct cli_display {
    const enx_swarm  *swarm;
    const enx_roster *roster;
    uint32_t          item_count;
    bool              is_quiet, is_live, has_color;
    uint64_t          start_us, shown_us;
    uint64_t          start_tokens; /* of earlier runs of the job */
    unsigned          line_count;   /* on the screen */
    bool              has_plan;
} cli_display;

void cli_display_init(cli_display *display, const enx_swarm *swarm, const enx_roster *roster,
                      uint32_t item_count, bool is_quiet);
/* Shows news when it is time for them. */
void cli_display_update(cli_display *display);
/* The last state, left standing. */
void cli_display_finish(cli_display *display);

#endif /* ENX_CLI_CLI_DISPLAY_H */
