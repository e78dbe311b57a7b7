/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ability.c - a column a model, a row a task and level. */
#include "cli/cli_ability.h"

#include "backend/ability.h"
#include "backend/exam.h"
#include "base/mem.h"
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct graded {
    uint64_t    params;
    enx_ability ability;
    bool        can_restore;
    double      restored[ENX_EXAM_LEVELS]; /* share of words right, at levels 1 to 3 */
} graded;

static double share(const graded *g, int task, int level)
{
    const uint32_t asked = g->ability.asked[task][level];
    return asked ? (double)g->ability.right[task][level] / asked : NAN;
}

/* All domains together: words that are right, by words. */
static void sum_scores(graded *g, const enx_exam *exam)
{
    for (int level = 1; level < ENX_EXAM_LEVELS; level++) {
        uint64_t right = 0, words = 0;
        for (uint32_t d = 0; d < exam->domain_count; d++) {
            words += exam->scores[d][level].words;
            right += exam->scores[d][level].words_right;
        }
        g->restored[level] = (double)right / (double)words;
    }
}

static enx_status grade_restoring(graded *g, const cli_ability_options *o, const char *path,
                                  enx_pool *pool, enx_report *report)
{
    enx_skill              skill = { 0 };
    enx_exam               exam;
    const enx_exam_options options = { .skill = &skill,
                                       .rows_path = o->rows,
                                       .rows_max = o->rows_max,
                                       .pool = pool,
                                       .cpu = getenv("ENX_CPU") };
    ENX_TRY(enx_skill_open(&skill, path, report));
    const enx_status status = enx_exam_run(&exam, &options, report);
    if (status == ENX_OK) sum_scores(g, &exam);
    enx_skill_close(&skill);
    return status;
}

static enx_status grade(graded *g, const cli_ability_options *o, const char *path,
                        const enx_buf *words, enx_pool *pool, enx_report *report)
{
    enx_loaded                loaded = { 0 };
    const enx_ability_options options = { .questions = o->questions,
                                          .words = o->text ? enx_buf_text(words) : NULL,
                                          .words_bytes = words->size_bytes,
                                          .pool = pool,
                                          .cpu = getenv("ENX_CPU") };
    ENX_TRY(enx_loaded_open(&loaded, path, report));
    g->params = enx_model_param_count(loaded.model);
    g->can_restore = o->rows && enx_loaded_can(&loaded, "restore");
    enx_status status = enx_ability_run(&g->ability, &loaded, &options, report);
    enx_loaded_close(&loaded);
    if (status == ENX_OK && g->can_restore) status = grade_restoring(g, o, path, pool, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", path);
    return status;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_cell(double value)
{
    if (isnan(value)) printf(" %12s", "-");
    else printf(" %12.3f", value);
}

static void print_table(const cli_ability_options *o, const graded *all)
{
    printf("%-12s %-5s", "task", "level");
    for (uint32_t m = 0; m < o->model_count; m++) printf(" %12.12s", name_of(o->models[m]));
    printf("\n%-18s", "parameters");
    for (uint32_t m = 0; m < o->model_count; m++)
        printf(" %12llu", (unsigned long long)all[m].params);
    putchar('\n');
    for (int task = 0; task < ENX_ABILITY_TASKS; task++)
        for (int level = 0; level < ENX_ABILITY_LEVELS; level++) {
            if (task == ENX_ABILITY_NEXT_WORD && !o->text) continue;
            printf("%-12s %-5d", enx_ability_names[task], level + 1);
            for (uint32_t m = 0; m < o->model_count; m++) print_cell(share(&all[m], task, level));
            putchar('\n');
        }
    for (int level = 1; o->rows && level < ENX_EXAM_LEVELS; level++) {
        printf("%-12s %-5d", "restore", level);
        for (uint32_t m = 0; m < o->model_count; m++)
            print_cell(all[m].can_restore ? all[m].restored[level] : NAN);
        putchar('\n');
    }
    printf("\nshare right of %u questions, guessing 0.25; restore: share of words right\n",
           o->questions);
}

static json_t *number(double value) { return isnan(value) ? json_null() : json_real(value); }

static void print_json(const cli_ability_options *o, const graded *all)
{
    json_t *models = json_array();
    for (uint32_t m = 0; m < o->model_count; m++) {
        json_t *tasks = json_object(), *restore = json_array();
        for (int task = 0; task < ENX_ABILITY_TASKS; task++) {
            json_t *levels = json_array();
            for (int level = 0; level < ENX_ABILITY_LEVELS; level++)
                json_array_append_new(levels, number(share(&all[m], task, level)));
            json_object_set_new(tasks, enx_ability_names[task], levels);
        }
        for (int level = 1; level < ENX_EXAM_LEVELS; level++)
            json_array_append_new(restore,
                                  number(all[m].can_restore ? all[m].restored[level] : NAN));
        json_object_set_new(tasks, "restore", restore);
        json_array_append_new(models,
                              json_pack("{s:o, s:I, s:o}", "model",
                                        cli_json_text(o->models[m], strlen(o->models[m])),
                                        "parameters", (json_int_t)all[m].params, "tasks", tasks));
    }
    cli_print_json(json_pack("{s:o, s:i, s:f}", "models", models, "questions", (int)o->questions,
                             "guessing", 1.0 / ENX_ABILITY_OPTIONS));
}

enx_status cli_ability_print(const cli_ability_options *options, enx_report *report)
{
    graded   *all = ENX_MEM_NEW(graded, options->model_count);
    enx_pool *pool = NULL;
    enx_buf   words;
    if (!all) return ENX_FAIL(report, NOMEM, "no memory for %u models", options->model_count);
    enx_buf_init(&words, CLI_TEXT_BYTES_MAX);
    enx_status status = options->text ? cli_read(&words, options->text, report) : ENX_OK;
    if (status == ENX_OK && options->text && words.size_bytes == 0)
        status = ENX_FAIL(report, INVALID, "%s: no text", options->text);
    if (status == ENX_OK) status = enx_pool_open(&pool, options->threads, report);
    for (uint32_t m = 0; m < options->model_count && status == ENX_OK; m++)
        status = grade(&all[m], options, options->models[m], &words, pool, report);
    if (status == ENX_OK && options->is_json) print_json(options, all);
    else if (status == ENX_OK) print_table(options, all);
    enx_pool_close(&pool);
    enx_buf_deinit(&words);
    enx_mem_free(all);
    return status;
}
