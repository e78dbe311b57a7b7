/* SPDX-License-Identifier: Apache-2.0 */
/* test_climb.c - a ladder is planned as promised, judged by its sweep, and survives every stop. */
#include "train/climb_run.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/cpu.h"
#include "plat/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH = 512 };

static char folder[64];

static const char *const ladder_text =
    "name: tiny\n"
    "about: a test\n"
    "seed: 3\n"
    "tokenizer: {vocab: 272, pre: qwen2, feed_mb: 0.1}\n"
    "shape: {layers: 1, head_width: 16, context: 64, ffn: 2}\n"
    "rungs:\n"
    "  - {width: 16, seeds: 2, step_tokens: 256}\n"
    "  - {width: 32, seeds: 1, step_tokens: 256}\n"
    "  - {width: 48, seeds: 1, step_tokens: 512}\n"
    "tokens_per_param: [0.5, 1]\n"
    "train: {rate: 0.2, sweep: [0.5, 1, 2], warmup: 0.1, decay: 0.25, weight_decay: 0.1, clip: 1,\n"
    "        shards: 2, checkpoint_minutes: 60}\n"
    "text: [text.txt]\n"
    "held: {files: [held.txt], kb: 4}\n";

static void write_text(const char *name, const char *text)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(enx_file_write(path, text, strlen(text), NULL), ENX_OK);
}

static void write_words(const char *name, uint64_t seed, int lines)
{
    static const char *const words[] = { "o",     "povo", "não",    "é",   "herança,",
                                         "ação.", "você", "amanhã", "pão", "coração!" };
    enx_buf                  text;
    enx_rng                  rng = enx_rng_open(seed, 1);
    enx_buf_init(&text, 1 << 20);
    for (int line = 0; line < lines; line++) {
        for (int w = 0; w < 12; w++)
            assert_int_equal(
                enx_buf_printf(&text, "%s%s", w ? " " : "", words[enx_rng_below(&rng, 10)]),
                ENX_OK);
        assert_int_equal(enx_buf_append_text(&text, "\n"), ENX_OK);
    }
    write_text(name, enx_buf_text(&text));
    enx_buf_deinit(&text);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/enx_climb_XXXXXX");
    assert_non_null(mkdtemp(folder));
    write_words("text.txt", 1, 2000);
    write_words("held.txt", 2, 200);
    write_text("ladder.yaml", ladder_text);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[PATH];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static enx_climb *read_ladder(const char *name)
{
    char       path[PATH];
    enx_climb *climb = NULL;
    enx_report report = { 0 };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (enx_climb_open(&climb, path, &report) != ENX_OK) fail_msg("%s", report.text);
    return climb;
}

/* The ladder's text with `from` replaced is refused, and the sentence has `word`. */
static void check_refused(const char *from, const char *to, enx_status want, const char *word)
{
    char        text[4096], path[PATH];
    const char *at = strstr(ladder_text, from);
    enx_climb  *climb = NULL;
    enx_report  report = { 0 };
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - ladder_text), ladder_text, to,
             at + strlen(from));
    write_text("bad.yaml", text);
    snprintf(path, sizeof path, "%s/bad.yaml", folder);
    assert_int_equal(enx_climb_open(&climb, path, &report), want);
    if (!strstr(report.text, word)) fail_msg("%s: %s", word, report.text);
    assert_null(climb);
}

static void bad_ladders_are_named(void **state)
{
    (void)state;
    check_refused("about:", "colour:", ENX_FORMAT, "colour");
    check_refused("width: 32", "width: 16", ENX_INVALID, "widths rise");
    check_refused("seeds: 2", "seeds: 0", ENX_INVALID, "seeds");
    check_refused("step_tokens: 512", "step_tokens: 500", ENX_INVALID, "step_tokens 500");
    check_refused("[0.5, 1]", "[1, 0.5]", ENX_INVALID, "rising");
    check_refused("[0.5, 1, 2]", "[0.5, 2]", ENX_INVALID, "1, the rate of the rule");
    check_refused("decay: 0.25", "decay: 1.25", ENX_INVALID, "shares of the steps");
    check_refused("context: 64", "context: 6400", ENX_INVALID, "step_tokens");
    check_refused("ffn: 2", "ffn: 200", ENX_INVALID, "shape.ffn");
    check_refused("kb: 4", "kb: 0", ENX_INVALID, "held.kb");
}

