/* SPDX-License-Identifier: Apache-2.0 */
/* cli_job.c - the loop around the swarm core. */
#include "cli/cli_job.h"

#include "base/check.h"
#include "base/mem.h"
#include "cli/cli_bill.h"
#include "cli/cli_checks.h"
#include "cli/cli_command.h"
#include "cli/cli_display.h"
#include "cli/cli_sandbox.h"
#include "cli/cli_stages.h"
#include "plat/clock.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const uint64_t votes_measured = 16; /* one task in so many */
static const uint64_t ups_measured = 100;  /* tasks, before their share is believed */
static const double   hedge_share = .06;   /* of all calls */
static const uint64_t day_us = UINT64_C(86400000000);
static const uint64_t turn_us = 50000, drain_us = 3000000, call_timeout_us = 900000000;
enum {
    KNOWN_ROUNDS = 64,
    NAMED_MAX = 10, /* tasks that are named on a terminal */
    SETTINGS_BYTES_MAX = 1 << 20,
};
static const char *const modes[] = { "swarm", "workers", "lead" };

/* ---- Settings ------------------------------------------------------------------------------- */

void cli_job_options(cli_option out[CLI_JOB_OPTION_COUNT], cli_job_settings *s,
                     const char **swarm_path)
{
    const cli_option options[CLI_JOB_OPTION_COUNT] = {
        { "swarm", 's', CLI_TEXT, swarm_path, "FILE", "the swarm (default: models/swarm.yaml)" },
        { "mode", '\0', CLI_TEXT, &s->mode, "MODE",
          "swarm, workers, or lead: who answers (default: swarm, or the lead where that is no "
          "worse)" },
        { "budget", '\0', CLI_REAL, &s->budget_usd, "USD", "never spend more than this" },
        { "accuracy", '\0', CLI_REAL, &s->accuracy, "A",
          "certify that a share A equals the lead's" },
        { "confidence", '\0', CLI_REAL, &s->confidence, "C", "... with this confidence (0.95)" },
        { "labels", '\0', CLI_LIST, &s->label_words, "N|FILE",
          "audit N answers at most; FILE: right answers, to measure the lead by" },
        { "certificate", '\0', CLI_TEXT, (void *)&s->certificate, "FORM",
          "batch: of this job alone; stream: of its class, from job to job" },
        { "seed", '\0', CLI_UINT, &s->seed, "S", "of the choice of audits (default: by chance)" },
        { "plan", '\0', CLI_TEXT, &s->plan, "PLAN", "this plan (JSON, or a file), not the lead's" },
        { "threads", '\0', CLI_UINT, &s->threads, "N", "default: the swarm's, or one per core" },
        { "queue", '\0', CLI_TEXT, (void *)&s->queue, "URL",
          "scout and workers run on machines that joined this broker" },
        { "max-calls", '\0', CLI_UINT, &s->caps.calls, "N", "never make more calls than this" },
        { "max-tokens", '\0', CLI_UINT, &s->caps.tokens, "N", "never use more tokens" },
        { "max-seconds", '\0', CLI_REAL, &s->seconds, "S",
          "stop after this time, at what is done" },
        { "dry-run", '\0', CLI_FLAG, &s->is_dry, NULL, "say what it would cost, and do nothing" },
        { "approve", '\0', CLI_FLAG, &s->asks, NULL,
          "show the plan and its worst case, and go on after a yes" },
        { "yes", '\0', CLI_FLAG, &s->says_yes, NULL, "say yes to that" },
        { "fresh", '\0', CLI_FLAG, &s->is_fresh, NULL,
          "make every call, also where an earlier one has the answer" },
        cli_sandbox_option(&s->is_weak),
    };
    memcpy(out, options, sizeof options);
}

static bool is_mode(const char *mode)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(mode, modes[i]) == 0) return true;
    return false;
}

/* `--labels 20` and `--labels FILE` are two things under one name: labels that are bought, and
 * labels that are brought. */
static enx_status take_labels(cli_job_settings *s, enx_report *report)
{
    for (size_t i = 0; i < s->label_words.count; i++) {
        const char *word = s->label_words.items[i];
        if (word[strspn(word, "0123456789")] == '\0' && *word) {
            s->labels = strlen(word) > 9 ? UINT64_MAX : strtoull(word, NULL, 10);
        } else {
            if (s->labels_file[0])
                return ENX_FAIL(report, INVALID, "--labels: one number and one file at most");
            cli_absolute_path(s->labels_file, word);
        }
    }
    if (s->labels > ENX_SWARM_ITEMS_MAX)
        return ENX_FAIL(report, INVALID, "--labels: at most %d", ENX_SWARM_ITEMS_MAX);
    return ENX_OK;
}

