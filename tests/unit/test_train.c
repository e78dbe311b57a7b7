/* SPDX-License-Identifier: Apache-2.0 */
/* test_train.c - a run can be stopped, carried on by other threads, and comes out the same. */
#include "train/train_loop.h"

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

static const char *const recipe_text =
    "name: tiny\n"
    "about: a test\n"
    "seed: 3\n"
    "tokenizer: {vocab: 288, pre: qwen2, feed_mb: 1}\n"
    "model: {width: 32, layers: 2, head_width: 32, ffn: 64, context: 128}\n"
    "train: {steps: 12, shards: 2, shard_tokens: 256, passes: 1, learning_rate: 0.01, warmup: 2,\n"
    "        decay: 0.5, weight_decay: 0.1, clip: 1.0, checkpoint_minutes: 60}\n"
    "restore: {level_1: 1, level_2: 1, level_3: 1, partial: 0.2, tag_dropout: 0.2,\n"
    "          window_bytes: 60, draft: 0.5}\n"
    "languages: [pt_BR, es]\n"
    "sources:\n"
    "  - {kind: restore, file: text.txt, language: pt_BR, weight: 1}\n"
    "  - {kind: scout, file: text.txt, language: es, weight: 0.5}\n"
    "  - {kind: pairs, file: pairs.tsv, weight: 0.2}\n"
    "  - {kind: text, file: text.txt, weight: 0.2}\n";