static void a_plan_sweeps_the_smallest_and_branches_each(void **state)
{
    (void)state;
    static enx_climb_trunk trunks[ENX_CLIMB_TRUNKS_MAX];
    uint32_t               count;
    enx_climb             *climb = read_ladder("ladder.yaml");
    assert_int_equal(enx_climb_plan(climb, 3, trunks, &count, NULL), ENX_OK);
    assert_int_equal(count, 3 * 2 + 3 * 1 + 1);
    for (uint32_t i = 0; i < count; i++) {
        const enx_climb_trunk *t = &trunks[i];
        const enx_climb_rung  *rung = &climb->rungs[t->rung];
        assert_int_equal(t->is_sweep, t->rung < 2);
        assert_int_equal(t->is_law, t->factor == 1);
        assert_int_equal(t->branch_count, t->is_law ? 2 : 1);
        const enx_climb_branch *last = &t->branches[t->branch_count - 1];
        const double            tokens = (double)last->steps * rung->step_tokens;
        assert_true(last->tokens_per_param == 1);
        assert_true(tokens > 0.98 * (double)t->params && tokens < 1.02 * (double)t->params);
        assert_true(last->fall_step * 4 >= last->steps * 3 - 4);
        if (t->is_law) assert_true(t->branches[0].steps < last->fall_step);
        enx_recipe_source sources[ENX_RECIPE_SOURCES_MAX];
        const enx_recipe  recipe = enx_climb_recipe(climb, t, sources);
        assert_true(recipe.train.learning_rate == 0.2 * t->factor / rung->width);
    }
    assert_int_equal(enx_climb_plan(climb, 1, trunks, &count, NULL), ENX_OK);
    assert_int_equal(count, 3 * 2);
    climb->shape.head_width = 20;
    assert_int_equal(enx_climb_plan(climb, 1, trunks, &count, NULL), ENX_INVALID);
    enx_climb_close(&climb);
}

static void rates_that_bend_a_ladder_are_no_evidence(void **state)
{
    (void)state;
    enx_climb *climb = read_ladder("ladder.yaml"); /* factors 1/2, 1, 2 */
    enx_report report = { 0 };
    double     good[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX] = { { 2.02, 2.0, 2.02 },
                                                                      { 1.52, 1.5, 1.53 } };
    double     starved[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX] = { { 2.2, 2.0, 1.9 },
                                                                         { 1.6, 1.5, 1.45 } };
    double     drift[ENX_CLIMB_SWEEP_RUNGS][ENX_CLIMB_FACTORS_MAX] = { { 2.1, 2.0, 1.985 },
                                                                       { 1.495, 1.5, 1.6 } };
    assert_int_equal(enx_climb_judge(climb, good, &report), ENX_OK);
    assert_int_equal(enx_climb_judge(climb, starved, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "train.rate to about 0.4"));
    assert_int_equal(enx_climb_judge(climb, drift, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "best rate moves"));
    enx_climb_close(&climb);
}

/* ---- Runs ----------------------------------------------------------------------------------- */

typedef struct stopper {
    uint32_t step, stop_at; /* stop_at 0: never */
} stopper;

static bool count_step(void *user, const enx_climb_progress *progress)
{
    stopper *s = user;
    assert_non_null(progress->run);
    return ++s->step != s->stop_at;
}

static enx_status climb_once(const enx_climb *climb, const char *out, uint32_t threads,
                             uint32_t rungs, uint32_t stop_at, enx_report *report)
{
    char      path[PATH];
    enx_pool *pool = NULL;
    stopper   s = { .stop_at = stop_at };
    snprintf(path, sizeof path, "%s/%s", folder, out);
    assert_int_equal(enx_pool_open(&pool, threads, NULL), ENX_OK);
    const enx_climb_options options = { .climb = climb,
                                        .data_folder = folder,
                                        .out_folder = path,
                                        .commit = "test",
                                        .rung_count = rungs,
                                        .pool = pool,
                                        .cpu_flags = enx_cpu_detect(NULL),
                                        .is_f32 = true,
                                        .on_step = count_step,
                                        .user = &s };
    const enx_status        status = enx_climb_run(&options, report);
    enx_pool_close(&pool);
    return status;
}