enx_status cli_job_check(cli_job_settings *s, const char *swarm_path, enx_report *report)
{
    ENX_TRY(take_labels(s, report));
    s->is_asked = s->mode && strcmp(s->mode, "swarm") == 0;
    if (!s->mode) s->mode = "swarm";
    if (!is_mode(s->mode))
        return ENX_FAIL(report, INVALID, "--mode %s: swarm, workers or lead", s->mode);
    if (s->accuracy < 0 || s->accuracy >= 1)
        return ENX_FAIL(report, INVALID, "--accuracy %g: from 0 to below 1, as 0.98", s->accuracy);
    if (s->confidence < 0 || s->confidence >= 1)
        return ENX_FAIL(report, INVALID, "--confidence %g: from 0 to below 1, as 0.95",
                        s->confidence);
    if (s->budget_usd < 0 || s->budget_usd > 1e9)
        return ENX_FAIL(report, INVALID, "--budget %g: dollars, from 0 on", s->budget_usd);
    if (s->budget_usd > 0 && s->budget_usd < 1e-9)
        return ENX_FAIL(report, INVALID,
                        "--budget %g: buys nothing; prices are counted in 0.000000001 dollars",
                        s->budget_usd);
    if (s->certificate && strcmp(s->certificate, "batch") != 0 &&
        strcmp(s->certificate, "stream") != 0)
        return ENX_FAIL(report, INVALID, "--certificate %s: batch or stream", s->certificate);
    if (s->seconds < 0 || s->seconds > 1e9)
        return ENX_FAIL(report, INVALID, "--max-seconds %g: from 0 on", s->seconds);
    s->caps.time_us = (uint64_t)llround(s->seconds * 1e6);
    if (s->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    return cli_swarm_path(s->swarm, swarm_path, report);
}

void cli_job_take_recipe(cli_job_settings *s, const cli_recipe *r)
{
    const bool is_class = r->goal == NULL;
    s->goal = is_class ? r->task_class.name : r->goal;
    s->input_field = r->input ? r->input : is_class ? "" : "text";
    s->output_field = r->output ? r->output : is_class ? "answer" : "restored";
    s->report_field = r->report;
    if (s->accuracy == 0) s->accuracy = r->accuracy;
    if (s->confidence == 0) s->confidence = r->confidence;
    if (s->labels == 0) s->labels = r->labels;
    if (!s->certificate) s->certificate = r->certificate;
    if (s->budget_usd == 0) s->budget_usd = (double)r->caps.usd_nano * 1e-9;
    if (s->caps.tokens == 0) s->caps.tokens = r->caps.tokens;
    if (s->caps.calls == 0) s->caps.calls = r->caps.calls;
    if (s->caps.time_us == 0) s->caps.time_us = r->caps.time_us;
}

static enx_status settings_text(const cli_job_settings *s, enx_buf *out)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:f, s:f, s:I, s:f, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "swarm",
        s->swarm, "mode", s->mode, "accuracy", s->accuracy, "confidence", s->confidence, "labels",
        (json_int_t)s->labels, "budget_usd", s->budget_usd, "threads", (json_int_t)s->threads,
        "seed", (json_int_t)s->seed, "in", s->in, "out", s->out, "input",
        s->input_field ? s->input_field : "", "output", s->output_field ? s->output_field : "",
        "report", s->report_field ? s->report_field : "", "plan", s->plan ? s->plan : "", "queue",
        s->queue ? s->queue : "");
    if (s->certificate) json_object_set_new(json, "certificate", json_string(s->certificate));
    if (s->labels_file[0]) json_object_set_new(json, "labels_file", json_string(s->labels_file));
    if (s->vote_why[0])
        json_object_set_new(
            json, "votes",
            json_pack("{s:I, s:s}", "every", (json_int_t)s->vote_every, "why", s->vote_why));
    json_object_set_new(json, "fresh", json_boolean(s->is_fresh));
    if (s->is_weak) json_object_set_new(json, "weak", json_true());
    json_object_set_new(json, "caps",
                        json_pack("{s:I, s:I, s:I}", "tokens", (json_int_t)s->caps.tokens, "calls",
                                  (json_int_t)s->caps.calls, "time_us",
                                  (json_int_t)s->caps.time_us));
    if (s->recipe) json_object_set(json, "recipe", s->recipe);
    const enx_status status = cli_json_append(out, json);
    json_decref(json);
    return status;
}

static const char *text_or_null(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text && text[0] ? text : NULL;
}

static enx_status read_settings(void *user, const enx_store_job *job, enx_report *report)
{
    cli_job_settings *s = user;
    json_t           *json = json_loads(job->settings, 0, NULL);
    if (!json)
        return ENX_FAIL(report, FORMAT, "job %llu has no readable settings",
                        (unsigned long long)job->id);
    json_object_set_new(json, "command", json_string(job->command));
    json_object_set_new(json, "goal", json_string(job->goal));
    json_object_set_new(json, "state", json_string(job->state));
    const char *known = text_or_null(json, "labels_file");
    const char *in = text_or_null(json, "in"), *out = text_or_null(json, "out"),
               *swarm = text_or_null(json, "swarm");
    *s = (cli_job_settings){ .command = text_or_null(json, "command"),
                             .goal = json_string_value(json_object_get(json, "goal")),
                             .mode = text_or_null(json, "mode"),
                             .input_field = text_or_null(json, "input"),
                             .output_field = text_or_null(json, "output"),
                             .report_field = text_or_null(json, "report"),
                             .plan = text_or_null(json, "plan"),
                             .certificate = text_or_null(json, "certificate"),
                             .recipe = json_object_get(json, "recipe"),
                             .queue = text_or_null(json, "queue"),
                             .json = json };
    s->accuracy = json_number_value(json_object_get(json, "accuracy"));
    s->confidence = json_number_value(json_object_get(json, "confidence"));
    s->budget_usd = json_number_value(json_object_get(json, "budget_usd"));
    s->labels = (uint64_t)json_integer_value(json_object_get(json, "labels"));
    s->threads = (uint64_t)json_integer_value(json_object_get(json, "threads"));
    s->seed = (uint64_t)json_integer_value(json_object_get(json, "seed"));
    const json_t *votes = json_object_get(json, "votes");
    const char   *why = text_or_null(votes, "why");
    s->vote_every = (uint64_t)json_integer_value(json_object_get(votes, "every"));
    snprintf(s->vote_why, sizeof s->vote_why, "%s", why ? why : "");
    s->is_fresh = json_is_true(json_object_get(json, "fresh"));
    s->is_weak = json_is_true(json_object_get(json, "weak"));
    const json_t *caps = json_object_get(json, "caps");
    s->caps.tokens = (uint64_t)json_integer_value(json_object_get(caps, "tokens"));
    s->caps.calls = (uint64_t)json_integer_value(json_object_get(caps, "calls"));
    s->caps.time_us = (uint64_t)json_integer_value(json_object_get(caps, "time_us"));
    snprintf(s->swarm, sizeof s->swarm, "%s", swarm ? swarm : "");
    snprintf(s->labels_file, sizeof s->labels_file, "%s", known ? known : "");
    snprintf(s->in, sizeof s->in, "%s", in ? in : "");
    snprintf(s->out, sizeof s->out, "%s", out ? out : "");
    if (!s->command || !s->goal || !s->mode || !is_mode(s->mode))
        return ENX_FAIL(report, FORMAT, "job %llu has no readable settings",
                        (unsigned long long)job->id);
    return ENX_OK;
}

enx_status cli_job_settings_get(enx_store *store, uint64_t id, cli_job_settings *out,
                                enx_report *report)
{
    return enx_store_job_get(store, id, read_settings, out, report);
}

void cli_job_settings_close(cli_job_settings *settings)
{
    json_decref(settings->json);
    settings->json = NULL;
}

enx_status cli_job_id(const char *text, uint64_t *id, enx_report *report)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno)
        return ENX_FAIL(report, INVALID,
                        "%s: the number of a job is needed; `enxame jobs` lists "
                        "them",
                        text);
    *id = value;
    return ENX_OK;
}

/* ---- Opening -------------------------------------------------------------------------------- */

enx_status cli_store_open(enx_store **out, enx_report *report)
{
    char home[CLI_PATH_BYTES_MAX], path[CLI_PATH_BYTES_MAX + 16];
    ENX_TRY(cli_home(home, report));
    snprintf(path, sizeof path, "%s/enxame.db", home);
    const enx_store_options options = { .path = path };
    return enx_store_open(out, &options, report);
}

