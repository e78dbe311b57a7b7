/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - the YAML schema of swarm.yaml, its bounds, and prices. */
#include "backend/config.h"

#include "backend/api.h"
#include "backend/remote.h"
#include "backend/yaml.h"
#include "base/check.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "plat/file.h"
#include "plat/pool.h"

#include <math.h>
#include <string.h>

static const double nano_per_usd = 1e9, tokens_per_mtok = 1e6, seconds_per_hour = 3600;
static const double default_usd_per_hour = 0.10; /* about two cores of a rented machine */
static const double default_param_tokens_in = 6e9, default_param_tokens_out = 2e9;

enum { DEFAULT_AMORTIZE_JOBS = 10000 };

typedef struct yaml_above {
    double level_1, level_2, level_3;
} yaml_above;

typedef struct yaml_escalate {
    yaml_above above;  /* one of the two, */
    double     single; /* by schema */
} yaml_escalate;

typedef struct yaml_gate {
    uint32_t min_paragraphs;
} yaml_gate;

typedef struct yaml_amortize {
    uint32_t jobs;
} yaml_amortize;

typedef struct yaml_cap {
    char    *class_name; /* of `day`: NULL */
    double   usd, seconds;
    uint64_t tokens, calls;
} yaml_cap;

typedef struct yaml_caps {
    yaml_cap *day, *classes;
    unsigned  classes_count;
} yaml_caps;

typedef struct yaml_config {
    char              *name;
    enx_config_machine machine;
    enx_config_model   lead, scout, verifier, *workers;
    unsigned           workers_count;
    yaml_escalate      escalate;
    yaml_gate          gate;
    yaml_amortize      amortize;
    uint32_t           threads;
    enx_config_queue  *queue;
    yaml_caps          caps;
} yaml_config;

