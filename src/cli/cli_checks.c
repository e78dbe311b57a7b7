/* SPDX-License-Identifier: Apache-2.0 */
/* cli_checks.c - jobs of the store, by class, into tallies. */
#include "cli/cli_checks.h"

#include "base/mem.h"
#include "swarm/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- jobs into groups ----------------------------------------------------------------------- */

/* A job that waits to be read: statements of the store are not nested. */
typedef struct job {
    uint64_t id;
    uint32_t items;
    json_t  *recipe; /* NULL: text is restored */
} job;

typedef struct gathering {
    job   *jobs; /* [count] */
    size_t count, capacity;
    bool   is_failed;
} gathering;

static enx_status take_job(void *user, const enx_store_job *row, enx_report *report)
{
    gathering *g = user;
    if (row->items == 0) return ENX_OK;
    if (g->count == g->capacity) {
        const size_t capacity = g->capacity ? 2 * g->capacity : 64;
        job *grown = enx_mem_resize(g->jobs, g->count * sizeof *grown, capacity * sizeof *grown);
        if (!grown) return ENX_FAIL(report, NOMEM, "no memory for %zu jobs", capacity);
        g->jobs = grown;
        g->capacity = capacity;
    }
    json_t *settings = json_loads(row->settings, 0, NULL);
    json_t *recipe = json_object_get(settings, "recipe");
    if (recipe && json_object_get(recipe, "goal")) recipe = NULL;
    g->jobs[g->count++] = (job){ row->id, row->items, json_incref(recipe) };
    json_decref(settings);
    return ENX_OK;
}

/* The plan of a job that restores text says what its checks were; a plan in stages, that its tasks
 * are of several kinds. */
typedef struct planned {
    bool     is_one;
    enx_plan plan;
} planned;

static enx_status find_plan(void *user, const enx_record *r, enx_report *report)
{
    planned *p = user;
    (void)report;
    if (r->kind == ENX_RECORD_PLAN_ACCEPTED && r->text_bytes && !p->is_one)
        p->is_one = enx_plan_parse(&p->plan, r->text, r->text_bytes, NULL) == ENX_OK;
    return ENX_OK;
}

static void name_restore(cli_checks_group *group, const enx_plan *plan)
{
    snprintf(group->name, sizeof group->name, "restore");
    if (plan->check_round_trip)
        group->checks[group->check_count++] = (enx_check){ .kind = ENX_CHECK_ROUND_TRIP };
    if (plan->check_confidence)
        group->checks[group->check_count++] = (enx_check){ .kind = ENX_CHECK_CONFIDENCE };
}

/* What group the job would be; *is_one: it is of one class. */
static enx_status describe(cli_checks_group *out, enx_store *store, const job *of, bool *is_one,
                           enx_report *report)
{
    *out = (cli_checks_group){ 0 };
    if (!of->recipe) {
        planned p = { 0 };
        ENX_TRY(enx_store_replay(store, of->id, find_plan, &p, report));
        *is_one = p.is_one;
        if (p.is_one) name_restore(out, &p.plan);
        return ENX_OK;
    }
    *is_one = cli_recipe_open(&out->recipe, of->recipe, NULL) == ENX_OK; /* by today's rules */
    if (!*is_one) return ENX_OK;
    const enx_class *c = &out->recipe->task_class;
    snprintf(out->name, sizeof out->name, "%s", c->name);
    memcpy(out->checks, c->checks, c->check_count * sizeof *c->checks);
    out->check_count = c->check_count;
    return ENX_OK;
}

static const json_t *checks_of(const cli_checks_group *group)
{
    return group->recipe ? json_object_get(group->recipe->json, "checks") : NULL;
}

static bool is_same(const cli_checks_group *a, const cli_checks_group *b)
{
    if (strcmp(a->name, b->name) != 0 || a->check_count != b->check_count) return false;
    for (uint32_t i = 0; i < a->check_count; i++)
        if (a->checks[i].kind != b->checks[i].kind) return false;
    const json_t *x = checks_of(a), *y = checks_of(b);
    return (!x && !y) || json_equal(x, y);
}

/* ---- one job -------------------------------------------------------------------------------- */

typedef struct roster {
    char        names[ENX_ROSTER_MODELS_MAX][ENX_TALLY_NAME_BYTES];
    const char *pointers[ENX_ROSTER_MODELS_MAX];
    uint32_t    count, lead;
} roster;

static enx_status take_model(void *user, const enx_store_model *line, enx_report *report)
{
    roster *r = user;
    (void)report;
    if (r->count == ENX_ROSTER_MODELS_MAX) return ENX_OK;
    if (strcmp(line->duty, enx_duty_text(ENX_DUTY_LEAD)) == 0) r->lead = r->count;
    snprintf(r->names[r->count], ENX_TALLY_NAME_BYTES, "%s", line->name);
    r->pointers[r->count] = r->names[r->count];
    r->count++;
    return ENX_OK;
}