enx_status cli_job_lock(uint64_t id, int *fd, enx_report *report)
{
    const enx_status status = cli_lock_take("jobs.lock", id, fd, report);
    if (status != ENX_AGAIN) return status;
    return ENX_FAIL(report, AGAIN, "another process is working on job %llu",
                    (unsigned long long)id);
}

typedef struct roster_check {
    const enx_roster *roster;
    uint64_t          job_id;
    uint32_t          count;
} roster_check;

/* Records name models by their place in the roster: it must be the same. */
static enx_status check_model(void *user, const enx_store_model *model, enx_report *report)
{
    roster_check *c = user;
    c->count++;
    if (model->model < c->roster->model_count &&
        strcmp(c->roster->models[model->model].name, model->name) == 0)
        return ENX_OK;
    return ENX_FAIL(report, INVALID,
                    "the swarm has changed since job %llu began: its model %u was "
                    "%s; restore the swarm file, or start a new job",
                    (unsigned long long)c->job_id, model->model, model->name);
}

static enx_status set_models(cli_job *job, enx_report *report)
{
    const enx_roster *roster = enx_backend_roster(job->backend);
    for (uint32_t m = 0; m < roster->model_count; m++) {
        const enx_roster_model *r = &roster->models[m];
        const uint64_t          fixed = enx_backend_fixed_usd_nano(job->backend, m);
        const enx_store_model   model = { .model = m,
                                          .name = r->name,
                                          .duty = enx_duty_text(r->duty),
                                          .params = r->params,
                                          .price = r->price,
                                          .fixed_usd_nano = fixed };
        ENX_TRY(enx_store_model_set(job->store, job->id, &model, report));
    }
    return ENX_OK;
}

/* The row and its inputs, within a transaction. */
static enx_status add_row(enx_store *store, const cli_job_settings *s, const char *key,
                          const cli_job_input *inputs, size_t input_count, uint64_t *id,
                          enx_report *report)
{
    enx_buf settings;
    enx_buf_init(&settings, SETTINGS_BYTES_MAX);
    enx_status status = settings_text(s, &settings);
    if (status != ENX_OK) {
        enx_buf_deinit(&settings);
        return ENX_FAIL(report, NOMEM, "no memory for the job's settings");
    }
    const enx_store_job row = { .created_us = enx_clock_wall_us(),
                                .command = s->command,
                                .goal = s->goal,
                                .settings = enx_buf_text(&settings),
                                .key = key };
    status = enx_store_job_add(store, &row, id, report);
    for (size_t i = 0; status == ENX_OK && i < input_count; i++)
        status = enx_store_input_add(store, *id, (uint32_t)i, inputs[i].path,
                                     inputs[i].content.text, inputs[i].content.size_bytes, report);
    enx_buf_deinit(&settings);
    return status;
}

enx_status cli_job_add(enx_store *store, const cli_job_settings *settings, const char *key,
                       const cli_job_input *inputs, size_t input_count, uint64_t *id,
                       enx_report *report)
{
    ENX_TRY(enx_store_begin(store, report));
    const enx_status status = add_row(store, settings, key, inputs, input_count, id, report);
    const enx_status committed = enx_store_commit(store, status == ENX_OK ? report : NULL);
    return status == ENX_OK ? committed : status;
}

static enx_status add_job(cli_job *job, const cli_job_settings *s, const char *key,
                          const cli_job_input *inputs, size_t input_count, enx_report *report)
{
    ENX_TRY(enx_store_begin(job->store, report));
    ENX_TRY(add_row(job->store, s, key, inputs, input_count, &job->id, report));
    ENX_TRY(set_models(job, report));
    return enx_store_commit(job->store, report);
}

/* Monotonic within a run, and near the wall clock, so that records of several runs compare. */
static uint64_t port_now_us(void *self)
{
    return ((cli_job *)self)->clock_offset_us + enx_clock_monotonic_us();
}

static uint64_t port_random_u64(void *self)
{
    uint64_t out = 0;
    if (getrandom(&out, sizeof out, 0) != (ssize_t)sizeof out) out = port_now_us(self);
    return out;
}

static enx_status take_created(void *user, const enx_store_job *row, enx_report *report)
{
    (void)report;
    *(uint64_t *)user = row->created_us;
    return ENX_OK;
}

/* Calls of this job are others than those of any job elsewhere, and the same after a crash. */
static enx_status set_salt(cli_job *job, enx_report *report)
{
    uint64_t created_us = 0;
    ENX_TRY(enx_store_job_get(job->store, job->id, take_created, &created_us, report));
    return enx_backend_set_salt(job->backend, created_us, report);
}

static void warn(void *user, const char *sentence)
{
    (void)user;
    fprintf(stderr, "enxame: %s\n", sentence);
}

bool cli_job_is_goal(const cli_job_settings *s, const enx_config *config)
{
    return strcmp(s->command, "run") == 0 && !enx_config_has(&config->scout);
}

/* A class of the user's goes on from job to job; text is restored under a certificate of its own,
 * and so is what has a limit of audits.  Each stage of a goal has its own. */
static bool is_streamed(const cli_job *job, const cli_job_settings *s)
{
    if (s->accuracy == 0 || (s->mode && strcmp(s->mode, "swarm") != 0)) return false;
    if (cli_job_is_goal(s, job->config)) return false;
    if (s->certificate) return strcmp(s->certificate, "stream") == 0;
    return job->recipe && s->labels == 0;
}

static enx_swarm_options swarm_options(cli_job *job, const cli_job_settings *s,
                                       const enx_span *items, uint32_t item_count)
{
    const double      delta = s->confidence > 0 ? 1 - s->confidence : 0;
    enx_swarm_options o = { .job_id = job->id,
                            .roster = enx_backend_roster(job->backend),
                            .ports = &job->ports,
                            .goal = s->goal,
                            .items = items,
                            .item_count = item_count,
                            .is_goal = !job->recipe && cli_job_is_goal(s, job->config),
                            .given = job->recipe ? &job->recipe->task_class : NULL,
                            .caps = s->caps,
                            .target_alpha =
                                s->accuracy > 0 && !is_streamed(job, s) ? 1 - s->accuracy : 0,
                            .delta = delta,
                            .audit_labels_max = (uint32_t)s->labels,
                            .gate_items_min = job->config->gate_min_paragraphs,
                            .call_timeout_us = call_timeout_us,
                            .hedge_share = hedge_share,
                            .stream = job->certificate.stream,
                            .stream_id = job->certificate.id,
                            .truths = s->truths,
                            .vote_every = (uint32_t)s->vote_every,
                            .is_asked = s->is_asked,
                            .up_share = s->up_share,
                            .seed = s->seed };
    o.caps.usd_nano = (uint64_t)llround(s->budget_usd * 1e9);
    o.allowances = job->config->allowances;
    o.allowance_count = job->config->allowance_count;
    for (int i = 0; i < 3; i++)
        if (strcmp(s->mode, modes[i]) == 0) o.mode = (enx_swarm_mode)i;
    for (int i = 1; i < ENX_CONFIG_LEVELS; i++)
        o.escalate_above_level[i] = job->config->escalate_above[i];
    return o;
}

