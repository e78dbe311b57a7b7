/* SPDX-License-Identifier: Apache-2.0 */
/* cli_checks.h - what the store knows of checks and votes, class by class.
 *
 * Jobs are of one group when their class and its list of checks are the same.  Jobs of a goal in
 * stages are left out: their tasks are of several classes.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_CHECKS_H
#define ENX_CLI_CLI_CHECKS_H

#include "cli/cli_recipe.h"
#include "store/store.h"
#include "swarm/tally.h"

enum { CLI_CHECKS_GROUPS_MAX = 64 };

typedef struct cli_checks_group {
    char        name[ENX_CLASS_NAME_BYTES_MAX];
    enx_check   checks[ENX_CLASS_CHECKS_MAX]; /* texts borrowed from `recipe` */
    uint32_t    check_count;
    cli_recipe *recipe; /* owned; NULL: text is restored */
    enx_tally  *tally;
} cli_checks_group;

typedef struct cli_checks {
    cli_checks_group groups[CLI_CHECKS_GROUPS_MAX]; /* the newest first; others are left out */
    uint32_t         count;
} cli_checks;

/* Of all jobs, or only of the class `name` with these checks [JSON] where `checks` is not NULL. */
ENX_MUST_USE enx_status cli_checks_read(cli_checks *out, enx_store *store, const char *name,
                                        const json_t *checks, enx_report *report);
void                    cli_checks_close(cli_checks *checks);

/* Place of the group's `second`, from 1; 0: it has none. */
uint32_t cli_checks_vote(const cli_checks_group *group);
/* "not used: ..." in words of what was measured. */
void     cli_checks_explain(const cli_checks_group *group, const enx_tally_vote *vote, char *out,
                            size_t out_bytes);

#endif /* ENX_CLI_CLI_CHECKS_H */
