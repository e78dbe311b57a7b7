/* SPDX-License-Identifier: Apache-2.0 */
/* cli_asked.c - calls through the backend, and what each may cost and did.
 *
 * A call is open from the moment in which its worst case is held back to the report that settles
 * it; one that is given up before stays unknown, and a report that comes then changes nothing.
 */
#include "cli/cli_asked.h"

#include "base/mem.h"
#include "plat/clock.h"

#include <stdlib.h>
#include <string.h>

enum { POLL_US = 100000, SECONDS_MAX = 600 };

typedef struct open_call {
    uint64_t            id;
    const enx_price    *price;
    uint64_t            worst_usd_nano;
    enx_local_report_fn on_report;
    void               *user;
} open_call;

struct cli_asked {
    enx_config    *config;
    enx_backend   *backend;
    enx_buf        first_file;      /* of the model that cli_asked_first gives, where it has one */
    uint64_t       budget_usd_nano; /* 0: no cap */
    uint64_t       salt;            /* of its call ids: another one in every process */
    uint64_t       made;            /* numbers given to calls */
    cli_asked_bill bill;
    open_call      open[CLI_ASKED_CALLS_MAX];
    uint32_t       open_count;
};

/* ---- Opening -------------------------------------------------------------------------------- */

/* Of the first worker, or of the lead where there is no worker. */
static const enx_config_model *first_model(const cli_asked *a)
{
    return a->config->worker_count ? &a->config->workers[0] : &a->config->lead;
}

static enx_status find_first_file(cli_asked *a, enx_report *report)
{
    const enx_config_model *m = first_model(a);
    if (!m->model || enx_config_model_path(a->config, m, &a->first_file) == ENX_OK) return ENX_OK;
    return ENX_FAIL(report, NOMEM, "no memory for a path");
}