/* A class that the models here cannot do, or whose checks make no sense, costs nothing. */
static enx_status open_class(cli_job *job, const cli_job_settings *settings, enx_report *report)
{
    ENX_TRY(cli_recipe_open(&job->recipe, settings->recipe, report));
    if (job->recipe->goal) {
        cli_recipe_close(&job->recipe);
        return ENX_OK;
    }
    ENX_TRY(enx_judge_open(&job->judges[0], &job->recipe->task_class, report));
    job->judge_count = 1;
    ENX_TRY(enx_backend_check_class(job->backend, &job->recipe->task_class, report));
    enx_swarm              *tried = NULL;
    const enx_swarm_options options = swarm_options(job, settings, NULL, 0);
    ENX_TRY(enx_swarm_open(&tried, &options, report));
    enx_swarm_close(&tried);
    return ENX_OK;
}

/* All but a job in the store. */
static enx_status open_models(cli_job **out, const cli_job_settings *settings, uint64_t id,
                              bool is_quiet, enx_report *report)
{
    cli_job *job = ENX_MEM_NEW(cli_job, 1);
    if (!job) return ENX_FAIL(report, NOMEM, "no memory for a job");
    *job = (cli_job){ .id = id,
                      .is_resumed = id != 0,
                      .lock_fd = -1,
                      .is_quiet = is_quiet,
                      .asks = settings->asks,
                      .says_yes = settings->says_yes };
    job->clock_offset_us = enx_clock_wall_us() - enx_clock_monotonic_us();
    const enx_backend_options options = { .local = { .thread_count = (uint32_t)settings->threads,
                                                     .cpu = getenv("ENX_CPU") },
                                          .secret = cli_secret,
                                          .seed = port_random_u64(job),
                                          .queue_url = settings->queue,
                                          .warn = warn };
    enx_status status = cli_store_open(&job->store, report); /* first: it is quick to fail */
    if (status == ENX_OK) status = enx_config_open(&job->config, settings->swarm, report);
    if (status == ENX_OK) status = enx_backend_open(&job->backend, job->config, &options, report);
    if (status == ENX_OK)
        status = cli_reuse_open(&job->reuse, job->store, job->config,
                                enx_backend_roster(job->backend), settings->is_fresh, report);
    if (status == ENX_OK && settings->is_weak)
        status = cli_sandbox_open(&job->sandbox, true, settings->command, report);
    if (status == ENX_OK && settings->recipe) status = open_class(job, settings, report);
    if (status == ENX_OK) *out = job;
    else cli_job_close(&job);
    return status;
}

/* The class's certificate, with all that it was shown before. */
static enx_status open_certificate(cli_job *job, const cli_job_settings *s, enx_report *report)
{
    if (!is_streamed(job, s)) return ENX_OK;
    if (s->labels)
        return ENX_FAIL(report, INVALID,
                        "--labels N limits the audits of one job; the certificate of a class has "
                        "no such limit: leave it out, or take --certificate batch");
    const cli_stream_options options = { .config = job->config,
                                         .recipe = job->recipe,
                                         .accuracy = s->accuracy,
                                         .confidence = s->confidence,
                                         .seed = port_random_u64(job),
                                         .now_us = enx_clock_wall_us() };
    return cli_stream_open(&job->certificate, job->store, &options, report);
}

/* Do votes pay, by what earlier jobs of the class measured?  Where they do not, some are cast all
 * the same, so that a change is seen. */
static enx_status judge_votes(cli_job *job, cli_job_settings *s, enx_report *report)
{
    cli_checks found;
    if (!job->recipe ||
        enx_class_find_check(&job->recipe->task_class, ENX_CHECK_SECOND) == ENX_CLASS_CHECKS_MAX)
        return ENX_OK;
    ENX_TRY(cli_checks_read(&found, job->store, job->recipe->task_class.name,
                            json_object_get(job->recipe->json, "checks"), report));
    snprintf(s->vote_why, sizeof s->vote_why, "used: no job of the class has measured them yet");
    if (found.count) {
        const cli_checks_group *group = &found.groups[0];
        const enx_tally_vote    vote =
            enx_tally_vote_get(enx_tally_sums_get(group->tally), cli_checks_vote(group));
        if (vote.is_known && !vote.pays) s->vote_every = votes_measured;
        cli_checks_explain(group, &vote, s->vote_why, sizeof s->vote_why);
    }
    cli_checks_close(&found);
    return ENX_OK;
}

/* What of a class went up in earlier jobs, where the certificate does not make it less each time.
 */
static enx_status judge_ups(const cli_job *job, cli_job_settings *s, enx_report *report)
{
    enx_buf  text;
    uint64_t tasks = 0, ups = 0;
    if (!job->recipe || is_streamed(job, s)) return ENX_OK;
    enx_buf_init(&text, SETTINGS_BYTES_MAX);
    enx_status status = settings_text(s, &text);
    if (status != ENX_OK) enx_report_set(report, status, __FILE__, __LINE__, "no memory");
    else status = enx_store_ups_get(job->store, s->goal, enx_buf_text(&text), &tasks, &ups, report);
    enx_buf_deinit(&text);
    if (tasks >= ups_measured) s->up_share = (double)ups / (double)tasks;
    return status;
}

enx_status cli_job_open(cli_job **out, cli_job_settings *settings, uint64_t id, const char *key,
                        const cli_job_input *inputs, size_t input_count, bool is_quiet,
                        enx_report *report)
{
    cli_job *job = NULL;
    ENX_TRY(open_models(&job, settings, id, is_quiet, report));
    enx_status status = open_certificate(job, settings, report);
    if (status == ENX_OK && id == 0) status = judge_votes(job, settings, report);
    if (status == ENX_OK && id == 0) status = judge_ups(job, settings, report);
    if (status == ENX_OK && id == 0)
        status = add_job(job, settings, key, inputs, input_count, report);
    if (status == ENX_OK) status = cli_job_lock(job->id, &job->lock_fd, report);
    if (status == ENX_OK) status = set_salt(job, report);
    if (status == ENX_OK && id != 0) {
        roster_check check = { enx_backend_roster(job->backend), id, 0 };
        status = enx_store_bill_each(job->store, id, check_model, &check, report);
        if (status == ENX_OK && check.count == 0) status = set_models(job, report);
    }
    if (status != ENX_OK) {
        cli_job_close(&job);
        return status;
    }
    *out = job;
    return ENX_OK;
}

