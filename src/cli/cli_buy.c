/* SPDX-License-Identifier: Apache-2.0 */
/* cli_buy.c - the YAML schema of a job to buy, and where what it leaves out comes from. */
#include "cli/cli_buy.h"

#include "backend/yaml.h"
#include "base/check.h"
#include "plat/file.h"

#include <math.h>
#include <string.h>

typedef struct yaml_job {
    double  tasks;
    double *tokens_in, *tokens_cached, *tokens_out, *accuracy;
} yaml_job;

/* Prices of one kind of model: a name in the table, and what overrides it. */
typedef struct yaml_tariff {
    char   *model;
    double *in, *cached, *out;
} yaml_tariff;

typedef struct yaml_api {
    yaml_tariff tariff;
    double     *accuracy;
} yaml_api;

typedef struct yaml_own {
    double *usd_per_hour, *buy_usd, *life_years, *rate, *tokens_per_s_in, *tokens_per_s_out;
    double *task_seconds, *setup_usd, *hours, *overhead, *utilisation, *months, *accuracy;
} yaml_own;

typedef struct yaml_swarm {
    yaml_tariff tariff;
    double     *task_usd, *escalated, *audited, *fixed_usd, *accuracy;
} yaml_swarm;

typedef struct yaml_buy {
    yaml_job    job;
    yaml_api    api;
    yaml_own   *own;
    yaml_swarm *swarm;
} yaml_buy;

/* clang-format off */
#define MUST CYAML_FLAG_DEFAULT
#define MAYBE (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define REAL(type, name) CYAML_FIELD_FLOAT_PTR(#name, MAYBE, type, name)
#define TARIFF(type)                                                                               \
    CYAML_FIELD_STRING_PTR("model", MAYBE, type, tariff.model, 1, 2 * ENX_PRICES_NAME_MAX + 1),    \
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_in", MAYBE, type, tariff.in),                              \
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_cached", MAYBE, type, tariff.cached),                      \
    CYAML_FIELD_FLOAT_PTR("usd_per_mtok_out", MAYBE, type, tariff.out)
