/* SPDX-License-Identifier: Apache-2.0 */
/* golden_runs.h - the published runs that the tests of `scale` are held against.
 *
 * tests/golden/scale_gadre.csv (arXiv 2403.08540) and scale_porian.csv (arXiv 2406.19146) lie in
 * the tree; others are read from the folder that ENX_SCALE_DATA names (docs/law.md says where they
 * come from), and tests of these are skipped without it.
 *
 * Layer: tests.  Thread-safety: one owner thread; not shared.
 */
#ifndef ENX_TESTS_GOLDEN_RUNS_H
#define ENX_TESTS_GOLDEN_RUNS_H

#include "base/mem.h"
#include "plat/file.h"
#include "scale/form.h"
#include "scale/runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { GOLDEN_BYTES_MAX = 8 << 20 };

static inline enx_runs *golden_open(const char *folder, const char *file, const enx_runs_options *o)
{
    char       path[1024];
    enx_buf    text;
    enx_runs  *runs = NULL;
    enx_report report = { 0 };
    snprintf(path, sizeof path, "%s/%s", folder, file);
    enx_buf_init(&text, GOLDEN_BYTES_MAX);
    if (enx_file_read(&text, path, &report) != ENX_OK ||
        enx_runs_open(&runs, text.data, text.size_bytes, o, &report) != ENX_OK)
        fprintf(stderr, "%s\n", report.text);
    enx_buf_deinit(&text);
    return runs;
}

static inline enx_point golden_point(const enx_run *run)
{
    return (enx_point){ log(run->params), log(run->tokens), log(run->flops), log(run->loss) };
}

/* One that takes part in what a test is about. */
typedef struct golden_filter {
    double params_low, params_high; /* of N; 0: no bound above */
    double flops_low, flops_high;
    double ratio_low, ratio_high; /* of D / N */
} golden_filter;

static inline int golden_is_in(const golden_filter *f, const enx_run *r)
{
    const double ratio = r->tokens / r->params;
    return r->params >= f->params_low && (f->params_high == 0 || r->params < f->params_high) &&
           r->flops >= f->flops_low && (f->flops_high == 0 || r->flops < f->flops_high) &&
           ratio >= f->ratio_low && (f->ratio_high == 0 || ratio < f->ratio_high);
}

/* Append those of `runs` to points[count]. */
static inline uint32_t golden_take(enx_point *points, uint32_t count, const enx_runs *runs,
                                   const golden_filter *f)
{
    for (uint32_t i = 0; i < runs->count; i++)
        if (golden_is_in(f, &runs->runs[i])) points[count++] = golden_point(&runs->runs[i]);
    return count;
}

#endif /* ENX_TESTS_GOLDEN_RUNS_H */