/* clang-format off */
#define TEXT CYAML_FLAG_POINTER
#define MAYBE CYAML_FLAG_OPTIONAL
static const cyaml_schema_value_t tag_schema = {
    CYAML_VALUE_STRING(TEXT, char, 1, ENX_CLASS_NAME_BYTES_MAX - 1),
};
static const cyaml_schema_field_t machine_fields[] = {
    CYAML_FIELD_FLOAT("usd_per_hour", MAYBE, enx_config_machine, usd_per_hour),
    CYAML_FIELD_FLOAT("param_tokens_per_s_in", MAYBE, enx_config_machine, param_tokens_per_s_in),
    CYAML_FIELD_FLOAT("param_tokens_per_s_out", MAYBE, enx_config_machine, param_tokens_per_s_out),
    CYAML_FIELD_UINT("cores", MAYBE, enx_config_machine, cores),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t remote_fields[] = {
    CYAML_FIELD_STRING_PTR("api", TEXT, enx_config_remote, api, 1, 63),
    CYAML_FIELD_STRING_PTR("url", TEXT, enx_config_remote, url, 1, 2047),
    CYAML_FIELD_STRING_PTR("model", TEXT, enx_config_remote, model, 1, 255),
    CYAML_FIELD_STRING_PTR("key", TEXT | MAYBE, enx_config_remote, key, 1, 255),
    CYAML_FIELD_FLOAT("connect_s", MAYBE, enx_config_remote, connect_s),
    CYAML_FIELD_FLOAT("first_byte_s", MAYBE, enx_config_remote, first_byte_s),
    CYAML_FIELD_FLOAT("idle_s", MAYBE, enx_config_remote, idle_s),
    CYAML_FIELD_FLOAT("total_s", MAYBE, enx_config_remote, total_s),
    CYAML_FIELD_UINT("attempts", MAYBE, enx_config_remote, attempts),
    CYAML_FIELD_UINT("requests_per_min", MAYBE, enx_config_remote, requests_per_min),
    CYAML_FIELD_UINT("tokens_per_min", MAYBE, enx_config_remote, tokens_per_min),
    CYAML_FIELD_UINT("thinking_tokens", MAYBE, enx_config_remote, thinking_tokens),
    CYAML_FIELD_FLOAT_PTR("error_chance", TEXT | MAYBE, enx_config_remote, error_chance),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t model_fields[] = {
    CYAML_FIELD_STRING_PTR("model", TEXT | MAYBE, enx_config_model, model, 1, 4095),
    CYAML_FIELD_MAPPING_PTR("remote", TEXT | MAYBE, enx_config_model, remote, remote_fields),
    CYAML_FIELD_STRING_PTR("family", TEXT | MAYBE, enx_config_model, family, 1, 63),
    CYAML_FIELD_SEQUENCE("specialty", TEXT | MAYBE, enx_config_model, specialty, &tag_schema, 0,
                         256),
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_in", TEXT | MAYBE, enx_config_model, usd_per_mtok_in),
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_out", TEXT | MAYBE, enx_config_model, usd_per_mtok_out),
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_cached", TEXT | MAYBE, enx_config_model,
                          usd_per_mtok_cached),
    CYAML_FIELD_UINT("slots", MAYBE, enx_config_model, slots),
    CYAML_FIELD_STRING_PTR("cache", TEXT | MAYBE, enx_config_model, cache, 1, 7),
    CYAML_FIELD_UINT("cache_mb", MAYBE, enx_config_model, cache_mb),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t model_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, enx_config_model, model_fields),
};
static const cyaml_schema_field_t above_fields[] = {
    CYAML_FIELD_FLOAT("1", MAYBE, yaml_above, level_1),
    CYAML_FIELD_FLOAT("2", MAYBE, yaml_above, level_2),
    CYAML_FIELD_FLOAT("3", MAYBE, yaml_above, level_3),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t levels_fields[] = {
    CYAML_FIELD_MAPPING("above", MAYBE, yaml_escalate, above, above_fields),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t single_fields[] = {
    CYAML_FIELD_FLOAT("above", MAYBE, yaml_escalate, single),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t gate_fields[] = {
    CYAML_FIELD_UINT("min_paragraphs", MAYBE, yaml_gate, min_paragraphs),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t amortize_fields[] = {
    CYAML_FIELD_UINT("jobs", MAYBE, yaml_amortize, jobs),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t queue_fields[] = {
    CYAML_FIELD_STRING_PTR("url", TEXT, enx_config_queue, url, 1, 2047),
    CYAML_FIELD_STRING_PTR("swarm", TEXT | MAYBE, enx_config_queue, swarm, 1, 63),
    CYAML_FIELD_STRING_PTR("user", TEXT | MAYBE, enx_config_queue, user, 1, 255),
    CYAML_FIELD_STRING_PTR("password", TEXT | MAYBE, enx_config_queue, password, 1, 255),
    CYAML_FIELD_STRING_PTR("nkey", TEXT | MAYBE, enx_config_queue, nkey, 1, 4095),
    CYAML_FIELD_STRING_PTR("credentials", TEXT | MAYBE, enx_config_queue, credentials, 1, 4095),
    CYAML_FIELD_STRING_PTR("tls_ca", TEXT | MAYBE, enx_config_queue, tls_ca, 1, 4095),
    CYAML_FIELD_STRING_PTR("tls_cert", TEXT | MAYBE, enx_config_queue, tls_cert, 1, 4095),
    CYAML_FIELD_STRING_PTR("tls_key", TEXT | MAYBE, enx_config_queue, tls_key, 1, 4095),
    CYAML_FIELD_FLOAT("lease_s", MAYBE, enx_config_queue, lease_s),
    CYAML_FIELD_UINT("slots", MAYBE, enx_config_queue, slots),
    CYAML_FIELD_BOOL("hedge", MAYBE, enx_config_queue, hedge),
    CYAML_FIELD_END
};
#define CAP_FIELDS \
    CYAML_FIELD_FLOAT("usd", MAYBE, yaml_cap, usd), \
    CYAML_FIELD_FLOAT("seconds", MAYBE, yaml_cap, seconds), \
    CYAML_FIELD_UINT("tokens", MAYBE, yaml_cap, tokens), \
    CYAML_FIELD_UINT("calls", MAYBE, yaml_cap, calls), \
    CYAML_FIELD_END
static const cyaml_schema_field_t day_fields[] = { CAP_FIELDS };
static const cyaml_schema_field_t class_fields[] = {
    CYAML_FIELD_STRING_PTR("class", TEXT, yaml_cap, class_name, 1, ENX_CLASS_NAME_BYTES_MAX - 1),
    CAP_FIELDS
};
static const cyaml_schema_value_t class_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, yaml_cap, class_fields),
};
static const cyaml_schema_field_t caps_fields[] = {
    CYAML_FIELD_MAPPING_PTR("day", TEXT | MAYBE, yaml_caps, day, day_fields),
    CYAML_FIELD_SEQUENCE("classes", TEXT | MAYBE, yaml_caps, classes, &class_schema, 0,
                         ENX_ALLOWANCES_MAX - 1),
    CYAML_FIELD_END
};
#define CONFIG_FIELDS(escalate_fields) { \
    CYAML_FIELD_STRING_PTR("name", TEXT | MAYBE, yaml_config, name, 1, 255), \
    CYAML_FIELD_MAPPING("machine", MAYBE, yaml_config, machine, machine_fields), \
    CYAML_FIELD_MAPPING("lead", MAYBE, yaml_config, lead, model_fields), \
    CYAML_FIELD_MAPPING("scout", MAYBE, yaml_config, scout, model_fields), \
    CYAML_FIELD_MAPPING("verifier", MAYBE, yaml_config, verifier, model_fields), \
    CYAML_FIELD_SEQUENCE("workers", TEXT | MAYBE, yaml_config, workers, &model_schema, 0, \
                         ENX_ROSTER_MODELS_MAX - 2), \
    CYAML_FIELD_MAPPING("escalate", MAYBE, yaml_config, escalate, escalate_fields), \
    CYAML_FIELD_MAPPING("gate", MAYBE, yaml_config, gate, gate_fields), \
    CYAML_FIELD_MAPPING("amortize", MAYBE, yaml_config, amortize, amortize_fields), \
    CYAML_FIELD_UINT("threads", MAYBE, yaml_config, threads), \
    CYAML_FIELD_MAPPING("caps", MAYBE, yaml_config, caps, caps_fields), \
    CYAML_FIELD_MAPPING_PTR("queue", TEXT | MAYBE, yaml_config, queue, queue_fields), \
    CYAML_FIELD_END \
}
static const cyaml_schema_field_t with_levels[] = CONFIG_FIELDS(levels_fields);
static const cyaml_schema_field_t with_single[] = CONFIG_FIELDS(single_fields);
static const cyaml_schema_value_t config_schemas[] = {
    { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_config, with_levels) },
    { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_config, with_single) },
};
static const char *const known_keys[] = {
    "name", "machine", "usd_per_hour", "param_tokens_per_s_in", "param_tokens_per_s_out", "cores",
    "lead", "scout", "workers", "verifier", "model", "family", "specialty", "usd_per_mtok_in",
    "usd_per_mtok_out", "usd_per_mtok_cached", "slots", "cache", "cache_mb", "escalate",
    "above", "gate", "min_paragraphs", "amortize",
    "jobs", "threads",
    "remote", "api", "url", "key", "connect_s", "first_byte_s", "idle_s",
    "total_s", "attempts", "requests_per_min", "tokens_per_min", "thinking_tokens", "error_chance",
    "queue", "swarm", "user", "password", "nkey", "credentials", "tls_ca", "tls_cert", "tls_key",
    "lease_s",
    "hedge",
    "caps", "day", "classes", "class", "usd", "seconds", "tokens", "calls",
};
/* clang-format on */