static const cyaml_schema_field_t job_fields[] = {
    CYAML_FIELD_FLOAT("tasks", MUST, yaml_job, tasks),
    REAL(yaml_job, tokens_in), REAL(yaml_job, tokens_cached), REAL(yaml_job, tokens_out),
    REAL(yaml_job, accuracy),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t api_fields[] = {
    TARIFF(yaml_api), REAL(yaml_api, accuracy),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t own_fields[] = {
    REAL(yaml_own, usd_per_hour), REAL(yaml_own, buy_usd), REAL(yaml_own, life_years),
    REAL(yaml_own, rate), REAL(yaml_own, tokens_per_s_in), REAL(yaml_own, tokens_per_s_out),
    REAL(yaml_own, task_seconds), REAL(yaml_own, setup_usd), REAL(yaml_own, hours),
    REAL(yaml_own, overhead), REAL(yaml_own, utilisation), REAL(yaml_own, months),
    REAL(yaml_own, accuracy),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t swarm_fields[] = {
    TARIFF(yaml_swarm), REAL(yaml_swarm, task_usd), REAL(yaml_swarm, escalated),
    REAL(yaml_swarm, audited), REAL(yaml_swarm, fixed_usd), REAL(yaml_swarm, accuracy),
    CYAML_FIELD_END
};
static const cyaml_schema_field_t buy_fields[] = {
    CYAML_FIELD_MAPPING("job", MUST, yaml_buy, job, job_fields),
    CYAML_FIELD_MAPPING("api", MUST, yaml_buy, api, api_fields),
    CYAML_FIELD_MAPPING_PTR("own", MAYBE, yaml_buy, own, own_fields),
    CYAML_FIELD_MAPPING_PTR("swarm", MAYBE, yaml_buy, swarm, swarm_fields),
    CYAML_FIELD_END
};
static const cyaml_schema_value_t buy_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, yaml_buy, buy_fields),
};
static const char *const known_keys[] = {
    "job", "api", "own", "swarm", "tasks", "tokens_in", "tokens_cached", "tokens_out", "accuracy",
    "model", "usd_per_mtok_in", "usd_per_mtok_cached", "usd_per_mtok_out", "usd_per_hour",
    "buy_usd", "life_years", "rate", "tokens_per_s_in", "tokens_per_s_out", "task_seconds",
    "setup_usd", "hours", "overhead", "utilisation", "months", "task_usd", "escalated", "audited",
    "fixed_usd",
};
/* clang-format on */

static void take(double *value, const double *given)
{
    if (given) *value = *given;
}

/* Without a price of their own, cached tokens cost what others do. */
static enx_status take_tariff(enx_tariff *out, const enx_price_row **row, const char *name,
                              const yaml_tariff *y, const enx_prices *prices, enx_report *report)
{
    *row = NULL;
    *out = (enx_tariff){ NAN, NAN, NAN };
    if (y->model) {
        const enx_status status = enx_prices_find(row, prices, y->model, NULL, report);
        if (status != ENX_OK) {
            enx_report_wrap(report, "%s.model", name);
            return status;
        }
        *out = (enx_tariff){ (*row)->in, (*row)->cached, (*row)->out };
    }
    take(&out->in, y->in);
    if (y->in) out->cached = *y->in;
    take(&out->cached, y->cached);
    take(&out->out, y->out);
    if (!y->model && (!y->in || !y->out))
        return ENX_FAIL(report, INVALID,
                        "%s.usd_per_mtok_%s: is missing; USD a million tokens, from 0; or name a "
                        "model of the price table (enxame market prices)",
                        name, y->in ? "out" : "in");
    return ENX_OK;
}

/* Of the file, else of the ledger; neither is an error. */
static enx_status take_or(double *value, const double *given, double of_ledger, const char *key,
                          const char *unit, enx_report *report)
{
    *value = given ? *given : of_ledger;
    if (given || !isnan(of_ledger)) return ENX_OK;
    return ENX_FAIL(report, INVALID, "%s: is missing; %s; or give a job: --from-ledger JOB", key,
                    unit);
}

static enx_status take_job(enx_buy_input *in, const yaml_job *y, const cli_ledger *ledger,
                           enx_report *report)
{
    in->tasks = y->tasks;
    take(&in->accuracy, y->accuracy);
    ENX_TRY(take_or(&in->tokens_in, y->tokens_in, ledger->tokens_in, "job.tokens_in",
                    "tokens a task, from 0 to 1e9", report));
    ENX_TRY(take_or(&in->tokens_out, y->tokens_out, ledger->tokens_out, "job.tokens_out",
                    "tokens a task, from 0 to 1e9", report));
    /* the cached ones of a ledger belong to its own tokens */
    if (!y->tokens_in) in->tokens_cached = ledger->tokens_cached;
    take(&in->tokens_cached, y->tokens_cached);
    return ENX_OK;
}

static enx_status take_own(enx_buy_input *in, const yaml_own *y, const cli_ledger *ledger,
                           enx_report *report)
{
    if (!y) return ENX_OK;
    in->has_own = true;
    take(&in->usd_per_hour, y->usd_per_hour);
    take(&in->buy_usd, y->buy_usd);
    take(&in->life_years, y->life_years);
    take(&in->rate, y->rate);
    take(&in->tokens_per_s_in, y->tokens_per_s_in);
    take(&in->tokens_per_s_out, y->tokens_per_s_out);
    take(&in->setup_usd, y->setup_usd);
    take(&in->hours, y->hours);
    take(&in->overhead, y->overhead);
    take(&in->utilisation, y->utilisation);
    take(&in->months, y->months);
    take(&in->accuracies[ENX_BUY_OWN], y->accuracy);
    if (!y->usd_per_hour && !y->buy_usd)
        return ENX_FAIL(report, INVALID,
                        "own.usd_per_hour: is missing; USD, from 0; or give buy_usd, the price of "
                        "a machine");
    const bool has_rates = y->tokens_per_s_in && y->tokens_per_s_out;
    if (has_rates && !y->task_seconds) return ENX_OK;
    return take_or(&in->task_seconds, y->task_seconds, ledger->task_seconds,
                   y->tokens_per_s_in ? "own.tokens_per_s_out" : "own.tokens_per_s_in",
                   "tokens a second, above 0; or give task_seconds", report);
}

/* Wrong answers are those of the lead, and those that differ from it. */
static double certified_accuracy(const enx_buy_input *in, const cli_ledger *ledger)
{
    if (!ledger->has_certificate || !ledger->certificate.is_certified) return NAN;
    return fmax(0, in->accuracies[ENX_BUY_API] - ledger->certificate.alpha);
}

static enx_status take_swarm(cli_buy *out, const yaml_swarm *y, const enx_prices *prices,
                             const cli_ledger *ledger, enx_report *report)
{
    static const yaml_swarm none = { 0 };
    enx_buy_input          *in = &out->input;
    if (!y && !ledger->job_id) return ENX_OK;
    if (!y) y = &none;
    in->has_swarm = true;
    in->accuracies[ENX_BUY_SWARM] = certified_accuracy(in, ledger);
    take(&in->accuracies[ENX_BUY_SWARM], y->accuracy);
    take(&in->fixed_usd, y->fixed_usd);
    ENX_TRY(take_or(&in->escalated, y->escalated, ledger->escalated, "swarm.escalated",
                    "a part of the tasks, from 0 to 1", report));
    if (ledger->job_id) in->audited = ledger->audited;
    take(&in->audited, y->audited);
    if (y->task_usd) in->small_task_usd = *y->task_usd;
    else if (y->tariff.model || y->tariff.in || y->tariff.out || !ledger->job_id)
        return take_tariff(&in->small, &out->small, "swarm", &y->tariff, prices, report);
    else in->small_task_usd = ledger->small_task_usd;
    return ENX_OK;
}

static enx_status take_all(cli_buy *out, const yaml_buy *y, const enx_prices *prices,
                           const cli_ledger *ledger, enx_report *report)
{
    *out = (cli_buy){ .input = enx_buy_defaults() };
    take(&out->input.accuracies[ENX_BUY_API], y->api.accuracy);
    ENX_TRY(take_job(&out->input, &y->job, ledger, report));
    ENX_TRY(take_tariff(&out->input.api, &out->api, "api", &y->api.tariff, prices, report));
    ENX_TRY(take_own(&out->input, y->own, ledger, report));
    return take_swarm(out, y->swarm, prices, ledger, report);
}

enx_status cli_buy_parse(cli_buy *out, const enx_buf *text, const char *path,
                         const enx_prices *prices, const cli_ledger *ledger, enx_report *report)
{
    ENX_CHECK(out && text && path && prices);
    const cli_ledger none = {
        .escalated = NAN, .tokens_in = NAN, .tokens_out = NAN, .task_seconds = NAN
    };
    void      *loaded = NULL;
    cli_buy    buy;
    enx_status status = enx_yaml_load(&loaded, &buy_schema, text, path, known_keys,
                                      sizeof known_keys / sizeof *known_keys, report);
    if (status != ENX_OK) return status;
    status = take_all(&buy, loaded, prices, ledger ? ledger : &none, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    else *out = buy;
    enx_yaml_free(&buy_schema, loaded);
    return status;
}

enx_status cli_prices_open(enx_prices **out, const char *path, enx_report *report)
{
    enx_buf text;
    if (!path)
        return enx_prices_open(out, enx_prices_builtin, strlen(enx_prices_builtin),
                               "the price table", report);
    enx_buf_init(&text, ENX_PRICES_BYTES_MAX);
    enx_status status = enx_file_read(&text, path, report);
    if (status == ENX_OK)
        status = enx_prices_open(out, enx_buf_text(&text), text.size_bytes, path, report);
    enx_buf_deinit(&text);
    return status;
}
