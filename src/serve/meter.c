/* SPDX-License-Identifier: Apache-2.0 */
/* meter.c - counters. */
#include "serve/meter.h"

#include "base/mem.h"
#include "serve/voice.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct enx_meter {
    pthread_mutex_t lock;
    uint64_t        requests[ENX_METER_CLASSES];
    uint64_t        bytes, elapsed_us;
    enx_meter_model models[ENX_METER_MODELS_MAX];
    uint32_t        model_count;
};

enx_status enx_meter_open(enx_meter **out, const char *const *names, uint32_t count,
                          enx_report *report)
{
    enx_meter *m = ENX_MEM_NEW(enx_meter, 1);
    if (!m) return ENX_FAIL(report, NOMEM, "no memory for counters");
    pthread_mutex_init(&m->lock, NULL);
    for (uint32_t i = 0; i < count && i < ENX_METER_MODELS_MAX; i++)
        m->models[m->model_count++].name = names[i];
    *out = m;
    return ENX_OK;
}

void enx_meter_close(enx_meter **meter)
{
    if (!*meter) return;
    pthread_mutex_destroy(&(*meter)->lock);
    enx_mem_free(*meter);
    *meter = NULL;
}

void enx_meter_request(enx_meter *m, int http_status, bool is_cut, uint64_t bytes,
                       uint64_t elapsed_us)
{
    const int class = is_cut ? 0 : http_status / 100;
    pthread_mutex_lock(&m->lock);
    m->requests[class >= 0 && class < ENX_METER_CLASSES ? class : 0]++;
    m->bytes += bytes;
    m->elapsed_us += elapsed_us;
    pthread_mutex_unlock(&m->lock);
}

void enx_meter_turn(enx_meter *m, uint32_t model, const enx_turn_bill *bill)
{
    if (model >= m->model_count) return;
    pthread_mutex_lock(&m->lock);
    enx_meter_model *to = &m->models[model];
    to->turns++;
    to->failed += bill->is_failed;
    to->tokens_in += bill->usage.tokens_in;
    to->tokens_cached += bill->usage.tokens_cached;
    to->tokens_out += bill->usage.tokens_out;
    to->cost_usd_nano += bill->cost_usd_nano;
    to->wait_us += bill->wait_us;
    to->read_us += bill->read_us;
    to->write_us += bill->write_us;
    pthread_mutex_unlock(&m->lock);
}

/* ---- Prometheus ----------------------------------------------------------------------------- */

typedef struct family {
    const char *name, *help;
    size_t      at; /* of enx_meter_model */
    double      unit;
} family;

static enx_status write_head(const char *name, const char *help, const char *type, enx_buf *out)
{
    return enx_buf_printf(out, "# HELP enxame_%s %s\n# TYPE enxame_%s %s\n", name, help, name,
                          type);
}

static enx_status write_value(const char *name, const char *model, double value, enx_buf *out)
{
    ENX_TRY(enx_buf_printf(out, "enxame_%s{model=", name));
    ENX_TRY(enx_voice_string(out, model, strlen(model)));
    return enx_buf_printf(out, "} %.17g\n", value);
}

static const family families[] = {
    { "turns_total", "Questions to a model.", offsetof(enx_meter_model, turns), 1 },
    { "turns_failed_total", "Questions that ended in an error, or whose client left.",
      offsetof(enx_meter_model, failed), 1 },
    { "tokens_in_total", "Tokens read.", offsetof(enx_meter_model, tokens_in), 1 },
    { "tokens_cached_total", "Tokens of prompts that were known already.",
      offsetof(enx_meter_model, tokens_cached), 1 },
    { "tokens_out_total", "Tokens written.", offsetof(enx_meter_model, tokens_out), 1 },
    { "cost_usd_total", "Dollars.", offsetof(enx_meter_model, cost_usd_nano), 1e-9 },
    { "wait_seconds_total", "Time before a question began to be read.",
      offsetof(enx_meter_model, wait_us), 1e-6 },
    { "read_seconds_total", "Time to the first token.", offsetof(enx_meter_model, read_us), 1e-6 },
    { "write_seconds_total", "Time from the first token to the last.",
      offsetof(enx_meter_model, write_us), 1e-6 },
};

static enx_status write_family(const enx_meter *m, const family *f, enx_buf *out)
{
    ENX_TRY(write_head(f->name, f->help, "counter", out));
    for (uint32_t i = 0; i < m->model_count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&m->models[i] + f->at, sizeof value);
        ENX_TRY(write_value(f->name, m->models[i].name, (double)value * f->unit, out));
    }
    return ENX_OK;
}

static enx_status write_requests(const enx_meter *m, enx_buf *out)
{
    static const char *const classes[] = { "cut", "1xx", "2xx", "3xx", "4xx", "5xx" };
    ENX_TRY(enx_buf_append_text(out, "# HELP enxame_requests_total HTTP requests by the class of "
                                     "their status; cut: the client left.\n"
                                     "# TYPE enxame_requests_total counter\n"));
    for (int i = 0; i < ENX_METER_CLASSES; i++)
        ENX_TRY(enx_buf_printf(out, "enxame_requests_total{status=\"%s\"} %llu\n", classes[i],
                               (unsigned long long)m->requests[i]));
    return enx_buf_printf(out,
                          "# HELP enxame_response_bytes_total Bytes of bodies sent.\n"
                          "# TYPE enxame_response_bytes_total counter\n"
                          "enxame_response_bytes_total %llu\n"
                          "# HELP enxame_request_seconds_total Time of all requests.\n"
                          "# TYPE enxame_request_seconds_total counter\n"
                          "enxame_request_seconds_total %.6f\n",
                          (unsigned long long)m->bytes, (double)m->elapsed_us * 1e-6);
}