enum { KNOWN_KEY_COUNT = sizeof known_keys / sizeof *known_keys };

/* Load by the schema with levels, or by the one with a single number. */
static enx_status load(yaml_config **out, bool *is_single, const enx_buf *text, const char *path,
                       enx_report *report)
{
    void            *data = NULL;
    const enx_status status =
        enx_yaml_load(&data, &config_schemas[0], text, path, known_keys, KNOWN_KEY_COUNT, report);
    *is_single = status != ENX_OK;
    if (status != ENX_OK && enx_yaml_load(&data, &config_schemas[1], text, path, known_keys,
                                          KNOWN_KEY_COUNT, NULL) != ENX_OK)
        return status;
    *out = data;
    return ENX_OK;
}

static uint64_t nano_of(double usd) { return (uint64_t)llround(usd * nano_per_usd); }

/* ---- Bounds --------------------------------------------------------------------------------- */

static bool is_price(const double *usd) { return !usd || (*usd >= 0 && *usd < 1e6); }

static bool is_time(double seconds) { return seconds >= 0 && seconds <= 3600; }

/* Without a price there would be no bill, and no cap could hold. */
static enx_status check_remote(const enx_config_model *m, const char *who, enx_report *report)
{
    const enx_config_remote *r = m->remote;
    if (!enx_api_find(r->api))
        return ENX_FAIL(report, INVALID, "%s: api: \"%s\" is neither openai nor anthropic", who,
                        r->api);
    if (!m->usd_per_mtok_in || !m->usd_per_mtok_out)
        return ENX_FAIL(report, INVALID,
                        "%s: a remote model needs its prices: usd_per_mtok_in and usd_per_mtok_out",
                        who);
    if (m->usd_per_mtok_cached && *m->usd_per_mtok_cached > *m->usd_per_mtok_in)
        return ENX_FAIL(report, INVALID, "%s: cached tokens are dearer than others", who);
    if (!is_time(r->connect_s) || !is_time(r->first_byte_s) || !is_time(r->idle_s) ||
        !is_time(r->total_s))
        return ENX_FAIL(report, INVALID, "%s: a time limit is from 0 to 3600 seconds", who);
    if (r->attempts > ENX_REMOTE_ATTEMPTS_MAX)
        return ENX_FAIL(report, INVALID, "%s: attempts: %u is above %d", who, r->attempts,
                        ENX_REMOTE_ATTEMPTS_MAX);
    if (r->thinking_tokens > 1 << 20)
        return ENX_FAIL(report, INVALID, "%s: thinking_tokens: %u is above %d", who,
                        r->thinking_tokens, 1 << 20);
    if (r->error_chance && !(*r->error_chance > 0 && *r->error_chance <= 1))
        return ENX_FAIL(report, INVALID, "%s: error_chance: %g is not above 0 and up to 1", who,
                        *r->error_chance);
    return ENX_OK;
}