void cli_job_close(cli_job **out)
{
    cli_job *job = *out;
    if (!job) return;
    enx_backend_close(&job->backend); /* first: its calls know the classes */
    enx_swarm_close(&job->swarm);
    enx_buf_deinit(&job->graph);
    for (uint32_t i = 0; i < job->judge_count; i++) enx_judge_close(&job->judges[i]);
    cli_recipe_close(&job->recipe);
    enx_sandbox_close(&job->sandbox);
    cli_stream_close(&job->certificate);
    cli_reuse_close(&job->reuse);
    enx_config_close(&job->config);
    enx_store_close(&job->store);
    if (job->lock_fd >= 0) close(job->lock_fd);
    enx_mem_free(job);
    *out = NULL;
}

/* ---- Ports ---------------------------------------------------------------------------------- */

/* From here to the end of the turn nobody else writes to the store. */
static enx_status begin_group(cli_job *job, enx_report *report)
{
    if (job->is_grouped) return ENX_OK;
    ENX_TRY(enx_store_begin(job->store, report));
    job->is_grouped = true;
    return ENX_OK;
}

static bool is_same_class(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void port_generate(void *self, const enx_call *call)
{
    cli_job *job = self;
    if (begin_group(job, NULL) != ENX_OK || !cli_reuse_take(job->reuse, call))
        enx_backend_generate(job->backend, call);
}

static void port_cancel(void *self, uint64_t call_id)
{
    cli_job *job = self;
    if (!cli_reuse_cancel(job->reuse, call_id)) enx_backend_cancel(job->backend, call_id);
}

/* Days are those of UTC. */
static enx_status port_use_elsewhere(void *self, const char *class_name, uint32_t *day,
                                     enx_use *out, enx_report *report)
{
    cli_job *job = self;
    uint64_t changes;
    uint32_t i = 0;
    while (!is_same_class(job->config->allowances[i].class_name, class_name)) i++;
    cli_job_use *known = &job->uses[i];
    ENX_TRY(begin_group(job, report));
    ENX_TRY(enx_store_changes(job->store, &changes, report));
    *day = (uint32_t)(enx_clock_wall_us() / day_us);
    if (known->day != *day || known->changes != changes) {
        const enx_store_use which = { *day * day_us, class_name, job->id, job->replayed_seq };
        ENX_TRY(enx_store_use_get(job->store, &which, &known->use, report));
        known->day = *day;
        known->changes = changes;
    }
    *out = known->use;
    return ENX_OK;
}

static enx_status port_save(void *self, const enx_record *records, size_t record_count,
                            enx_report *report)
{
    cli_job *job = self;
    ENX_TRY(begin_group(job, report));
    for (size_t i = 0; i < record_count; i++)
        if (records[i].kind == ENX_RECORD_LABEL && records[i].reason != ENX_REASON_ANSWERED)
            enx_backend_judge(job->backend, records[i].item, records[i].is_wrong);
    ENX_TRY(enx_store_save(job->store, records, record_count, report));
    return cli_reuse_saved(job->reuse, records, record_count, report);
}

/* The checks of a class, made ready when they are first needed. */
static enx_status find_judge(cli_job *job, const enx_class *task_class, enx_judge **out,
                             enx_report *report)
{
    uint32_t i = 0;
    while (i < job->judge_count && enx_judge_class(job->judges[i]) != task_class) i++;
    if (i == CLI_JOB_JUDGES_MAX) return ENX_FAIL(report, LIMIT, "more than %u classes", i);
    if (i == job->judge_count) {
        ENX_TRY(enx_judge_open(&job->judges[i], task_class, report));
        job->judge_count++;
    }
    *out = job->judges[i];
    return ENX_OK;
}

/* A class of a plan that may never be used: nothing of it is kept. */
static enx_status port_admit(void *self, const enx_class *task_class, enx_report *report)
{
    enx_judge *judge = NULL;
    ENX_TRY(enx_judge_open(&judge, task_class, report));
    enx_judge_close(&judge);
    return enx_backend_check_class(((cli_job *)self)->backend, task_class, report);
}

static bool port_check(void *self, const enx_check *check, const enx_call *call, const char *answer,
                       size_t answer_bytes, char *reason, size_t reason_bytes)
{
    cli_job       *job = self;
    enx_judge     *judge = NULL;
    const enx_span text = { answer, answer_bytes };
    if (check->kind == ENX_CHECK_ROUND_TRIP)
        return enx_local_round_trip(call, answer, answer_bytes, reason, reason_bytes);
    if (check->kind == ENX_CHECK_COMMAND)
        return cli_check_command(&job->sandbox, check->text, text, reason, reason_bytes);
    if (find_judge(job, call->task_class, &judge, NULL) != ENX_OK) {
        snprintf(reason, reason_bytes, "the check cannot be made");
        return false;
    }
    return enx_judge_passes(judge, check, (enx_span){ call->input, call->input_bytes }, text,
                            reason, reason_bytes);
}

static void port_relate(void *self, const enx_check *check, const enx_span *answers, uint32_t count,
                        bool *is_bad)
{
    (void)self;
    enx_judge_relate(check, answers, count, is_bad);
}

/* "gate        lead alone: too few tasks for a swarm" */
static void print_gate(bool is_single, enx_reason reason)
{
    fprintf(stderr, "gate        %s: %s\n", is_single ? "lead alone" : "swarm",
            enx_reason_text(reason));
}

/* The plan and its price on stderr; the answer from the terminal, or known before. */
static bool port_approve(void *self, const char *plan, const enx_swarm_outlay *sum)
{
    char           money[CLI_MONEY_BYTES], all[CLI_MONEY_BYTES], answer[16] = "";
    const cli_job *job = self;
    if (!job->asks) return true;
    const enx_swarm_summary s = enx_swarm_summary_get(job->swarm);
    if (*plan) fprintf(stderr, "plan        %s\n", plan);
    print_gate(s.is_single, s.gate_reason);
    fprintf(stderr, "worst case  %u tasks, each done once: %s; if all go up: %s\n", sum->tasks,
            cli_money(money, sum->usd_nano), cli_money(all, sum->usd_nano + sum->up_usd_nano));
    if (job->says_yes) return true;
    FILE *terminal = fopen("/dev/tty", "re");
    fprintf(stderr,
            terminal ? "go on? [y/N] " : "no terminal to ask on; --yes says yes beforehand\n");
    fflush(stderr);
    if (terminal && !fgets(answer, sizeof answer, terminal)) answer[0] = '\0';
    if (terminal) fclose(terminal);
    return answer[0] == 'y' || answer[0] == 'Y';
}

static void port_measure(void *self, enx_call *call)
{
    enx_backend_measure(((cli_job *)self)->backend, call);
}

/* ---- Running -------------------------------------------------------------------------------- */

static enx_status replay_record(void *user, const enx_record *record, enx_report *report)
{
    ((cli_job *)user)->replayed_seq = record->seq;
    return enx_swarm_replay(((cli_job *)user)->swarm, record, report);
}

static void hand_over(void *user, const enx_call_report *report)
{
    enx_swarm_on_report(((cli_job *)user)->swarm, report);
}

/* Make durable what the core recorded in this turn, then let its calls go. */
static enx_status end_turn(cli_job *job, enx_report *report)
{
    enx_status status = enx_swarm_error(job->swarm, report);
    if (job->is_grouped) {
        job->is_grouped = false;
        enx_report       own = { 0 };
        const enx_status committed = enx_store_commit(job->store, &own);
        if (status == ENX_OK && committed != ENX_OK) {
            status = committed;
            if (report) *report = own;
        }
    }
    enx_backend_release(job->backend, status == ENX_OK);
    return status;
}

/* Reports of calls that were given up still settle the bill. */
static enx_status drain(cli_job *job, enx_report *report)
{
    const uint64_t until_us = enx_clock_monotonic_us() + drain_us;
    while (enx_backend_flight(job->backend) > 0 && enx_clock_monotonic_us() < until_us) {
        enx_backend_hold(job->backend);
        enx_backend_poll(job->backend, turn_us, hand_over, job);
        ENX_TRY(end_turn(job, report));
    }
    return ENX_OK;
}

/* What needs no call brings forth more of its kind: so many rounds of it are one turn. */
static void take_known(cli_job *job)
{
    for (int round = 0; round < KNOWN_ROUNDS && cli_reuse_is_ready(job->reuse); round++)
        cli_reuse_poll(job->reuse, hand_over, job);
}

static enx_status run_turns(cli_job *job, uint32_t item_count, enx_report *report)
{
    cli_display display;
    bool        is_canceled = false;
    cli_display_init(&display, job->swarm, enx_backend_roster(job->backend), item_count,
                     job->is_quiet);
    enx_backend_hold(job->backend);
    enx_swarm_start(job->swarm);
    enx_status status = end_turn(job, report);
    while (status == ENX_OK && !enx_swarm_is_done(job->swarm)) {
        const uint64_t wake_us = enx_swarm_wake_us(job->swarm), now_us = port_now_us(job);
        const bool     is_ready = cli_reuse_is_ready(job->reuse);
        const uint64_t wait_us = wake_us <= now_us || is_ready ? 0
                                 : wake_us - now_us < turn_us  ? wake_us - now_us
                                                               : turn_us;
        enx_backend_hold(job->backend);
        enx_backend_poll(job->backend, wait_us, hand_over, job);
        if (!job->plans_only) take_known(job);
        const bool is_planned = job->plans_only && enx_swarm_summary_get(job->swarm).has_plan;
        if ((cli_is_interrupted() || is_planned) && !is_canceled) {
            is_canceled = true;
            enx_swarm_cancel(job->swarm);
        }
        enx_swarm_tick(job->swarm);
        status = end_turn(job, report);
        cli_display_update(&display);
    }
    if (status == ENX_OK) status = drain(job, report);
    cli_display_finish(&display);
    return status;
}

/* JSON, or the content of the file that is named. */
static enx_status read_text(const char *plan, enx_buf *out, enx_report *report)
{
    if (plan[0] != '{') return cli_read(out, plan, report);
    if (enx_buf_append_text(out, plan) == ENX_OK) return ENX_OK;
    return ENX_FAIL(report, LIMIT, "--plan: more than %zu bytes", out->max_bytes);
}

/* Read the plan that was given; *has tells if one was. */
static enx_status read_plan(const cli_job_settings *s, enx_plan *plan, bool *has,
                            enx_report *report)
{
    enx_buf text;
    *has = s->plan != NULL;
    if (!s->plan) return ENX_OK;
    enx_buf_init(&text, ENX_PLAN_BYTES_MAX);
    enx_status status = read_text(s->plan, &text, report);
    if (status == ENX_OK)
        status = enx_plan_parse(plan, enx_buf_text(&text), text.size_bytes, report);
    enx_buf_deinit(&text);
    return status;
}

enx_status cli_job_run(cli_job *job, const cli_job_settings *settings, const enx_span *items,
                       uint32_t item_count, enx_report *report)
{
    const uint64_t start_us = enx_clock_monotonic_us();
    job->ports = (enx_ports){ .self = job,
                              .generate = port_generate,
                              .cancel = port_cancel,
                              .save = port_save,
                              .use_elsewhere = port_use_elsewhere,
                              .check = port_check,
                              .relate = port_relate,
                              .admit = port_admit,
                              .approve = port_approve,
                              .measure = port_measure,
                              .now_us = port_now_us,
                              .random_u64 = port_random_u64 };
    job->plans_only = settings->plans_only;
    job->votes = settings->vote_why;
    job->has_votes = settings->vote_every < 2;
    enx_swarm_options options = swarm_options(job, settings, items, item_count);
    enx_plan          plan;
    bool              has_plan = false;
    enx_buf_init(&job->graph, ENX_GRAPH_BYTES_MAX); /* the swarm borrows it */
    if (options.is_goal && settings->plan) ENX_TRY(read_text(settings->plan, &job->graph, report));
    else ENX_TRY(read_plan(settings, &plan, &has_plan, report));
    if (has_plan) options.plan = &plan;
    if (job->graph.size_bytes) options.graph = enx_buf_text(&job->graph);
    ENX_TRY(enx_swarm_open(&job->swarm, &options, report));
    if (job->is_resumed) {
        enx_status status = enx_store_replay(job->store, job->id, replay_record, job, report);
        if (status == ENX_OK && !enx_swarm_is_done(job->swarm))
            status = enx_store_job_set_state(job->store, job->id, "running", 0, report);
        if (status != ENX_OK) return status;
    }
    const enx_status status = run_turns(job, item_count, report);
    job->seconds = (double)(enx_clock_monotonic_us() - start_us) * 1e-6;
    if (status != ENX_OK)
        enx_report_wrap(report, "job %llu stopped; nothing that was saved is lost",
                        (unsigned long long)job->id);
    return status;
}

/* What tasks of the same name took in jobs that were done before. */
typedef struct experience {
    const char *goal;
    uint64_t    tasks, cost_usd_nano, wall_us;
} experience;

static enx_status add_experience(void *user, const enx_store_job *row, enx_report *report)
{
    experience *e = user;
    (void)report;
    if (strcmp(row->state, "done") != 0 || strcmp(row->goal, e->goal) != 0 || !row->finished)
        return ENX_OK;
    e->tasks += row->finished;
    e->cost_usd_nano += row->cost_usd_nano;
    e->wall_us += row->finished_us - row->created_us;
    return ENX_OK;
}

static enx_status show_forecast(cli_job *job, const cli_job_settings *s, bool is_json,
                                enx_report *report)
{
    char                     money[CLI_MONEY_BYTES], more[CLI_MONEY_BYTES];
    const enx_swarm_forecast f = enx_swarm_forecast_get(job->swarm);
    experience               e = { .goal = s->goal };
    ENX_TRY(enx_store_jobs_each(job->store, add_experience, &e, report));
    const double   share = e.tasks ? (double)f.tasks / (double)e.tasks : 0;
    const double   seconds = (double)e.wall_us * 1e-6 * share;
    const uint64_t likely = (uint64_t)((double)e.cost_usd_nano * share);
    if (is_json) {
        cli_print_json(json_pack(
            "{s:i, s:b, s:s, s:{s:I, s:o}, s:{s:I, s:o}, s:o, s:{s:I, s:o, s:f}}", "tasks",
            (int)f.tasks, "single", (int)f.is_single, "gate", enx_reason_text(f.gate_reason),
            "workers", "calls", (json_int_t)f.calls, "usd_most", cli_json_usd(f.usd_nano), "most",
            "calls", (json_int_t)f.calls_most, "usd_most", cli_json_usd(f.usd_nano_most), "lead",
            f.has_lead ? json_pack("{s:I, s:o}", "calls", (json_int_t)f.tasks, "usd_most",
                                   cli_json_usd(f.usd_nano_lead))
                       : json_null(),
            "as_before", "tasks", (json_int_t)e.tasks, "usd", cli_json_usd(likely), "seconds",
            seconds));
        return ENX_OK;
    }
    print_gate(f.is_single, f.gate_reason);
    fprintf(stderr, "tasks       %u\nworkers     %llu calls, at most %s\n", f.tasks,
            (unsigned long long)f.calls, cli_money(money, f.usd_nano));
    if (f.has_lead)
        fprintf(stderr, "lead alone  %u calls, at most %s\n", f.tasks,
                cli_money(money, f.usd_nano_lead));
    fprintf(stderr, "worst case  %llu calls, at most %s: every check, and every task goes up\n",
            (unsigned long long)f.calls_most, cli_money(more, f.usd_nano_most));
    if (e.tasks)
        fprintf(stderr, "as before   %s and %.0f s, by %llu tasks of earlier jobs\n",
                cli_money(money, likely), seconds, (unsigned long long)e.tasks);
    return ENX_OK;
}

enx_status cli_job_forecast(cli_job_settings *settings, const enx_span *items, uint32_t item_count,
                            bool is_json, enx_report *report)
{
    cli_job *job = NULL;
    ENX_TRY(open_models(&job, settings, 0, true, report));
    job->ports = (enx_ports){ .self = job, .check = port_check, .measure = port_measure };
    enx_status        status = judge_ups(job, settings, report);
    enx_swarm_options options = swarm_options(job, settings, items, item_count);
    if (is_streamed(job, settings)) options.target_alpha = 1 - settings->accuracy;
    if (status == ENX_OK && options.is_goal)
        status = ENX_FAIL(report, INVALID,
                          "what a goal costs is known when it is planned: --approve shows the plan "
                          "and its worst case first");
    if (status == ENX_OK) status = enx_swarm_open(&job->swarm, &options, report);
    if (status == ENX_OK) status = show_forecast(job, settings, is_json, report);
    cli_job_close(&job);
    return status;
}

/* ---- Results -------------------------------------------------------------------------------- */

enx_status cli_job_end(const cli_job *job, enx_report *report)
{
    static const char *const remedies[] = { [ENX_CAP_NONE] = "",
                                            [ENX_CAP_USD] = " --budget USD",
                                            [ENX_CAP_TOKENS] = " --max-tokens N",
                                            [ENX_CAP_CALLS] = " --max-calls N",
                                            [ENX_CAP_SHARED] = "" };
    const enx_swarm_summary  s = enx_swarm_summary_get(job->swarm);
    const unsigned long long id = job->id;
    const char              *note = s.end_note[0] ? s.end_note : enx_reason_text(s.end_reason);
    if (s.end == ENX_SWARM_DONE) return ENX_OK;
    if (s.end_reason == ENX_REASON_CANCELED)
        return ENX_FAIL(report, CANCELED, "interrupted; %u tasks are left: `enxame resume %llu`",
                        s.tasks[ENX_TASK_RETURNED] + s.tasks[ENX_TASK_OPEN], id);
    if (s.end_reason == ENX_REASON_BUDGET)
        return ENX_FAIL(report, BUDGET, "%s; `enxame resume %llu%s` goes on%s", note, id,
                        remedies[s.end_cap],
                        s.end_cap == ENX_CAP_SHARED
                            ? " when it is another day, or the swarm's `caps` are higher"
                            : "");
    if (s.end == ENX_SWARM_PARTIAL)
        return ENX_FAIL(report, LIMIT, "%s; `enxame resume %llu` goes on", note, id);
    return ENX_FAIL(report, UNSUPPORTED, "job %llu failed: %s", id, note);
}

json_t *cli_answer_json(const cli_job *job, uint32_t item)
{
    static const char *const states[] = { "open", "accepted", "abstained", "failed", "returned" };
    const enx_swarm_answer   a = enx_swarm_result(job->swarm, item);
    const enx_roster        *roster = enx_backend_roster(job->backend);
    const bool has_model = a.state == ENX_TASK_ACCEPTED && a.model < roster->model_count;
    bool       is_last;
    return json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:s, s:f}", "class",
        enx_swarm_class_of(job->swarm, item, &is_last), "language", a.language, "level",
        (int)a.level, "state", states[a.state], "reason", enx_reason_text(a.reason), "note", a.note,
        "model", has_model ? roster->models[a.model].name : "", "escalated", (int)a.is_escalated,
        "escalate_reason", a.is_escalated ? enx_reason_text(a.escalate_reason) : "", "error_chance",
        a.error_chance);
}

