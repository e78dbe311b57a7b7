/* SPDX-License-Identifier: Apache-2.0 */
/* cli_market.c - see cli_market.h. */
#include "cli/cli_market.h"

#include "cli/cli_job.h"

#include <math.h>

enx_status cli_market_ledger(cli_ledger *out, const char *job, enx_report *report)
{
    enx_store *store = NULL;
    uint64_t   id;
    ENX_TRY(cli_job_id(job, &id, report));
    ENX_TRY(cli_store_open(&store, report));
    const enx_status status = cli_ledger_read(out, store, id, report);
    enx_store_close(&store);
    return status;
}

static enx_status use_ledger(cli_scenario *s, const char *job, enx_report *report)
{
    cli_ledger ledger;
    if (s->market.product_count == 0)
        return ENX_FAIL(report, INVALID, "firms: there are none to serve as job %.20s did", job);
    ENX_TRY(cli_market_ledger(&ledger, job, report));
    const double ratio = cli_ledger_cost_ratio(&ledger);
    if (isnan(ratio))
        return ENX_FAIL(report, INVALID,
                        "job %llu: its lead answered nothing, so there is no cost to compare with; "
                        "take one with audits (--labels) or escalated answers",
                        (unsigned long long)ledger.job_id);
    s->products[0].unit_cost *= ratio;
    fprintf(stderr,
            "ledger: job %llu, %u tasks at %.4g times what its lead alone costs; the first firm's "
            "unit cost is %.4g USD\n",
            (unsigned long long)ledger.job_id, ledger.tasks, ratio, s->products[0].unit_cost);
    return enx_market_check(&s->market, report);
}

enx_status cli_market_open(cli_scenario **out, const char *path, const cli_market_links *links,
                           enx_report *report)
{
    ENX_TRY(cli_scenario_read(out, path, links->law, report));
    if ((*out)->has_law) cli_market_law_print(stderr, &(*out)->law);
    if (!links->job) return ENX_OK;
    const enx_status status = use_ledger(*out, links->job, report);
    if (status != ENX_OK) cli_scenario_close(out);
    return status;
}