static void write_text(const char *name, const char *text, size_t size_bytes)
{
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(enx_file_write(path, text, size_bytes, NULL), ENX_OK);
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/enx_train_XXXXXX");
    assert_non_null(mkdtemp(folder));
    static const char *const words[] = { "O",     "povo", "não",    "é",   "herança,",
                                         "ação.", "Você", "amanhã", "pão", "coração!" };
    enx_buf                  text;
    enx_rng                  rng = enx_rng_open(1, 1);
    enx_buf_init(&text, 1 << 20);
    for (int line = 0; line < 200; line++) {
        for (int w = 0; w < 12; w++)
            assert_int_equal(
                enx_buf_printf(&text, "%s%s", w ? " " : "", words[enx_rng_below(&rng, 10)]),
                ENX_OK);
        assert_int_equal(enx_buf_append_text(&text, "\n"), ENX_OK);
    }
    write_text("text.txt", enx_buf_text(&text), text.size_bytes);
    write_text("pairs.tsv", "fix all\t{\"a\":1}\nonly this\t{\"a\":2}\n", 34);
    write_text("recipe.yaml", recipe_text, strlen(recipe_text));
    enx_buf_deinit(&text);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[PATH];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static enx_recipe *read_recipe(void)
{
    char        path[PATH];
    enx_recipe *recipe = NULL;
    enx_report  report = { 0 };
    snprintf(path, sizeof path, "%s/recipe.yaml", folder);
    if (enx_recipe_open(&recipe, path, &report) != ENX_OK) fail_msg("%s", report.text);
    return recipe;
}

/* Train to the end with a stop after `stop_after` steps, then export. */
static void run(const enx_recipe *recipe, const char *name, uint32_t threads, uint32_t stop_after,
                char *out_path)
{
    char       checkpoint[PATH];
    enx_pool  *pool = NULL;
    enx_report report = { 0 };
    snprintf(checkpoint, sizeof checkpoint, "%s/%s.checkpoint", folder, name);
    snprintf(out_path, PATH, "%s/%s.gguf", folder, name);
    assert_int_equal(enx_pool_open(&pool, threads, &report), ENX_OK);
    const enx_trainer_options options = { .recipe = recipe,
                                          .data_folder = folder,
                                          .checkpoint = checkpoint,
                                          .pool = pool,
                                          .cpu_flags = enx_cpu_detect(NULL),
                                          .is_f32 = true };
    for (uint32_t part = 0; part < 2; part++) {
        enx_trainer *trainer = NULL;
        if (enx_trainer_open(&trainer, &options, &report) != ENX_OK) fail_msg("%s", report.text);
        enx_train_progress progress = { 0 };
        while (!enx_trainer_is_done(trainer) && (part == 1 || progress.step < stop_after))
            if (enx_trainer_step(trainer, &progress, &report) != ENX_OK)
                fail_msg("%s", report.text);
        assert_int_equal(enx_trainer_save(trainer, &report), ENX_OK);
        if (part == 1)
            assert_int_equal(enx_trainer_export(trainer, out_path, ENX_TENSOR_Q8_0, &report),
                             ENX_OK);
        enx_trainer_close(&trainer);
    }
    enx_pool_close(&pool);
}

/* The weights' bytes of a model file; names and records may differ. */
static void check_same_weights(const char *left, const char *right)
{
    enx_file  a = { 0 }, b = { 0 };
    enx_gguf *ga = NULL, *gb = NULL;
    assert_int_equal(enx_file_map(&a, left, NULL), ENX_OK);
    assert_int_equal(enx_file_map(&b, right, NULL), ENX_OK);
    assert_int_equal(enx_gguf_open(&ga, a.bytes, a.size_bytes, NULL), ENX_OK);
    assert_int_equal(enx_gguf_open(&gb, b.bytes, b.size_bytes, NULL), ENX_OK);
    assert_int_equal(enx_gguf_tensor_count(ga), enx_gguf_tensor_count(gb));
    assert_true(enx_gguf_tensor_count(ga) == 2 + 2 * 11);
    for (uint64_t i = 0; i < enx_gguf_tensor_count(ga); i++) {
        const enx_gguf_tensor *x = enx_gguf_tensor_at(ga, i), *y = enx_gguf_tensor_at(gb, i);
        assert_int_equal(x->size_bytes, y->size_bytes);
        assert_memory_equal(x->data, y->data, x->size_bytes);
    }
    enx_gguf_close(&ga);
    enx_gguf_close(&gb);
    enx_file_unmap(&a);
    enx_file_unmap(&b);
}

static void stops_and_threads_leave_no_trace(void **state)
{
    (void)state;
    enx_recipe *recipe = read_recipe();
    char        straight[PATH], stopped[PATH];
    run(recipe, "straight", 1, 12, straight);
    run(recipe, "stopped", 2, 5, stopped);
    check_same_weights(straight, stopped);
    enx_recipe_close(&recipe);
}

static void training_lowers_the_loss(void **state)
{
    (void)state;
    enx_recipe *recipe = read_recipe();
    enx_pool   *pool = NULL;
    char        checkpoint[PATH];
    recipe->train.steps = 60;
    snprintf(checkpoint, sizeof checkpoint, "%s/long.checkpoint", folder);
    assert_int_equal(enx_pool_open(&pool, 1, NULL), ENX_OK);
    const enx_trainer_options options = { .recipe = recipe,
                                          .data_folder = folder,
                                          .checkpoint = checkpoint,
                                          .pool = pool,
                                          .cpu_flags = enx_cpu_detect(NULL),
                                          .is_f32 = true };
    enx_trainer              *trainer = NULL;
    assert_int_equal(enx_trainer_open(&trainer, &options, NULL), ENX_OK);
    enx_train_progress progress;
    double             first = 0;
    while (!enx_trainer_is_done(trainer)) {
        assert_int_equal(enx_trainer_step(trainer, &progress, NULL), ENX_OK);
        if (progress.step == 1) first = progress.loss;
    }
    assert_true(progress.loss_smooth < 0.6 * first);
    char *record = NULL;
    assert_int_equal(enx_trainer_record(trainer, &record, NULL), ENX_OK);
    assert_non_null(strstr(record, "\"data_hash\""));
    enx_mem_free(record);
    enx_trainer_close(&trainer);
    enx_pool_close(&pool);
    enx_recipe_close(&recipe);
}

static void a_model_can_be_the_start_of_another_run(void **state)
{
    (void)state;
    enx_recipe *recipe = read_recipe();
    enx_pool   *pool = NULL;
    char        first_model[PATH], checkpoint[PATH];
    recipe->train.steps = 60;
    run(recipe, "earlier", 1, 30, first_model);
    snprintf(checkpoint, sizeof checkpoint, "%s/later.checkpoint", folder);
    assert_int_equal(enx_pool_open(&pool, 1, NULL), ENX_OK);
    enx_trainer_options options = { .recipe = recipe,
                                    .data_folder = folder,
                                    .checkpoint = checkpoint,
                                    .init = first_model,
                                    .pool = pool,
                                    .cpu_flags = enx_cpu_detect(NULL),
                                    .is_f32 = true };
    enx_trainer        *trainer = NULL;
    enx_train_progress  progress;
    enx_report          report = { 0 };
    if (enx_trainer_open(&trainer, &options, &report) != ENX_OK) fail_msg("%s", report.text);
    assert_int_equal(enx_trainer_step(trainer, &progress, NULL), ENX_OK);
    assert_true(progress.loss < 3.5); /* from chance it starts at ln 288 = 5.7 */
    enx_trainer_close(&trainer);
    recipe->model.ffn = 96; /* other sizes cannot go on */
    snprintf(checkpoint, sizeof checkpoint, "%s/other.checkpoint", folder);
    assert_int_equal(enx_trainer_open(&trainer, &options, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "ffn_gate"));
    enx_pool_close(&pool);
    enx_recipe_close(&recipe);
}

static void a_checkpoint_of_another_recipe_is_refused(void **state)
{
    (void)state;
    enx_recipe *recipe = read_recipe();
    char        path[PATH], checkpoint[PATH];
    enx_pool   *pool = NULL;
    enx_report  report = { 0 };
    run(recipe, "mine", 1, 12, path);
    recipe->seed++;
    snprintf(checkpoint, sizeof checkpoint, "%s/mine.checkpoint", folder);
    assert_int_equal(enx_pool_open(&pool, 1, NULL), ENX_OK);
    const enx_trainer_options options = {
        .recipe = recipe, .data_folder = folder, .checkpoint = checkpoint, .pool = pool
    };
    enx_trainer *trainer = NULL;
    assert_int_equal(enx_trainer_open(&trainer, &options, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "another recipe"));
    assert_null(trainer);
    enx_pool_close(&pool);
    enx_recipe_close(&recipe);
}

static void bad_recipes_are_named(void **state)
{
    (void)state;
    char        path[PATH], text[2048];
    enx_recipe *recipe = NULL;
    enx_report  report = { 0 };
    snprintf(path, sizeof path, "%s/none.yaml", folder);
    assert_int_equal(enx_recipe_open(&recipe, path, &report), ENX_NOTFOUND);
    snprintf(text, sizeof text, "%scolour: red\n", recipe_text);
    write_text("bad.yaml", text, strlen(text));
    snprintf(path, sizeof path, "%s/bad.yaml", folder);
    assert_int_equal(enx_recipe_open(&recipe, path, &report), ENX_FORMAT);
    assert_non_null(strstr(report.text, "colour"));
    assert_null(recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_and_threads_leave_no_trace),
        cmocka_unit_test(training_lowers_the_loss),
        cmocka_unit_test(a_model_can_be_the_start_of_another_run),
        cmocka_unit_test(a_checkpoint_of_another_recipe_is_refused),
        cmocka_unit_test(bad_recipes_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