static json_t *plan_json(const enx_swarm_summary *s)
{
    enx_buf text;
    json_t *out = NULL;
    if (!s->has_plan || s->given || s->is_goal) return json_null();
    enx_buf_init(&text, ENX_PLAN_BYTES_MAX);
    if (enx_plan_to_json(&s->plan, &text) == ENX_OK) out = json_loads(enx_buf_text(&text), 0, NULL);
    enx_buf_deinit(&text);
    return out ? out : json_null();
}

static bool is_set_aside(const enx_swarm_answer *a)
{
    return a->state == ENX_TASK_FAILED && a->reason == ENX_REASON_QUARANTINED;
}

/* Tasks whose calls failed while others were answered, by number. */
static json_t *set_aside_json(const cli_job *job, uint32_t items)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < items; i++) {
        const enx_swarm_answer a = enx_swarm_result(job->swarm, i);
        if (is_set_aside(&a))
            json_array_append_new(list, json_pack("{s:i, s:o}", "task", (int)(i + 1), "note",
                                                  cli_json_text(a.note, strlen(a.note))));
    }
    return list;
}

/* Workers whose tasks others had to do. */
static json_t *out_json(const cli_job *job)
{
    const enx_roster *roster = enx_backend_roster(job->backend);
    json_t           *list = json_array();
    char              why[256];
    for (uint32_t m = 0; m < roster->model_count; m++)
        if (enx_swarm_is_out(job->swarm, m, why, sizeof why))
            json_array_append_new(list, json_pack("{s:s, s:o}", "model", roster->models[m].name,
                                                  "note", cli_json_text(why, strlen(why))));
    return list;
}

