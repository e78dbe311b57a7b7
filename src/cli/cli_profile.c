/* SPDX-License-Identifier: Apache-2.0 */
/* cli_profile.c - phases, then layers. */
#include "cli/cli_profile.h"

#include <stdio.h>
#include <string.h>

/* ---- measuring ----------------------------------------------------------------------------- */

/* Counts and clock go up by what lies between: they are taken off here and added by stop(). */
void cli_profile_start(cli_profile *p, const enx_engine *engine, enx_profile *live)
{
    const enx_engine_counts counts = enx_engine_count(engine);
    p->passes -= counts.steps;
    p->rows -= counts.rows;
    p->time_ns -= live->now_ns();
    live->is_running = true;
}

void cli_profile_stop(cli_profile *p, const enx_engine *engine, enx_profile *live)
{
    const enx_engine_counts counts = enx_engine_count(engine);
    live->is_running = false;
    p->passes += counts.steps;
    p->rows += counts.rows;
    p->time_ns += live->now_ns();
}

enx_status cli_profile_take(cli_profile *p, enx_profile *live, enx_report *report)
{
    ENX_TRY(enx_profile_open(&p->phases, live->layer_count, live->now_ns, report));
    memcpy(p->phases->cells, live->cells,
           ((size_t)live->layer_count + 1) * ENX_PHASE_COUNT * sizeof *live->cells);
    enx_profile_clear(live);
    return ENX_OK;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Whose operations are products with weights, which the int8 peak is the limit of. */
static bool is_product(enx_phase phase)
{
    return phase == ENX_PHASE_QKV || phase == ENX_PHASE_OUT || phase == ENX_PHASE_ROUTE ||
           phase == ENX_PHASE_GATE_UP || phase == ENX_PHASE_DOWN || phase == ENX_PHASE_HEAD;
}

/* A nanosecond's bytes are gigabytes a second. */
static double rate(uint64_t count, uint64_t time_ns)
{
    return time_ns ? (double)count / (double)time_ns : 0;
}

static uint64_t rest_ns(const cli_profile *p)
{
    uint64_t sum = 0;
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++)
        sum += enx_profile_sum(p->phases, (enx_phase)phase).time_ns;
    return p->time_ns > sum ? p->time_ns - sum : 0;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *phase_json(const cli_profile *p, const char *name, uint64_t time_ns)
{
    return json_pack("{s:s, s:f, s:f}", "name", name, "seconds", (double)time_ns * 1e-9, "share",
                     rate(time_ns, p->time_ns));
}

static json_t *work_json(const cli_profile *p, enx_phase phase, const cli_profile_peaks *peaks)
{
    const enx_profile_cell sum = enx_profile_sum(p->phases, phase);
    const double           gbps = rate(sum.work.bytes, sum.time_ns);
    const double           gops = rate(sum.work.operations, sum.time_ns);
    json_t                *out = phase_json(p, enx_phase_text(phase), sum.time_ns);
    if (sum.work.bytes) {
        json_object_set_new(out, "bytes", json_integer((json_int_t)sum.work.bytes));
        json_object_set_new(out, "gbps", json_real(gbps));
        json_object_set_new(out, "read_share", json_real(gbps / peaks->read_gbps));
        json_object_set_new(out, "operations", json_integer((json_int_t)sum.work.operations));
        json_object_set_new(out, "gops", json_real(gops));
    }
    if (sum.work.bytes && is_product(phase))
        json_object_set_new(out, "int8_share", json_real(gops * 1e-3 / peaks->int8_tops));
    return out;
}

/* Seconds of each phase. */
static json_t *layer_json(const enx_profile_cell *cells)
{
    json_t *out = json_object();
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++)
        if (cells[phase].time_ns)
            json_object_set_new(out, enx_phase_text((enx_phase)phase),
                                json_real((double)cells[phase].time_ns * 1e-9));
    return out;
}