static enx_status check_model(const enx_config_model *m, const char *who, enx_report *report)
{
    const uint32_t slots_max = m->remote ? ENX_CONFIG_REMOTE_SLOTS_MAX : ENX_ENGINE_SLOTS_MAX;
    if (m->model && m->remote)
        return ENX_FAIL(report, INVALID, "%s: model and remote; only one of them can be", who);
    if (m->slots > slots_max)
        return ENX_FAIL(report, INVALID, "%s: slots: %u is above %u", who, m->slots, slots_max);
    if (m->remote && (m->cache || m->cache_mb))
        return ENX_FAIL(report, INVALID, "%s: cache and cache_mb are for models that are files",
                        who);
    if (m->cache_mb > ENX_CONFIG_CACHE_MB_MAX)
        return ENX_FAIL(report, INVALID, "%s: cache_mb: %llu is above %d", who,
                        (unsigned long long)m->cache_mb, ENX_CONFIG_CACHE_MB_MAX);
    enx_kv_type      type;
    const enx_status status = enx_kv_type_parse(&type, m->cache, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s: cache", who);
        return status;
    }
    if (!is_price(m->usd_per_mtok_in) || !is_price(m->usd_per_mtok_out) ||
        !is_price(m->usd_per_mtok_cached))
        return ENX_FAIL(report, INVALID, "%s: a price is from 0 to 1000000 dollars", who);
    return m->remote ? check_remote(m, who, report) : ENX_OK;
}

/* A duty that is in the file, but names no model. */
static bool is_nameless(const enx_config_model *m)
{
    return !enx_config_has(m) && (m->specialty_count || m->usd_per_mtok_in || m->usd_per_mtok_out ||
                                  m->usd_per_mtok_cached || m->slots || m->cache || m->cache_mb);
}

static enx_status check_worker(const enx_config_model *m, bool is_scouted, enx_report *report)
{
    if (!enx_config_has(m))
        return ENX_FAIL(report, INVALID, "a worker names no model; give it model or remote");
    const char *who = m->model ? m->model : m->remote->model;
    ENX_TRY(check_model(m, who, report));
    if (m->specialty_count == 0 && is_scouted)
        return ENX_FAIL(report, INVALID,
                        "worker %s: no specialty; name its languages, as in specialty: [pt_BR]",
                        who);
    return ENX_OK;
}