enx_status enx_meter_write(enx_meter *m, enx_buf *out)
{
    pthread_mutex_lock(&m->lock);
    enx_meter copy;
    memcpy(copy.requests, m->requests, sizeof copy.requests);
    memcpy(copy.models, m->models, sizeof copy.models);
    copy.bytes = m->bytes;
    copy.elapsed_us = m->elapsed_us;
    copy.model_count = m->model_count;
    pthread_mutex_unlock(&m->lock);
    ENX_TRY(write_requests(&copy, out));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        ENX_TRY(write_family(&copy, &families[i], out));
    return ENX_OK;
}

/* ---- Engines -------------------------------------------------------------------------------- */

typedef struct engine_family {
    const char *name, *help;
    size_t      at;       /* of enx_meter_engine */
    bool        is_gauge; /* then of 32 bits, else of 64 */
} engine_family;

#define COUNTED(name, help, field)                                                     \
    {                                                                                  \
        "engine_" name "_total", help, offsetof(enx_meter_engine, counts.field), false \
    }
#define GAUGED(name, help, field)                                     \
    {                                                                 \
        "engine_" name, help, offsetof(enx_meter_engine, field), true \
    }

static const engine_family engine_families[] = {
    COUNTED("steps", "Passes of the weights.", steps),
    COUNTED("rows", "Tokens that went through the model.", rows),
    COUNTED("tokens_in", "Tokens of prompts that were evaluated.", tokens_in),
    COUNTED("tokens_cached", "Tokens of prompts that were known.", tokens_cached),
    COUNTED("tokens_out", "Tokens written.", tokens_out),
    COUNTED("forced", "Tokens written without a choice.", forced),
    COUNTED("drafted", "Tokens that were guessed.", drafted),
    COUNTED("accepted", "Guesses that were right.", accepted),
    COUNTED("requests", "Sequences that came to an end.", requests),
    COUNTED("prefix_hits", "... of whose prompt a part was known.", prefix_hits),
    COUNTED("evicted", "Remembered pages that gave way.", evicted),
    COUNTED("refused", "Sequences that had to come again.", refused),
    COUNTED("canceled", "Sequences that somebody ended.", canceled),
    COUNTED("keys_read", "Positions that attention read, a layer.", keys_read),
    COUNTED("keys_seen", "Positions that rows saw, a layer.", keys_seen),
    GAUGED("waiting", "Questions that wait for a place.", waiting),
    GAUGED("sequences", "Sequences that run.", counts.sequences),
    GAUGED("pages", "Pages of 16 positions.", counts.pages),
    GAUGED("pages_free", "Pages that nobody needs.", counts.pages_free),
    GAUGED("pages_remembered", "Pages kept for who comes.", counts.pages_remembered),
};

static double engine_value(const enx_meter_engine *engine, const engine_family *f)
{
    const char *at = (const char *)engine + f->at;
    uint64_t    wide;
    uint32_t    narrow;
    if (f->is_gauge) {
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, at, sizeof wide);
    return (double)wide;
}

static enx_status write_bucket(const char *model, const char *limit, uint64_t count, enx_buf *out)
{
    ENX_TRY(enx_buf_printf(out, "enxame_engine_batch_rows_bucket{model="));
    ENX_TRY(enx_voice_string(out, model, strlen(model)));
    return enx_buf_printf(out, ",le=\"%s\"} %llu\n", limit, (unsigned long long)count);
}

/* Each bucket has those of the smaller ones, too. */
static enx_status write_batches(const enx_meter_engine *engine, enx_buf *out)
{
    const enx_engine_counts *c = &engine->counts;
    uint64_t                 sum = 0;
    char                     limit[16];
    for (int i = 0; i + 1 < ENX_ENGINE_BATCHES; i++) {
        sum += c->batches[i];
        snprintf(limit, sizeof limit, "%u", 1u << i);
        ENX_TRY(write_bucket(engine->name, limit, sum, out));
    }
    ENX_TRY(write_bucket(engine->name, "+Inf", c->steps, out));
    ENX_TRY(write_value("engine_batch_rows_sum", engine->name, (double)c->rows, out));
    return write_value("engine_batch_rows_count", engine->name, (double)c->steps, out);
}

enx_status enx_meter_write_engines(const enx_meter_engine *engines, uint32_t count, enx_buf *out)
{
    for (size_t i = 0; i < sizeof engine_families / sizeof *engine_families; i++) {
        const engine_family *f = &engine_families[i];
        ENX_TRY(write_head(f->name, f->help, f->is_gauge ? "gauge" : "counter", out));
        for (uint32_t e = 0; e < count; e++)
            ENX_TRY(write_value(f->name, engines[e].name, engine_value(&engines[e], f), out));
    }
    ENX_TRY(write_head("engine_batch_rows", "Rows of a pass.", "histogram", out));
    for (uint32_t e = 0; e < count; e++) ENX_TRY(write_batches(&engines[e], out));
    return ENX_OK;
}
