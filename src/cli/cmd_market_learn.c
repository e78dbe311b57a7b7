/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_learn.c - enxame market learn: a learning rate out of a history of costs. */
#include "base/mem.h"
#include "cli/cli.h"
#include "market/learn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 1 << 20 };

typedef struct history {
    double  *units, *cost; /* [ENX_LEARN_POINTS_MAX] */
    uint32_t count;
} history;

/* The last two of a row's fields are units and cost; what stands before them is not looked at. */
static enx_status take_row(history *h, char *line, enx_report *report)
{
    char *last = strrchr(line, ',');
    char *end_units = NULL, *end_cost = NULL;
    if (last) *last = '\0';
    const char *before = last ? strrchr(line, ',') : NULL;
    const char *text = before ? before + 1 : line;
    if (h->count == ENX_LEARN_POINTS_MAX)
        return ENX_FAIL(report, LIMIT, "more than %d rows", ENX_LEARN_POINTS_MAX);
    if (last) {
        h->units[h->count] = strtod(text, &end_units);
        h->cost[h->count] = strtod(last + 1, &end_cost);
    }
    if (!last || end_units == text || *end_units || end_cost == last + 1 || *end_cost)
        return ENX_FAIL(
            report, FORMAT,
            "the last two fields are not numbers: units made so far, cost of one in USD");
    h->count++;
    return ENX_OK;
}

/* Lines with "#" first are comments; the first other one is the heading. */
static enx_status take_lines(history *h, char *text, enx_report *report)
{
    bool     has_heading = false;
    unsigned number = 1;
    for (char *line = text; line; number++) {
        char *end = strchr(line, '\n');
        if (end) *end = '\0';
        if (line[0] && line[strlen(line) - 1] == '\r') line[strlen(line) - 1] = '\0';
        const bool is_row = line[0] && line[0] != '#' && has_heading;
        has_heading = has_heading || (line[0] && line[0] != '#');
        const enx_status status = is_row ? take_row(h, line, report) : ENX_OK;
        if (status != ENX_OK) {
            enx_report_wrap(report, "line %u", number);
            return status;
        }
        line = end ? end + 1 : NULL;
    }
    return ENX_OK;
}

static enx_status learn(enx_learning *out, uint32_t *count, const char *path, enx_report *report)
{
    enx_buf text;
    history h = { .units = ENX_MEM_NEW(double, ENX_LEARN_POINTS_MAX),
                  .cost = ENX_MEM_NEW(double, ENX_LEARN_POINTS_MAX) };
    enx_buf_init(&text, BYTES_MAX);
    enx_status status =
        h.units && h.cost ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a history");
    if (status == ENX_OK) status = cli_read(&text, path, report);
    if (status == ENX_OK && text.data) {
        status = take_lines(&h, text.data, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    if (status == ENX_OK) {
        status = enx_learn_fit(out, h.units, h.cost, h.count, report);
        if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    }
    *count = h.count;
    enx_buf_deinit(&text);
    enx_mem_free(h.units);
    enx_mem_free(h.cost);
    return status;
}

static void print_learning(const enx_learning *l, uint32_t count)
{
    const double far = 1.645 * l->exponent_se;
    printf("%u rows: cost falls by %.1f %% with each doubling (%.1f to %.1f, nine in ten)\n", count,
           100 * l->rate, 100 * (1 - exp2(l->exponent + far)), 100 * (1 - exp2(l->exponent - far)));
    printf("exponent %.5f, standard error %.5f, R squared %.4f\n", l->exponent, l->exponent_se,
           l->fit);
    printf("from row to row %.5f, with a noise of %.4f of the logarithm\n\n", l->step_exponent,
           l->noise_sd);
    printf("future: {learning_rate: %.3f, noise_sd: %.3f, cost_factor: 1}\n", fmax(0, l->rate),
           l->noise_sd);
}

int cmd_market_learn(int argc, char **argv)
{
    const cli_spec spec = { "market learn HISTORY.csv [options]",
                            "How far costs fall with each doubling of what was made: a learning "
                            "rate and its noise for market run, out of units made so far and the "
                            "cost of one, the last two columns.",
                            "enxame market learn jobs/market/solar_panels.csv",
                            NULL,
                            0,
                            1,
                            1 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_learning   l;
    uint32_t       count;
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = learn(&l, &count, args.operands.items[0], &report);
    if (status != ENX_OK) return cli_fail("market learn", &args, status, &report);
    if (args.is_json)
        cli_print_json_exact(json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "rows", (int)count,
                                       "exponent", l.exponent, "exponent_se", l.exponent_se, "fit",
                                       l.fit, "rate", l.rate, "step_exponent", l.step_exponent,
                                       "noise_sd", l.noise_sd));
    else print_learning(&l, count);
    return 0;
}
