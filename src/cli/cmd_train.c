/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_train.c - enxame train: from a recipe to a model. */
#include "cli/cmd_train.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commit.h"
#include "kernels/cpu.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "train/climb_run.h"
#include "train/train_loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_state {
    const char *data, *out, *checkpoint, *init, *ladder, *type_name;
    uint64_t    threads, rungs;
    bool        is_f32, is_export_only, is_plan;

    enx_tensor_type type;
    json_t         *result;
} train_state;

static enx_status parse_type(const char *text, enx_tensor_type *out, enx_report *report)
{
    static const struct {
        const char     *name;
        enx_tensor_type type;
    } types[] = { { "q8_0", ENX_TENSOR_Q8_0 },
                  { "f16", ENX_TENSOR_F16 },
                  { "f32", ENX_TENSOR_F32 } };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].name) == 0) {
            *out = types[i].type;
            return ENX_OK;
        }
    return ENX_FAIL(report, INVALID, "--type %.40s: use q8_0, f16 or f32", text);
}

static enx_status check_options(train_state *s, const cli_args *args, enx_report *report)
{
    const size_t recipes = args->operands.count;
    ENX_TRY(parse_type(s->type_name, &s->type, report));
    if (s->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (s->rungs > ENX_CLIMB_RUNGS_MAX)
        return ENX_FAIL(report, INVALID, "--rungs: at most %d", ENX_CLIMB_RUNGS_MAX);
    if (s->is_plan && s->ladder) return ENX_OK;
    if (!s->data)
        return ENX_FAIL(report, INVALID, "--data DIR is missing: where the text files are");
    if (s->ladder && (!s->out || recipes))
        return ENX_FAIL(report, INVALID, "--ladder takes no recipe, and a folder by -o DIR");
    if (!s->ladder && recipes != 1)
        return ENX_FAIL(report, INVALID, "name one recipe; see enxame train --help");
    return ENX_OK;
}

static void print_progress(const char *run, const enx_train_progress *p)
{
    const uint64_t left = (uint64_t)p->seconds_left;
    fprintf(stderr,
            "%sstep %u/%u  loss %.4f  %.4f bits/byte  norm %.2f  rate %.2e  %.0f tokens/s  "
            "left %lluh%02llum\n",
            run, p->step, p->steps, p->loss_smooth, p->bits_per_byte, p->gradient_norm,
            p->learning_rate, p->tokens_per_s, (unsigned long long)(left / 3600),
            (unsigned long long)(left / 60 % 60));
}

static enx_status run_steps(enx_trainer *trainer, enx_report *report)
{
    uint64_t shown_us = 0;
    while (!enx_trainer_is_done(trainer) && !cli_is_interrupted()) {
        enx_train_progress progress;
        ENX_TRY(enx_trainer_step(trainer, &progress, report));
        const uint64_t now_us = enx_clock_monotonic_us();
        if (now_us - shown_us > 10 * UINT64_C(1000000) || enx_trainer_is_done(trainer)) {
            print_progress("", &progress);
            shown_us = now_us;
        }
        if (enx_trainer_wants_save(trainer)) ENX_TRY(enx_trainer_save(trainer, report));
    }
    return enx_trainer_save(trainer, report);
}

/* model.gguf: model.json; other names get .json at their end. */
static void name_record(char *path, size_t size_bytes, const char *model)
{
    const size_t length = strlen(model);
    const bool   is_gguf = length > 5 && strcmp(model + length - 5, ".gguf") == 0;
    snprintf(path, size_bytes, "%.*s.json", (int)(is_gguf ? length - 5 : length), model);
}

static enx_status finish(enx_trainer *trainer, train_state *s, const char *out, enx_report *report)
{
    if (!enx_trainer_is_done(trainer) && !s->is_export_only)
        return ENX_FAIL(report, CANCELED, "stopped; the same command goes on from the checkpoint");
    char *record = NULL;
    ENX_TRY(enx_trainer_export(trainer, out, s->type, report));
    ENX_TRY(enx_trainer_record(trainer, &record, report));
    char record_path[4200];
    name_record(record_path, sizeof record_path, out);
    const enx_status status = enx_file_write(record_path, record, strlen(record), report);
    if (status == ENX_OK)
        fprintf(stderr, "wrote %s (%.2f M parameters) and %s\n", out,
                (double)enx_trainer_param_count(trainer) * 1e-6, record_path);
    s->result = json_loads(record, 0, NULL);
    enx_mem_free(record);
    return status;
}

static enx_status train(train_state *s, const char *recipe_path, enx_report *report)
{
    enx_recipe  *recipe = NULL;
    enx_pool    *pool = NULL;
    enx_trainer *trainer = NULL;
    char         out[4096], checkpoint[4200];
    ENX_TRY(enx_recipe_open(&recipe, recipe_path, report));
    snprintf(out, sizeof out, "%s%s", s->out ? s->out : recipe->name, s->out ? "" : ".gguf");
    snprintf(checkpoint, sizeof checkpoint, "%s%s", s->checkpoint ? s->checkpoint : out,
             s->checkpoint ? "" : ".checkpoint");
    enx_status status = enx_pool_open(&pool, (uint32_t)s->threads, report);
    if (status == ENX_OK) {
        const enx_trainer_options options = { .recipe = recipe,
                                              .data_folder = s->data,
                                              .checkpoint = checkpoint,
                                              .init = s->init,
                                              .commit = ENX_COMMIT,
                                              .pool = pool,
                                              .cpu_flags = enx_cpu_detect(getenv("ENX_CPU")),
                                              .is_f32 = s->is_f32 };
        status = enx_trainer_open(&trainer, &options, report);
    }
    if (status == ENX_OK && !s->is_export_only) status = run_steps(trainer, report);
    if (status == ENX_OK) status = finish(trainer, s, out, report);
    enx_trainer_close(&trainer);
    enx_pool_close(&pool);
    enx_recipe_close(&recipe);
    return status;
}

/* ---- A ladder -------------------------------------------------------------------------------- */

/* A line every ten seconds, and one at the end of each run. */
static bool show_climb(void *user, const enx_climb_progress *p)
{
    uint64_t      *shown_us = user;
    const uint64_t now_us = enx_clock_monotonic_us();
    char           run[96];
    if (now_us - *shown_us > 10 * UINT64_C(1000000) || p->step.step == p->step.steps) {
        snprintf(run, sizeof run, "%u/%u %s  ", p->run_index + 1, p->run_count, p->run);
        print_progress(run, &p->step);
        *shown_us = now_us;
    }
    return !cli_is_interrupted();
}

static enx_status plan(train_state *s, const enx_climb *climb, enx_report *report)
{
    static enx_climb_trunk trunks[ENX_CLIMB_TRUNKS_MAX];
    const uint32_t         rungs = s->rungs ? (uint32_t)s->rungs : climb->rungs_count;
    uint32_t               count;
    ENX_TRY(enx_climb_plan(climb, rungs, trunks, &count, report));
    json_t *runs = json_array();
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t b = 0; b < trunks[i].branch_count; b++) {
            const enx_climb_branch *branch = &trunks[i].branches[b];
            const uint64_t          tokens =
                (uint64_t)branch->steps * climb->rungs[trunks[i].rung].step_tokens;
            char name[ENX_CLIMB_NAME_BYTES_MAX];
            enx_climb_name(name, climb, &trunks[i], branch);
            json_array_append_new(runs,
                                  json_pack("{s:s, s:s, s:I, s:I, s:f, s:i}", "name", name,
                                            "purpose", trunks[i].is_law ? "law" : "sweep", "N",
                                            (json_int_t)trunks[i].params, "D", (json_int_t)tokens,
                                            "C", enx_climb_flops(climb, &trunks[i], branch),
                                            "steps", (int)branch->steps));
        }
    s->result = json_pack("{s:o}", "plan", runs);
    return ENX_OK;
}

