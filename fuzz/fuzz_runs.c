/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_runs.c - no CSV may crash the reader of runs or what is made of them, and:
 *
 * (1) a refused file says why;
 * (2) every run that is read has sizes and a loss that are numbers above 0, and a line of the file;
 * (3) rows are accounted for: read, filtered, diverged, trimmed or there twice;
 * (4) odds of a ladder add up to 1, or the ladder is refused.
 *
 * The first line is the map, the second the filter, the rest the file.
 */
#include "base/check.h"
#include "scale/rungs.h"
#include "scale/runs.h"

#include <math.h>
#include <string.h>

enum { LINE_BYTES_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copy a line without its end; NULL: it is empty. */
static const char *take_line(const uint8_t **data, size_t *size, char line[LINE_BYTES_MAX])
{
    size_t length = 0;
    while (length < *size && (*data)[length] != '\n') length++;
    const size_t copied = length < LINE_BYTES_MAX - 1 ? length : LINE_BYTES_MAX - 1;
    if (copied) memcpy(line, *data, copied);
    line[copied] = '\0';
    if (length < *size) length++;
    *data += length;
    *size -= length;
    return line[0] ? line : NULL;
}

static void check_runs(const enx_runs *runs)
{
    ENX_CHECK(runs->count > 0);
    ENX_CHECK(runs->row_count == runs->count + runs->filtered_count + runs->diverged_count +
                                     runs->trimmed_count + runs->duplicate_count);
    for (uint32_t i = 0; i < runs->count; i++) {
        const enx_run *run = &runs->runs[i];
        ENX_CHECK(run->loss > 0 && isfinite(run->loss) && run->flops > 0 && isfinite(run->flops));
        ENX_CHECK(isnan(run->params) || run->params > 0);
        ENX_CHECK(isnan(run->tokens) || run->tokens > 0);
        ENX_CHECK(run->line > 1);
    }
}

static void check_ladder(const enx_runs *runs)
{
    enx_rungs   rungs;
    enx_report  report = { 0 };
    enx_ladder *ladder = NULL;
    double      odds[ENX_OUTCOMES_COUNT], sum = 0;
    if (enx_rungs_gather(&rungs, runs, &report) != ENX_OK) return;
    const enx_belief belief = enx_rungs_belief(&rungs, enx_belief_odds(rungs.count));
    if (enx_ladder_open(&ladder, rungs.rungs, rungs.count, rungs.count - 1, &belief, &report) !=
        ENX_OK) {
        ENX_CHECK(report.text[0]);
        return;
    }
    enx_ladder_odds(ladder, odds);
    for (int k = 0; k < ENX_OUTCOMES_COUNT; k++) sum += odds[k];
    ENX_CHECK(fabs(sum - 1) < 1e-9);
    enx_ladder_close(&ladder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char             map[LINE_BYTES_MAX], where[LINE_BYTES_MAX];
    enx_runs_options o = { 0 };
    enx_runs        *runs = NULL;
    enx_report       report = { 0 };
    o.map = take_line(&data, &size, map);
    o.where = take_line(&data, &size, where);
    o.has_duplicates = size % 2;
    o.trim_worst = size % 3;
    const enx_status status = enx_runs_open(&runs, (const char *)data, size, &o, &report);
    ENX_CHECK((status == ENX_OK) == (runs != NULL));
    if (status != ENX_OK) {
        ENX_CHECK(report.status == status && strlen(report.text) > 10);
        return 0;
    }
    check_runs(runs);
    check_ladder(runs);
    enx_runs_close(&runs);
    return 0;
}