static enx_status take_record(void *user, const enx_record *record, enx_report *report)
{
    (void)report;
    enx_tally_add(user, record);
    return ENX_OK;
}

static enx_status read_job(cli_checks_group *group, enx_store *store, const job *of,
                           enx_report *report)
{
    roster models = { .lead = ENX_ROSTER_MODELS_MAX };
    ENX_TRY(enx_store_bill_each(store, of->id, take_model, &models, report));
    const enx_tally_job described = { .item_count = of->items,
                                      .names = models.pointers,
                                      .name_count = models.count,
                                      .lead = models.lead,
                                      .checks = group->checks,
                                      .check_count = group->check_count };
    if (!group->tally) ENX_TRY(enx_tally_open(&group->tally, report));
    ENX_TRY(enx_tally_begin(group->tally, &described, report));
    ENX_TRY(enx_store_replay(store, of->id, take_record, group->tally, report));
    enx_tally_end(group->tally);
    return ENX_OK;
}

/* Its group, which is made when it is the first of it. */
static enx_status add_job(cli_checks *out, enx_store *store, const job *of, const char *name,
                          const json_t *checks, enx_report *report)
{
    cli_checks_group found;
    bool             is_one = false;
    uint32_t         i = 0;
    ENX_TRY(describe(&found, store, of, &is_one, report));
    bool is_wanted = is_one && (!name || strcmp(name, found.name) == 0);
    if (is_wanted && checks) is_wanted = json_equal(checks_of(&found), checks);
    while (i < out->count && !is_same(&out->groups[i], &found)) i++;
    if (!is_wanted || i == CLI_CHECKS_GROUPS_MAX) {
        cli_recipe_close(&found.recipe);
        return ENX_OK;
    }
    if (i == out->count) out->groups[out->count++] = found;
    else cli_recipe_close(&found.recipe);
    return read_job(&out->groups[i], store, of, report);
}

enx_status cli_checks_read(cli_checks *out, enx_store *store, const char *name,
                           const json_t *checks, enx_report *report)
{
    gathering g = { 0 };
    *out = (cli_checks){ 0 };
    enx_status status = enx_store_jobs_each(store, take_job, &g, report);
    for (size_t i = 0; status == ENX_OK && i < g.count; i++)
        status = add_job(out, store, &g.jobs[i], name, checks, report);
    for (size_t i = 0; i < g.count; i++) json_decref(g.jobs[i].recipe);
    enx_mem_free(g.jobs);
    if (status != ENX_OK) cli_checks_close(out);
    return status;
}

void cli_checks_close(cli_checks *checks)
{
    for (uint32_t i = 0; i < checks->count; i++) {
        enx_tally_close(&checks->groups[i].tally);
        cli_recipe_close(&checks->groups[i].recipe);
    }
    checks->count = 0;
}

/* ---- votes ---------------------------------------------------------------------------------- */

uint32_t cli_checks_vote(const cli_checks_group *group)
{
    for (uint32_t i = 0; i < group->check_count; i++)
        if (group->checks[i].kind == ENX_CHECK_SECOND) return i + 1;
    return 0;
}

/* The mean correlation of pairs that were measured; NAN: none was. */
static double mean_phi(const enx_tally_sums *sums)
{
    double   sum = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < sums->pair_count; i++) {
        const double phi = enx_tally_pair_phi(&sums->pairs[i]);
        if (!isfinite(phi)) continue;
        sum += phi;
        count++;
    }
    return count ? sum / count : NAN;
}

void cli_checks_explain(const cli_checks_group *group, const enx_tally_vote *v, char *out,
                        size_t out_bytes)
{
    char         worth[64] = "";
    const double phi = mean_phi(enx_tally_sums_get(group->tally));
    if (isfinite(phi))
        snprintf(worth, sizeof worth, "; errors correlate by %.2f, two votes count as %.2f", phi,
                 2 / (1 + phi));
    if (!isfinite(v->price))
        snprintf(out, out_bytes, "used: prices do not tell, as the lead costs nothing%s", worth);
    else if (!v->is_known)
        snprintf(out, out_bytes,
                 "used, to measure: %.0f wrong answers were seen with it, 20 are needed to tell "
                 "whether it pays%s",
                 v->errors, worth);
    else
        snprintf(
            out, out_bytes,
            "%s: a vote refuses %.0f %% of wrong answers and %.0f %% of all, and costs %.2f of "
            "a call of the lead%s%s",
            v->pays ? "used" : "not used", 100 * v->caught, 100 * v->refused, v->price, worth,
            v->pays ? "" : " (one task in 16 is voted on, to go on measuring)");
}