static enx_status check_queue(const enx_config_queue *q, enx_report *report)
{
    if (!q) return ENX_OK;
    if (q->lease_s != 0 && !(q->lease_s >= 1 && q->lease_s <= 3600))
        return ENX_FAIL(report, INVALID, "queue: lease_s: %g is not from 1 to 3600", q->lease_s);
    if (q->slots > ENX_CONFIG_QUEUE_SLOTS_MAX)
        return ENX_FAIL(report, INVALID, "queue: slots: %u is above %d", q->slots,
                        ENX_CONFIG_QUEUE_SLOTS_MAX);
    if ((q->user != NULL) != (q->password || q->nkey))
        return ENX_FAIL(report, INVALID,
                        "queue: user goes with password or nkey, and they with it");
    if (!q->tls_cert != !q->tls_key)
        return ENX_FAIL(report, INVALID, "queue: tls_cert and tls_key go together");
    return ENX_OK;
}

static enx_status take_cap(enx_config *c, const yaml_cap *cap, enx_report *report)
{
    const char *who = cap->class_name ? cap->class_name : "day";
    if (!(cap->usd >= 0 && cap->usd <= 1e9) || !(cap->seconds >= 0 && cap->seconds <= 1e9))
        return ENX_FAIL(report, INVALID, "caps: %s: usd and seconds are from 0 to 1000000000", who);
    for (uint32_t i = 0; cap->class_name && i < c->allowance_count; i++)
        if (c->allowances[i].class_name &&
            strcmp(c->allowances[i].class_name, cap->class_name) == 0)
            return ENX_FAIL(report, INVALID, "caps: the class %s stands there twice", who);
    c->allowances[c->allowance_count++] =
        (enx_allowance){ .class_name = cap->class_name,
                         .caps = { .usd_nano = nano_of(cap->usd),
                                   .tokens = cap->tokens,
                                   .calls = cap->calls,
                                   .time_us = (uint64_t)llround(cap->seconds * 1e6) } };
    return ENX_OK;
}

static enx_status take_caps(enx_config *c, const yaml_caps *caps, enx_report *report)
{
    if (caps->day) ENX_TRY(take_cap(c, caps->day, report));
    for (unsigned i = 0; i < caps->classes_count; i++)
        ENX_TRY(take_cap(c, &caps->classes[i], report));
    return ENX_OK;
}

static enx_status check_config(const enx_config *c, enx_report *report)
{
    ENX_TRY(check_queue(c->queue, report));
    if (!(c->machine.usd_per_hour >= 0 && c->machine.usd_per_hour < 1e6))
        return ENX_FAIL(report, INVALID, "machine: usd_per_hour is from 0 to 1000000");
    if (!(c->machine.param_tokens_per_s_in > 0 && c->machine.param_tokens_per_s_out > 0))
        return ENX_FAIL(report, INVALID, "machine: param_tokens_per_s_in and _out are above 0");
    for (int i = 1; i < ENX_CONFIG_LEVELS; i++)
        if (!(c->escalate_above[i] >= 0 && c->escalate_above[i] <= 1))
            return ENX_FAIL(report, INVALID, "escalate: above: %g is not from 0 to 1",
                            c->escalate_above[i]);
    if (c->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "threads: %u is above %d", c->threads,
                        ENX_POOL_THREADS_MAX);
    if (is_nameless(&c->lead) || is_nameless(&c->scout))
        return ENX_FAIL(report, INVALID, "%s: no model; give it model or remote",
                        is_nameless(&c->lead) ? "lead" : "scout");
    if (!enx_config_has(&c->lead) && c->worker_count == 0)
        return ENX_FAIL(report, INVALID, "no model; name a lead, or a scout and workers");
    ENX_TRY(check_model(&c->lead, "lead", report));
    ENX_TRY(check_model(&c->scout, "scout", report));
    ENX_TRY(check_model(&c->verifier, "verifier", report));
    for (unsigned i = 0; i < c->worker_count; i++)
        ENX_TRY(check_worker(&c->workers[i], enx_config_has(&c->scout), report));
    return ENX_OK;
}