json_t *cli_profile_json(const cli_profile *p, const cli_profile_peaks *peaks)
{
    json_t *phases = json_array(), *layers = json_array();
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++)
        if (enx_profile_sum(p->phases, (enx_phase)phase).time_ns)
            json_array_append_new(phases, work_json(p, (enx_phase)phase, peaks));
    json_array_append_new(phases, phase_json(p, "rest", rest_ns(p)));
    for (uint32_t layer = 0; layer < p->phases->layer_count; layer++)
        json_array_append_new(layers, layer_json(p->phases->cells + layer * ENX_PHASE_COUNT));
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:o, s:o}", "part", p->part, "sequences",
                     (json_int_t)p->sequences, "passes", (json_int_t)p->passes, "rows",
                     (json_int_t)p->rows, "seconds", (double)p->time_ns * 1e-9, "phases", phases,
                     "layers", layers);
}

/* ---- for people ---------------------------------------------------------------------------- */

static double pass_ms(const cli_profile *p, uint64_t time_ns)
{
    return p->passes ? (double)time_ns * 1e-6 / (double)p->passes : 0;
}

static void print_time(const cli_profile *p, const char *name, uint64_t time_ns)
{
    printf("  %-22s %10.3f %6.1f %%", name, pass_ms(p, time_ns), 100 * rate(time_ns, p->time_ns));
}

static void print_phase(const cli_profile *p, enx_phase phase, const cli_profile_peaks *peaks)
{
    const enx_profile_cell sum = enx_profile_sum(p->phases, phase);
    if (sum.time_ns == 0) return;
    const double gbps = rate(sum.work.bytes, sum.time_ns);
    const double gops = rate(sum.work.operations, sum.time_ns);
    print_time(p, enx_phase_text(phase), sum.time_ns);
    if (sum.work.bytes) printf(" %8.2f %6.0f %% %8.1f", gbps, 100 * gbps / peaks->read_gbps, gops);
    if (sum.work.bytes && is_product(phase)) printf(" %6.0f %%", .1 * gops / peaks->int8_tops);
    putchar('\n');
}

static uint64_t group_ns(const enx_profile_cell *cells, enx_phase first, enx_phase last)
{
    uint64_t sum = 0;
    for (int phase = (int)first; phase <= (int)last; phase++) sum += cells[phase].time_ns;
    return sum;
}

static void print_layers(const cli_profile *p)
{
    printf("  %-22s %10s %12s %12s %12s\n", "layer", "ms a pass", "attention", "around it",
           "feed-forward");
    for (uint32_t layer = 0; layer < p->phases->layer_count; layer++) {
        const enx_profile_cell *cells = p->phases->cells + layer * ENX_PHASE_COUNT;
        const uint64_t          attention = cells[ENX_PHASE_ATTEND].time_ns;
        printf("  %-22u %10.3f %12.3f %12.3f %12.3f\n", layer,
               pass_ms(p, group_ns(cells, ENX_PHASE_NORM, ENX_PHASE_DOWN)), pass_ms(p, attention),
               pass_ms(p, group_ns(cells, ENX_PHASE_NORM, ENX_PHASE_OUT) - attention),
               pass_ms(p, group_ns(cells, ENX_PHASE_ROUTE, ENX_PHASE_DOWN)));
    }
}

void cli_profile_print(const cli_profile *p, const cli_profile_peaks *peaks)
{
    printf("\n%s, %u sequence%s: %llu passes of %.1f rows, %.3f s\n", p->part, p->sequences,
           p->sequences == 1 ? "" : "s", (unsigned long long)p->passes,
           p->passes ? (double)p->rows / (double)p->passes : 0, (double)p->time_ns * 1e-9);
    printf("  %-22s %10s %8s %8s %8s %8s %8s\n", "phase", "ms a pass", "share", "GB/s", "of read",
           "GOP/s", "of int8");
    for (int phase = 0; phase < ENX_PHASE_COUNT; phase++) print_phase(p, (enx_phase)phase, peaks);
    print_time(p, "rest", rest_ns(p));
    putchar('\n');
    print_layers(p);
}
