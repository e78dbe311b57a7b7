/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - one record, one object. */
#include "serve/event.h"

#include "serve/voice.h"

#include <stdio.h>
#include <string.h>

const char *enx_event_name(const enx_event_names *names, uint32_t model)
{
    return model < names->count && names->names[model] ? names->names[model] : "";
}

void enx_event_kind(enx_record_kind kind, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "%s", enx_record_kind_text(kind));
    for (char *at = out; *at; at++)
        if (*at == ' ') *at = '_';
}

json_t *enx_event_certificate(const enx_certificate_claim *c)
{
    return json_pack("{s:b, s:f, s:f, s:I, s:I, s:I, s:I}", "certified", c->is_certified, "alpha",
                     c->alpha, "delta", c->delta, "answers", (json_int_t)c->answers, "population",
                     (json_int_t)c->population, "labels", (json_int_t)c->labels, "wrong",
                     (json_int_t)c->wrong);
}

static void set(json_t *out, const char *key, json_t *value)
{
    json_object_set_new(out, key, value);
}

static void set_count(json_t *out, const char *key, uint64_t value)
{
    set(out, key, json_integer((json_int_t)value));
}

static void set_usd(json_t *out, const char *key, uint64_t usd_nano)
{
    set(out, key, json_real((double)usd_nano * 1e-9));
}

static json_t *flags_json(uint32_t flags)
{
    static const char *const names[] = { "truncated", "stuck", "empty", "malformed", "usage" };
    json_t                  *list = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & 1U << i) json_array_append_new(list, json_string(names[i]));
    return list;
}

static void set_text(json_t *out, const enx_record *r)
{
    set(out, "text", enx_voice_text(r->text, r->text_bytes));
}

static void set_task(json_t *out, const enx_record *r)
{
    set_count(out, "task", r->task_id);
    set_count(out, "item", r->item);
}

/* Numbers of calls are larger than what JavaScript holds exactly. */
static void set_call_id(json_t *out, const enx_record *r)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->call_id);
    set(out, "call", json_string(text));
}

static void set_call(json_t *out, const enx_record *r, const enx_event_names *names)
{
    set_call_id(out, r);
    set_count(out, "task", r->task_id);
    set(out, "role", json_string(enx_role_text(r->role)));
    set(out, "model", json_string(enx_event_name(names, r->model)));
    set_count(out, "attempt", r->attempt);
}

static void set_result(json_t *out, const enx_record *r)
{
    const enx_call_report *c = &r->report;
    set(out, "status", json_string(enx_call_status_text(c->status)));
    set_count(out, "tokens_in", c->usage.tokens_in);
    set_count(out, "tokens_cached", c->usage.tokens_cached);
    set_count(out, "tokens_out", c->usage.tokens_out);
    set_count(out, "tokens_reasoning", c->tokens_reasoning);
    set_usd(out, "cost_usd", r->cost_usd_nano);
    set_count(out, "latency_us", c->latency_us);
    set(out, "error_chance", json_real(c->error_chance));
    set(out, "language", json_string(c->language));
    set(out, "level", json_integer(c->level));
    set(out, "flags", flags_json(c->flags));
    set(out, "text", enx_voice_text(c->error ? c->error : "", c->error ? strlen(c->error) : 0));
}

static json_t *plan_json(const enx_record *r)
{
    json_t *plan = r->text_bytes ? json_loadb(r->text, r->text_bytes, 0, NULL) : NULL;
    return plan ? plan : json_null();
}

static void set_accepted(json_t *out, const enx_record *r, const enx_event_names *names)
{
    set(out, "model", json_string(enx_event_name(names, r->model)));
    set(out, "role", json_string(enx_role_text(r->role)));
    set(out, "error_chance", json_real(r->error_chance));
}

static void set_label(json_t *out, const enx_record *r)
{
    set(out, "wrong", json_boolean(r->is_wrong));
    set(out, "score", json_real(r->score));
}

static void set_routed(json_t *out, const enx_record *r, const enx_event_names *names)
{
    set(out, "language", json_string(r->language));
    set(out, "level", json_integer(r->level));
    set(out, "model", json_string(enx_event_name(names, r->model)));
}

static void set_reason(json_t *out, const enx_record *r)
{
    set(out, "reason", json_string(enx_reason_text(r->reason)));
    set_text(out, r);
}

static void set_fields(json_t *out, const enx_record *r, const enx_event_names *names)
{
    switch (r->kind) {
    case ENX_RECORD_JOB_OPENED:
        set(out, "goal", enx_voice_text(r->text, r->text_bytes));
        set_count(out, "items", r->items);
        break;
    case ENX_RECORD_GATED:
        set(out, "single", json_boolean(r->is_single));
        set(out, "reason", json_string(enx_reason_text(r->reason)));
        break;
    case ENX_RECORD_PLAN_ACCEPTED:
        set_call_id(out, r);
        set(out, "plan", plan_json(r));
        break;
    case ENX_RECORD_PLAN_REFUSED:
        set_call_id(out, r);
        set_text(out, r);
        break;
    case ENX_RECORD_TASK_CREATED:
        set_task(out, r);
        break;
    case ENX_RECORD_CALL_INTENT:
        set_call(out, r, names);
        set_usd(out, "reserved_usd", r->reserved_usd_nano);
        set_count(out, "reserved_tokens", r->reserved_tokens);
        break;
    case ENX_RECORD_CALL_RESULT:
        set_call(out, r, names);
        set_result(out, r);
        break;
    case ENX_RECORD_CALL_LOST:
        set_call(out, r, names);
        set_text(out, r);
        break;
    case ENX_RECORD_TASK_ROUTED:
        set_task(out, r);
        set_routed(out, r, names);
        break;
    case ENX_RECORD_TASK_ACCEPTED:
        set_accepted(out, r, names);
        set_task(out, r);
        set_reason(out, r);
        break;
    case ENX_RECORD_TASK_ESCALATED:
    case ENX_RECORD_TASK_ABSTAINED:
    case ENX_RECORD_TASK_FAILED:
        set_task(out, r);
        set_reason(out, r);
        break;
    case ENX_RECORD_OFFER:
        set_task(out, r);
        break;
    case ENX_RECORD_LABEL:
    case ENX_RECORD_TRUTH:
        set_task(out, r);
        set_label(out, r);
        set_reason(out, r);
        break;
    case ENX_RECORD_CERTIFICATE:
        break; /* has its own object */
    case ENX_RECORD_JOB_DONE:
    case ENX_RECORD_JOB_PARTIAL:
    case ENX_RECORD_JOB_FAILED:
        set_reason(out, r);
        break;
    case ENX_RECORD_COUNT:
        break;
    }
}

json_t *enx_event_json(const enx_record *r, const enx_event_names *names)
{
    char kind[40];
    enx_event_kind(r->kind, kind, sizeof kind);
    json_t *out = json_pack("{s:I, s:s, s:I, s:I}", "seq", (json_int_t)r->seq, "kind", kind, "job",
                            (json_int_t)r->job_id, "time_us", (json_int_t)r->time_us);
    if (!out) return NULL;
    set_fields(out, r, names);
    if (r->kind == ENX_RECORD_CERTIFICATE) {
        json_t *certificate = enx_event_certificate(&r->certificate);
        json_object_update(out, certificate);
        json_decref(certificate);
        if (r->task_id) { /* of a stage: later rounds may name theirs alike */
            set_count(out, "task", r->task_id);
            set(out, "class", enx_voice_text(r->text, r->text_bytes));
        }
    }
    return out;
}