enx_status cli_asked_open(cli_asked **out, const char *swarm_path, double budget_usd,
                          enx_report *report)
{
    cli_asked *a = ENX_MEM_NEW(cli_asked, 1);
    if (!a) return ENX_FAIL(report, NOMEM, "no memory for a swarm");
    *a = (cli_asked){ .budget_usd_nano = (uint64_t)(budget_usd * 1e9),
                      .salt = enx_clock_wall_us() << 20 };
    enx_buf_init(&a->first_file, CLI_PATH_BYTES_MAX);
    const enx_backend_options options = {
        .local = { .cpu = getenv("ENX_CPU"), .takes_any_duty = true },
        .secret = cli_secret,
        .seed = a->salt,
    };
    enx_status status = enx_config_open(&a->config, swarm_path, report);
    if (status == ENX_OK) status = enx_backend_open(&a->backend, a->config, &options, report);
    if (status == ENX_OK) status = enx_backend_set_salt(a->backend, a->salt, report);
    if (status == ENX_OK) status = find_first_file(a, report);
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
    enx_buf_deinit(&a->first_file);
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

cli_asked_who cli_asked_first(const cli_asked *a)
{
    const bool has_worker = a->config->worker_count > 0;
    const bool is_file = first_model(a)->model != NULL;
    return (cli_asked_who){
        .model = has_worker ? find_duty(a, ENX_DUTY_WORKER, 0) : cli_asked_lead(a),
        .file = is_file ? enx_buf_text(&a->first_file) : NULL,
    };
}

uint32_t cli_asked_find(const cli_asked *a, const char *name)
{
    const enx_roster *roster = enx_backend_roster(a->backend);
    for (uint32_t i = 0; i < roster->model_count; i++)
        if (enx_backend_is_remote(a->backend, i) && strcmp(roster->models[i].name, name) == 0)
            return i;
    return CLI_ASKED_NOBODY;
}

/* What the file says of a number of the roster: lead, scout, workers, verifier, those there are. */
static const enx_config_model *model_at(const cli_asked *a, uint32_t model)
{
    const enx_config *c = a->config;
    if (enx_config_has(&c->lead) && model-- == 0) return &c->lead;
    if (enx_config_has(&c->scout) && model-- == 0) return &c->scout;
    return model < c->worker_count ? &c->workers[model] : &c->verifier;
}

/* Is what the file says of `m` this model? */
static bool is_same(const cli_asked *a, const enx_config_model *m, cli_asked_who who)
{
    char    own[CLI_PATH_BYTES_MAX], other[CLI_PATH_BYTES_MAX];
    enx_buf path;
    if (!who.file) {
        const enx_config_remote *x = m->remote, *y = model_at(a, who.model)->remote;
        return x && strcmp(x->model, y->model) == 0 && strcmp(x->url, y->url) == 0;
    }
    if (!m->model) return false;
    enx_buf_init(&path, CLI_PATH_BYTES_MAX);
    const bool is_known = enx_config_model_path(a->config, m, &path) == ENX_OK;
    cli_absolute_path(own, enx_buf_text(&path));
    cli_absolute_path(other, who.file);
    enx_buf_deinit(&path);
    return is_known && strcmp(own, other) == 0;
}

uint32_t cli_asked_other(const cli_asked *a, cli_asked_who but)
{
    const enx_config *c = a->config;
    for (unsigned i = 0; i < c->worker_count; i++)
        if (!is_same(a, &c->workers[i], but)) return find_duty(a, ENX_DUTY_WORKER, i);
    return enx_config_has(&c->lead) && !is_same(a, &c->lead, but) ? cli_asked_lead(a)
                                                                  : CLI_ASKED_NOBODY;
}

const char *cli_asked_name(const cli_asked *a, uint32_t model)
{
    return enx_backend_roster(a->backend)->models[model].name;
}

/* ---- Calls under way ------------------------------------------------------------------------ */

static uint64_t held_back(const cli_asked *a)
{
    uint64_t sum = a->bill.usd_nano + a->bill.unknown_usd_nano;
    for (uint32_t i = 0; i < a->open_count; i++) sum += a->open[i].worst_usd_nano;
    return sum;
}

/* Hold a call's worst case back, which is to fit.  Then the call is open. */
static enx_status reserve(cli_asked *a, const open_call *call, enx_report *report)
{
    const uint64_t spent = held_back(a);
    if (a->open_count == CLI_ASKED_CALLS_MAX)
        return ENX_FAIL(report, LIMIT, "%d calls are under way", CLI_ASKED_CALLS_MAX);
    if (a->budget_usd_nano && spent + call->worst_usd_nano > a->budget_usd_nano)
        return ENX_FAIL(report, BUDGET,
                        "another question may cost %.6f USD, and %.6f of %.6f are "
                        "spent",
                        (double)call->worst_usd_nano * 1e-9, (double)spent * 1e-9,
                        (double)a->budget_usd_nano * 1e-9);
    a->open[a->open_count++] = *call;
    a->bill.calls++;
    return ENX_OK;
}

/* Take the call from those that are open; false: it was given up, or never left. */
static bool take_open(cli_asked *a, uint64_t id, open_call *out)
{
    for (uint32_t i = 0; i < a->open_count; i++) {
        if (a->open[i].id != id) continue;
        *out = a->open[i];
        a->open[i] = a->open[--a->open_count];
        return true;
    }
    return false;
}

static void on_report(void *user, const enx_call_report *r)
{
    cli_asked *a = user;
    open_call  call;
    if (!take_open(a, r->call_id, &call)) return;
    if (r->status == ENX_CALL_LOST) {
        a->bill.unknown_usd_nano += call.worst_usd_nano;
    } else {
        a->bill.usage.tokens_in += r->usage.tokens_in;
        a->bill.usage.tokens_cached += r->usage.tokens_cached;
        a->bill.usage.tokens_out += r->usage.tokens_out;
        a->bill.usd_nano += enx_price_cost(call.price, &r->usage);
    }
    call.on_report(call.user, r);
}

/* Nobody waits for it any longer; what it costs will not be known. */
static void give_up(cli_asked *a, uint64_t id)
{
    open_call call;
    enx_backend_cancel(a->backend, id);
    if (take_open(a, id, &call)) a->bill.unknown_usd_nano += call.worst_usd_nano;
}

void cli_asked_poll(cli_asked *a, uint64_t timeout_us)
{
    (void)enx_backend_poll(a->backend, timeout_us, on_report, a);
}

void cli_asked_wake(const cli_asked *a) { enx_backend_wake(a->backend); }

void cli_asked_cancel(cli_asked *a, uint64_t id) { enx_backend_cancel(a->backend, id); }

/* ---- Conversations -------------------------------------------------------------------------- */

enx_status cli_asked_begin(cli_asked *a, const cli_asked_talk *talk, uint64_t *id,
                           enx_report *report)
{
    const enx_roster_model *m = &enx_backend_roster(a->backend)->models[talk->model];
    enx_api_request         request = *talk->request;
    request.max_tokens += m->thinking_tokens;
    const enx_backend_talk out = { .call_id = a->salt + ++a->made,
                                   .model = talk->model,
                                   .request = &request,
                                   .bounds = enx_api_request_bounds(&request),
                                   .on_text = talk->on_text,
                                   .user = talk->user };
    const enx_usage_count  worst = { .tokens_in = out.bounds.tokens_in_max,
                                     .tokens_out = out.bounds.tokens_out_max };
    const open_call        call = { .id = out.call_id,
                                    .price = &m->price,
                                    .worst_usd_nano = enx_price_cost(&m->price, &worst),
                                    .on_report = talk->on_report,
                                    .user = talk->user };
    open_call              none;
    ENX_TRY(reserve(a, &call, report));
    const enx_status status = enx_backend_ask(a->backend, &out, report);
    if (status == ENX_OK) *id = out.call_id;
    else (void)take_open(a, call.id, &none);
    return status;
}

/* ---- Questions ------------------------------------------------------------------------------ */

/* What a report becomes while it is waited for. */
typedef struct waiting {
    bool            is_here;
    enx_call_status status;
    uint32_t        flags;
    enx_buf        *answer;
    enx_status      written;
    char            error[ENX_REPORT_TEXT_MAX];
} waiting;

static void keep_answer(void *user, const enx_call_report *r)
{
    waiting *w = user;
    w->is_here = true;
    w->status = r->status;
    w->flags = r->flags;
    w->written = enx_buf_append(w->answer, r->answer, r->answer_bytes);
    snprintf(w->error, sizeof w->error, "%s",
             r->error ? r->error : enx_call_status_text(r->status));
}

/* Fill in the call's bounds in tokens; returns what it may cost. */
static uint64_t measure(const cli_asked *a, const enx_roster_model *m, enx_call *call)
{
    call->max_tokens_in = m->prompt_tokens + (uint32_t)call->input_bytes +
                          (uint32_t)enx_class_words_bytes(call->task_class) + ENX_FORM_MORE_BYTES;
    call->max_tokens_out = enx_class_answer_tokens(call->task_class) + m->thinking_tokens;
    enx_backend_measure(a->backend, call);
    const enx_usage_count worst = { .tokens_in = call->max_tokens_in,
                                    .tokens_out = call->max_tokens_out };
    return call->reserved_usd_nano = enx_price_cost(&m->price, &worst);
}

enx_status cli_asked_ask(cli_asked *a, uint32_t model, const enx_class *task_class,
                         const char *input, size_t input_bytes, enx_buf *answer, enx_report *report)
{
    const enx_roster_model *m = &enx_backend_roster(a->backend)->models[model];
    const uint64_t          end_us = enx_clock_monotonic_us() + SECONDS_MAX * UINT64_C(1000000);
    const bool              is_lead = m->duty == ENX_DUTY_LEAD;
    const uint32_t          number = (uint32_t)++a->made;
    enx_call                call = { .call_id = a->salt + a->made,
                                     .task_id = number,
                                     .item = number - 1,
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
    waiting                 w = { .answer = answer };
    const open_call open = { call.call_id, &m->price, measure(a, m, &call), keep_answer, &w };
    ENX_TRY(reserve(a, &open, report));
    enx_backend_generate(a->backend, &call);
    while (!w.is_here && !cli_is_interrupted() && enx_clock_monotonic_us() < end_us)
        cli_asked_poll(a, POLL_US);
    if (!w.is_here) give_up(a, call.call_id);
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