enx_status cli_job_json(cli_job *job, json_t **out, enx_report *report)
{
    static const char *const ends[] = { "running", "done", "partial", "failed" };
    const enx_swarm_summary  s = enx_swarm_summary_get(job->swarm);
    json_t                  *bill = NULL;
    ENX_TRY(cli_bill_json(job->store, job->id, &bill, report));
    *out = json_pack("{s:I, s:s, s:s, s:s, s:{s:i, s:i, s:i, s:i}, s:i, s:b, s:s, s:o, s:o, s:o, "
                     "s:f}",
                     "job", (json_int_t)job->id, "state", ends[s.end], "reason",
                     s.end == ENX_SWARM_DONE ? "" : enx_reason_text(s.end_reason), "note",
                     s.end_note, "tasks", "accepted", (int)s.tasks[ENX_TASK_ACCEPTED], "abstained",
                     (int)s.tasks[ENX_TASK_ABSTAINED], "failed", (int)s.tasks[ENX_TASK_FAILED],
                     "returned", (int)s.tasks[ENX_TASK_RETURNED], "escalated", (int)s.escalated,
                     "single", (int)s.is_single, "gate", enx_reason_text(s.gate_reason), "plan",
                     plan_json(&s), "certificate",
                     s.is_goal ? cli_stages_json(job->swarm)
                               : cli_certificate_json(s.has_certificate, &s.certificate),
                     "bill", bill, "seconds", job->seconds);
    if (!*out) return ENX_FAIL(report, NOMEM, "no memory for the summary");
    if (job->votes && job->votes[0])
        json_object_set_new(
            *out, "votes", json_pack("{s:b, s:s}", "used", (int)job->has_votes, "why", job->votes));
    if (s.known_lead.count + s.known_worker.count)
        json_object_set_new(*out, "known",
                            json_pack("{s:o, s:o}", "lead", cli_known_json(&s.known_lead),
                                      "workers", cli_known_json(&s.known_worker)));
    json_t *certificate = json_object_get(*out, "certificate");
    if (job->certificate.stream && json_is_object(certificate))
        json_object_update_new(certificate,
                               json_pack("{s:i, s:s}", "epoch", (int)job->certificate.epoch,
                                         "changed", job->certificate.changed));
    json_object_set_new(*out, "set_aside", set_aside_json(job, s.task_count));
    json_object_set_new(*out, "models_set_aside", out_json(job));
    return ENX_OK;
}

