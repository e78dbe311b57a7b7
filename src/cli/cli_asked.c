/* SPDX-License-Identifier: Apache-2.0 */
/* cli_asked.c - one call at a time through the backend. */
#include "cli/cli_asked.h"

#include "base/mem.h"
#include "plat/clock.h"

#include <stdlib.h>
#include <string.h>

enum { POLL_US = 100000, SECONDS_MAX = 600 };

struct cli_asked {
    enx_config    *config;
    enx_backend   *backend;
    enx_buf        worker_file;
    uint64_t       budget_usd_nano; /* 0: no cap */
    uint64_t       salt;            /* of its call ids: another one in every process */
    cli_asked_bill bill;
};

/* What a report becomes while it is waited for. */
typedef struct waiting {
    uint64_t        call_id;
    bool            is_here;
    enx_call_status status;
    uint32_t        flags;
    enx_usage_count usage;
    enx_buf        *answer;
    enx_status      written;
    char            error[ENX_REPORT_TEXT_MAX];
} waiting;

/* ---- Opening -------------------------------------------------------------------------------- */

static enx_status find_worker_file(cli_asked *a, enx_report *report)
{
    for (unsigned i = 0; i < a->config->worker_count; i++) {
        const enx_config_model *m = &a->config->workers[i];
        if (!m->model) continue;
        if (enx_config_model_path(a->config, m, &a->worker_file) != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory for a path");
        return ENX_OK;
    }
    return ENX_OK;
}

enx_status cli_asked_open(cli_asked **out, const char *swarm_path, double budget_usd,
                          enx_report *report)
{
    cli_asked *a = ENX_MEM_NEW(cli_asked, 1);
    if (!a) return ENX_FAIL(report, NOMEM, "no memory for a swarm");
    *a = (cli_asked){ .budget_usd_nano = (uint64_t)(budget_usd * 1e9),
                      .salt = enx_clock_wall_us() << 20 };
    enx_buf_init(&a->worker_file, CLI_PATH_BYTES_MAX);
    const enx_backend_options options = {
        .local = { .cpu = getenv("ENX_CPU"), .takes_any_duty = true },
        .secret = cli_secret,
        .seed = a->salt,
    };
    enx_status status = enx_config_open(&a->config, swarm_path, report);
    if (status == ENX_OK) status = enx_backend_open(&a->backend, a->config, &options, report);
    if (status == ENX_OK) status = enx_backend_set_salt(a->backend, a->salt, report);
    if (status == ENX_OK) status = find_worker_file(a, report);
    if (status == ENX_OK) *out = a;
    else cli_asked_close(&a);
    return status;
}

void cli_asked_close(cli_asked **asked)
{
    cli_asked *a = *asked;
    if (!a) return;
    enx_backend_close(&a->backend);
    enx_config_close(&a->config);
    enx_buf_deinit(&a->worker_file);
    enx_mem_free(a);
    *asked = NULL;
}

/* ---- Who is there --------------------------------------------------------------------------- */

static uint32_t find_duty(const cli_asked *a, enx_duty duty, uint32_t nth)
{
    const enx_roster *roster = enx_backend_roster(a->backend);
    for (uint32_t i = 0; i < roster->model_count; i++)
        if (roster->models[i].duty == duty && nth-- == 0) return i;
    return CLI_ASKED_NOBODY;
}

uint32_t cli_asked_lead(const cli_asked *a) { return find_duty(a, ENX_DUTY_LEAD, 0); }

uint32_t cli_asked_worker(const cli_asked *a, const char *but)
{
    char own[CLI_PATH_BYTES_MAX] = "", other[CLI_PATH_BYTES_MAX];
    if (but) cli_absolute_path(own, but);
    for (unsigned i = 0; i < a->config->worker_count; i++) {
        const enx_config_model *m = &a->config->workers[i];
        enx_buf                 path;
        enx_buf_init(&path, CLI_PATH_BYTES_MAX);
        bool is_other = true;
        if (m->model && enx_config_model_path(a->config, m, &path) == ENX_OK) {
            cli_absolute_path(other, enx_buf_text(&path));
            is_other = strcmp(own, other) != 0;
        }
        enx_buf_deinit(&path);
        if (is_other) return find_duty(a, ENX_DUTY_WORKER, i);
    }
    return CLI_ASKED_NOBODY;
}

const char *cli_asked_name(const cli_asked *a, uint32_t model)
{
    return enx_backend_roster(a->backend)->models[model].name;
}

const char *cli_asked_worker_file(const cli_asked *a) { return enx_buf_text(&a->worker_file); }

/* ---- Asking --------------------------------------------------------------------------------- */

static void on_report(void *user, const enx_call_report *r)
{
    waiting *w = user;
    if (r->call_id != w->call_id) return; /* of a call that was given up */
    w->is_here = true;
    w->status = r->status;
    w->flags = r->flags;
    w->usage = r->usage;
    w->written = enx_buf_append(w->answer, r->answer, r->answer_bytes);
    snprintf(w->error, sizeof w->error, "%s",
             r->error ? r->error : enx_call_status_text(r->status));
}

static void charge(cli_asked *a, const waiting *w, const enx_price *price, uint64_t worst)
{
    if (!w->is_here || w->status == ENX_CALL_LOST) {
        a->bill.unknown_usd_nano += worst;
        return;
    }
    a->bill.usage.tokens_in += w->usage.tokens_in;
    a->bill.usage.tokens_cached += w->usage.tokens_cached;
    a->bill.usage.tokens_out += w->usage.tokens_out;
    a->bill.usd_nano += enx_price_cost(price, &w->usage);
}

/* The call's worst case, which is to fit. */
static enx_status reserve(cli_asked *a, const enx_roster_model *m, enx_call *call,
                          enx_report *report)
{
    call->max_tokens_in = m->prompt_tokens + (uint32_t)call->input_bytes +
                          (uint32_t)enx_class_words_bytes(call->task_class) + ENX_FORM_MORE_BYTES;
    call->max_tokens_out = enx_class_answer_tokens(call->task_class) + m->thinking_tokens;
    enx_backend_measure(a->backend, call);
    const enx_usage_count worst = { .tokens_in = call->max_tokens_in,
                                    .tokens_out = call->max_tokens_out };
    call->reserved_usd_nano = enx_price_cost(&m->price, &worst);
    const uint64_t spent = a->bill.usd_nano + a->bill.unknown_usd_nano;
    if (a->budget_usd_nano && spent + call->reserved_usd_nano > a->budget_usd_nano)
        return ENX_FAIL(report, BUDGET,
                        "another question may cost %.6f USD, and %.6f of %.6f are "
                        "spent",
                        (double)call->reserved_usd_nano * 1e-9, (double)spent * 1e-9,
                        (double)a->budget_usd_nano * 1e-9);
    return ENX_OK;
}

enx_status cli_asked_ask(cli_asked *a, uint32_t model, const enx_class *task_class,
                         const char *input, size_t input_bytes, enx_buf *answer, enx_report *report)
{
    const enx_roster_model *m = &enx_backend_roster(a->backend)->models[model];
    const uint64_t          end_us = enx_clock_monotonic_us() + SECONDS_MAX * UINT64_C(1000000);
    const bool              is_lead = m->duty == ENX_DUTY_LEAD;
    enx_call                call = { .call_id = a->salt + ++a->bill.calls,
                                     .task_id = (uint32_t)a->bill.calls,
                                     .item = (uint32_t)a->bill.calls - 1,
                                     .attempt = 1,
                                     .role = is_lead ? ENX_ROLE_LEAD : ENX_ROLE_WORK,
                                     .model = model,
                                     .what = task_class->name,
                                     .task_class = task_class,
                                     .goal = "",
                                     .input = input,
                                     .input_bytes = input_bytes,
                                     .answer = "",
                                     .level = ENX_LEVEL_UNKNOWN,
                                     .deadline_us = end_us };
    waiting                 w = { .call_id = call.call_id, .answer = answer };
    ENX_TRY(reserve(a, m, &call, report));
    enx_backend_generate(a->backend, &call);
    while (!w.is_here && !cli_is_interrupted() && enx_clock_monotonic_us() < end_us)
        (void)enx_backend_poll(a->backend, POLL_US, on_report, &w);
    if (!w.is_here) enx_backend_cancel(a->backend, call.call_id);
    charge(a, &w, &m->price, call.reserved_usd_nano);
    if (cli_is_interrupted()) return ENX_FAIL(report, CANCELED, "interrupted");
    if (!w.is_here) return ENX_FAIL(report, IO, "%s did not answer in %d s", m->name, SECONDS_MAX);
    if (w.status != ENX_CALL_OK) return ENX_FAIL(report, IO, "%s: %s", m->name, w.error);
    if (w.flags & ENX_FLAGS_RED)
        return ENX_FAIL(report, IO, "%s: the answer is cut or empty", m->name);
    return w.written == ENX_OK ? ENX_OK : ENX_FAIL(report, LIMIT, "%s: a too long answer", m->name);
}

cli_asked_bill cli_asked_total(const cli_asked *a) { return a->bill; }

json_t *cli_asked_json(const cli_asked *a)
{
    const cli_asked_bill *b = &a->bill;
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "calls", (json_int_t)b->calls, "tokens_in",
                     (json_int_t)b->usage.tokens_in, "tokens_cached",
                     (json_int_t)b->usage.tokens_cached, "tokens_out",
                     (json_int_t)b->usage.tokens_out, "usd", cli_json_usd(b->usd_nano),
                     "unknown_usd", cli_json_usd(b->unknown_usd_nano));
}