static void take_values(enx_config *c, yaml_config *y, bool is_single)
{
    c->loaded = y;
    c->name = y->name;
    c->machine = y->machine;
    if (c->machine.usd_per_hour == 0) c->machine.usd_per_hour = default_usd_per_hour;
    if (c->machine.param_tokens_per_s_in == 0)
        c->machine.param_tokens_per_s_in = default_param_tokens_in;
    if (c->machine.param_tokens_per_s_out == 0)
        c->machine.param_tokens_per_s_out = default_param_tokens_out;
    c->lead = y->lead;
    c->scout = y->scout;
    c->verifier = y->verifier;
    c->workers = y->workers;
    c->worker_count = y->workers_count;
    const yaml_above *above = &y->escalate.above;
    const double      levels[] = { 0, above->level_1, above->level_2, above->level_3 };
    for (int i = 1; i < ENX_CONFIG_LEVELS; i++)
        c->escalate_above[i] = is_single ? y->escalate.single : levels[i];
    c->gate_min_paragraphs = y->gate.min_paragraphs;
    c->amortize_jobs = y->amortize.jobs ? y->amortize.jobs : DEFAULT_AMORTIZE_JOBS;
    c->threads = y->threads;
    c->queue = y->queue;
}

enx_status enx_config_open(enx_config **out, const char *path, enx_report *report)
{
    ENX_CHECK(out && path);
    enx_buf      text;
    enx_config  *config = ENX_MEM_NEW(enx_config, 1);
    yaml_config *loaded = NULL;
    bool         is_single = false;
    enx_buf_init(&text, ENX_CONFIG_BYTES_MAX);
    enx_status status = ENX_OK;
    if (config) config->path = ENX_MEM_NEW(char, strlen(path) + 1);
    if (!config || !config->path) {
        status = ENX_FAIL(report, NOMEM, "no memory for %s", path);
        goto done;
    }
    memcpy(config->path, path, strlen(path) + 1);
    status = enx_file_read(&text, path, report);
    if (status == ENX_OK) status = load(&loaded, &is_single, &text, path, report);
    if (status != ENX_OK) goto done;
    take_values(config, loaded, is_single);
    status = check_config(config, report);
    if (status == ENX_OK) status = take_caps(config, &loaded->caps, report);
    if (status != ENX_OK) {
        enx_report_wrap(report, "%s", path);
        goto done;
    }
    enx_buf_deinit(&text);
    *out = config;
    return ENX_OK;

done:
    enx_buf_deinit(&text);
    enx_config_close(&config);
    return status;
}

void enx_config_close(enx_config **config)
{
    if (!*config) return;
    enx_yaml_free(&config_schemas[0], (*config)->loaded);
    enx_mem_free((*config)->path);
    enx_mem_free(*config);
    *config = NULL;
}

bool enx_config_has(const enx_config_model *model) { return model->model || model->remote; }

enx_status enx_config_model_path(const enx_config *config, const enx_config_model *model,
                                 enx_buf *out)
{
    const char *slash = strrchr(config->path, '/');
    if (model->model[0] != '/' && slash)
        ENX_TRY(enx_buf_append(out, config->path, (size_t)(slash - config->path) + 1));
    return enx_buf_append_text(out, model->model);
}

/* ---- Prices --------------------------------------------------------------------------------- */

enx_price enx_config_price(const enx_config *config, const enx_config_model *model, uint64_t params)
{
    const enx_config_machine *m = &config->machine;
    /* dollars for a million tokens at one parameter token a second */
    const double usd = m->usd_per_hour / seconds_per_hour * (double)params * tokens_per_mtok;
    const double in =
        model->usd_per_mtok_in ? *model->usd_per_mtok_in : usd / m->param_tokens_per_s_in;
    const double out =
        model->usd_per_mtok_out ? *model->usd_per_mtok_out : usd / m->param_tokens_per_s_out;
    const double cached = model->usd_per_mtok_cached ? *model->usd_per_mtok_cached
                          : model->remote            ? in
                                                     : 0;
    return (enx_price){ .in = nano_of(in), .cached = nano_of(cached), .out = nano_of(out) };
}

uint64_t enx_config_fixed_usd_nano(const enx_config *config, double train_cpu_seconds)
{
    const uint32_t cores = config->machine.cores ? config->machine.cores : enx_cpu_count();
    const double usd = train_cpu_seconds / seconds_per_hour * config->machine.usd_per_hour / cores;
    return usd > 0 ? (uint64_t)ceil(usd * nano_per_usd / config->amortize_jobs) : 0;
}