static void print_out(const cli_job *job)
{
    const enx_roster *roster = enx_backend_roster(job->backend);
    char              why[256];
    for (uint32_t m = 0; m < roster->model_count; m++) {
        if (!enx_swarm_is_out(job->swarm, m, why, sizeof why)) continue;
        fprintf(stderr, "set aside   worker %s: ", roster->models[m].name);
        cli_write_text(stderr, why, strlen(why));
        fputc('\n', stderr);
    }
}

/* "task 17: 3 calls failed, the last one: ..." */
static void print_set_aside(const cli_job *job, uint32_t items)
{
    for (uint32_t i = 0, named = 0; i < items && named < NAMED_MAX; i++) {
        const enx_swarm_answer a = enx_swarm_result(job->swarm, i);
        if (!is_set_aside(&a)) continue;
        fprintf(stderr, "            task %u: ", i + 1);
        cli_write_text(stderr, a.note, strlen(a.note));
        fputc('\n', stderr);
        named++;
    }
}

/* "left alone  3: no worker knows the language" */
static void print_left_alone(const cli_job *job, const enx_swarm_summary *s)
{
    uint32_t counts[ENX_REASON_COUNT] = { 0 }, items = 0;
    for (int state = 0; state < ENX_TASK_STATE_COUNT; state++) items += s->tasks[state];
    for (uint32_t i = 0; i < items; i++) {
        const enx_swarm_answer a = enx_swarm_result(job->swarm, i);
        if (a.state == ENX_TASK_ABSTAINED || a.state == ENX_TASK_FAILED) counts[a.reason]++;
    }
    for (int reason = 0; reason < ENX_REASON_COUNT; reason++)
        if (counts[reason] > 0)
            fprintf(stderr, "left alone  %u: %s\n", counts[reason],
                    enx_reason_text((enx_reason)reason));
    print_set_aside(job, items);
}

static void print_epoch(const cli_stream *certificate)
{
    if (!certificate->stream) return;
    fprintf(stderr, "            epoch %u of the class", certificate->epoch);
    if (certificate->changed[0])
        fprintf(stderr, ", new: its %s changed, and nothing is known of it yet",
                certificate->changed);
    fputc('\n', stderr);
}

enx_status cli_job_print(cli_job *job, enx_report *report)
{
    const enx_swarm_summary s = enx_swarm_summary_get(job->swarm);
    json_t                 *bill = NULL;
    ENX_TRY(cli_bill_json(job->store, job->id, &bill, report));
    print_left_alone(job, &s);
    print_out(job);
    if (!s.is_goal || !cli_stages_print(stderr, job->swarm))
        cli_certificate_print(stderr, s.has_certificate, &s.certificate);
    if (s.has_certificate) print_epoch(&job->certificate);
    cli_known_print(stderr, &s);
    if (job->votes && job->votes[0]) fprintf(stderr, "votes       %s\n", job->votes);
    cli_bill_print(stderr, bill);
    json_decref(bill);
    fprintf(stderr, "job         %llu, %.1f s\n", (unsigned long long)job->id, job->seconds);
    return ENX_OK;
}