/* runs.csv with the times of each line blanked. */
static void read_runs(const char *out, enx_buf *text)
{
    char    path[PATH];
    enx_buf csv;
    enx_buf_init(&csv, 1 << 20);
    snprintf(path, sizeof path, "%s/%s/runs.csv", folder, out);
    assert_int_equal(enx_file_read(&csv, path, NULL), ENX_OK);
    char *line, *rest = csv.data;
    while ((line = strsep(&rest, "\n")))
        for (int column = 0; line; column++) {
            const char *field = strsep(&line, ",");
            if (column < 18 || column > 20)
                assert_int_equal(enx_buf_printf(text, "%s%s", field, line ? "," : "\n"), ENX_OK);
        }
    enx_buf_deinit(&csv);
}

static void stops_threads_and_kills_leave_no_trace(void **state)
{
    (void)state;
    enx_climb *climb = read_ladder("ladder.yaml");
    enx_report report = { 0 };
    enx_buf    straight, stopped;
    enx_buf_init(&straight, 1 << 20);
    enx_buf_init(&stopped, 1 << 20);
    climb->train.sweep_count = 2; /* 0.5 and 1 */
    if (climb_once(climb, "straight", 1, 0, 0, &report) != ENX_OK) fail_msg("%s", report.text);
    read_runs("straight", &straight);
    /* first two rungs with stops anywhere, then all, by other threads */
    enx_status status = ENX_CANCELED;
    int        stops = 0;
    for (uint32_t seed = 5; status == ENX_CANCELED; seed = seed * 7 % 101, stops++)
        status = climb_once(climb, "stopped", 2, 2, 20 + seed, &report);
    if (status != ENX_OK) fail_msg("%s", report.text);
    assert_true(stops > 3);
    assert_int_equal(climb_once(climb, "stopped", 2, 0, 0, &report), ENX_OK);
    read_runs("stopped", &stopped);
    assert_string_equal(enx_buf_text(&straight), enx_buf_text(&stopped));
    enx_buf_deinit(&straight);
    enx_buf_deinit(&stopped);
    enx_climb_close(&climb);
}

static void another_ladders_folder_is_refused(void **state)
{
    (void)state;
    enx_climb *climb = read_ladder("ladder.yaml");
    enx_report report = { 0 };
    climb->train.sweep_count = 1;
    climb->train.sweep[0] = 1;
    if (climb_once(climb, "mine", 1, 1, 0, &report) != ENX_OK) fail_msg("%s", report.text);
    climb->train.rate = 0.3;
    assert_int_equal(climb_once(climb, "mine", 1, 1, 0, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "none of this ladder"));
    enx_climb_close(&climb);
}

static void text_read_too_often_must_be_meant(void **state)
{
    (void)state;
    enx_climb *climb = read_ladder("ladder.yaml");
    enx_report report = { 0 };
    enx_buf    runs;
    climb->train.sweep_count = 1;
    climb->train.sweep[0] = 1;
    for (unsigned i = 0; i < 2; i++) climb->tokens_per_param[i] *= 200;
    assert_int_equal(climb_once(climb, "short", 1, 1, 0, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "unique_kb"));
    for (unsigned i = 0; i < 2; i++) climb->tokens_per_param[i] /= 200;
    climb->unique_kb = 1;
    if (climb_once(climb, "short", 1, 1, 0, &report) != ENX_OK) fail_msg("%s", report.text);
    enx_buf_init(&runs, 1 << 20);
    read_runs("short", &runs);
    const char *line = strchr(enx_buf_text(&runs), '\n') + 1;
    for (int column = 0; column < 10; column++) line = strchr(line, ',') + 1;
    assert_true(strtod(line, NULL) > 4); /* epochs are said */
    enx_buf_deinit(&runs);
    enx_climb_close(&climb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_ladders_are_named),
        cmocka_unit_test(a_plan_sweeps_the_smallest_and_branches_each),
        cmocka_unit_test(rates_that_bend_a_ladder_are_no_evidence),
        cmocka_unit_test(stops_threads_and_kills_leave_no_trace),
        cmocka_unit_test(another_ladders_folder_is_refused),
        cmocka_unit_test(text_read_too_often_must_be_meant),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