static enx_status climb(train_state *s, const enx_climb *ladder, enx_report *report)
{
    enx_pool  *pool = NULL;
    uint64_t   shown_us = 0;
    enx_status status = enx_pool_open(&pool, (uint32_t)s->threads, report);
    if (status == ENX_OK) {
        const enx_climb_options options = { .climb = ladder,
                                            .data_folder = s->data,
                                            .out_folder = s->out,
                                            .commit = ENX_COMMIT,
                                            .rung_count = (uint32_t)s->rungs,
                                            .pool = pool,
                                            .cpu_flags = enx_cpu_detect(getenv("ENX_CPU")),
                                            .is_f32 = s->is_f32,
                                            .on_step = show_climb,
                                            .user = &shown_us };
        status = enx_climb_run(&options, report);
    }
    if (status == ENX_OK) {
        char path[CLI_PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/runs.csv", s->out);
        fprintf(stderr, "wrote %s\n", path);
        s->result = json_pack("{s:o}", "runs", cli_json_text(path, strlen(path)));
    }
    enx_pool_close(&pool);
    return status;
}

static enx_status train_ladder(train_state *s, enx_report *report)
{
    enx_climb *ladder = NULL;
    ENX_TRY(enx_climb_open(&ladder, s->ladder, report));
    const enx_status status = s->is_plan ? plan(s, ladder, report) : climb(s, ladder, report);
    enx_climb_close(&ladder);
    return status;
}

/* ---- The command ---------------------------------------------------------------------------- */

static enx_status run(void *user, const cli_args *args, enx_report *report)
{
    train_state *s = user;
    ENX_TRY(check_options(s, args, report));
    cli_catch_interrupts();
    return s->ladder ? train_ladder(s, report) : train(s, args->operands.items[0], report);
}

static void print_json(const void *user)
{
    const train_state *s = user;
    cli_print_json(json_incref(s->result));
}

/* Of a model the files are the result; they are named on stderr. */
static void print_text(const void *user)
{
    const train_state *s = user;
    size_t             i;
    json_t            *one;
    if (!s->is_plan) return;
    printf("%-20s %-6s %10s %12s %10s %8s\n", "run", "for", "N", "D", "C", "steps");
    json_array_foreach (json_object_get(s->result, "plan"), i, one)
        printf("%-20s %-6s %10lld %12lld %10.4g %8lld\n",
               json_string_value(json_object_get(one, "name")),
               json_string_value(json_object_get(one, "purpose")),
               (long long)json_integer_value(json_object_get(one, "N")),
               (long long)json_integer_value(json_object_get(one, "D")),
               json_real_value(json_object_get(one, "C")),
               (long long)json_integer_value(json_object_get(one, "steps")));
}

static void close_all(void *user)
{
    train_state *s = user;
    json_decref(s->result);
}

static const cli_steps steps = { "train", run, print_json, print_text, close_all };

int cmd_train(int argc, char **argv)
{
    train_state      s = { .type_name = "q8_0" };
    const cli_option list[] = {
        { "data", '\0', CLI_TEXT, (void *)&s.data, "DIR", "folder of the recipe's text files" },
        { "out", 'o', CLI_TEXT, (void *)&s.out, "FILE",
          "the model (default: the recipe's name + .gguf); the record of the run is written beside "
          "it, with .json in place of .gguf" },
        { "type", '\0', CLI_TEXT, (void *)&s.type_name, "TYPE",
          "weights of the model: q8_0 (default), f16, f32" },
        { "init", '\0', CLI_TEXT, (void *)&s.init, "MODEL",
          "start from this model's weights and tokenizer" },
        { "checkpoint", '\0', CLI_TEXT, (void *)&s.checkpoint, "FILE",
          "default: FILE of --out + .checkpoint" },
        { "threads", '\0', CLI_UINT, &s.threads, "N",
          "default: one per core; the result does not depend on it" },
        { "f32", '\0', CLI_FLAG, &s.is_f32, NULL, "f32 products even where bf16 is faster" },
        { "export-only", '\0', CLI_FLAG, &s.is_export_only, NULL,
          "write the model from the checkpoint as it is" },
        { "ladder", '\0', CLI_TEXT, (void *)&s.ladder, "FILE",
          "train models of rising size, and write their losses to DIR/runs.csv of -o DIR, for "
          "`enxame scale`; it goes on where it was stopped or killed" },
        { "rungs", '\0', CLI_UINT, &s.rungs, "N", "only the first N rungs of the ladder" },
        { "plan", '\0', CLI_FLAG, &s.is_plan, NULL,
          "say what would be trained, with N, D and compute, and train nothing" },
    };
    const cli_spec spec = {
        "train (RECIPE.yaml | --ladder LADDER.yaml) --data DIR [options]",
        "Make a model: text, tokenizer, training, GGUF.  Stop it with Ctrl-C at "
        "any time; the same command goes on from the checkpoint with the very "
        "numbers it would have had.",
        "enxame train models/recipes/pt_BR.yaml --data corpus/train -o pt_BR.gguf",
        list,
        sizeof list / sizeof *list,
        0,
        1
    };
    return cli_run(&spec, &steps, &s, argc, argv);
}
