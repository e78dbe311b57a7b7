/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_train.c - enxame train: from a recipe to a model. */
#include "cli/cmd_train.h"

#include "base/mem.h"
#include "cli/commit.h"
#include "kernels/cpu.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "train/climb_run.h"
#include "train/train_loop.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const help_text =
    "Usage: enxame train RECIPE.yaml --data DIR [options]\n"
    "       enxame train --ladder LADDER.yaml --data DIR -o DIR [options]\n"
    "\n"
    "Make a model: text, tokenizer, training, GGUF.  Stop it with Ctrl-C at any time; the same\n"
    "command goes on from the checkpoint with the very numbers it would have had.\n"
    "\n"
    "      --data DIR         folder of the recipe's text files\n"
    "  -o, --out FILE         the model (default: the recipe's name + .gguf); the record of the\n"
    "                         run is written beside it, with .json in place of .gguf\n"
    "      --type TYPE        weights of the model: q8_0 (default), f16, f32\n"
    "      --init MODEL       start from this model's weights and tokenizer\n"
    "      --checkpoint FILE  default: FILE of --out + .checkpoint\n"
    "      --threads N        default: one per core; the result does not depend on it\n"
    "      --f32              f32 products even where bf16 is faster\n"
    "      --export-only      write the model from the checkpoint as it is\n"
    "      --json             print the record of the run on stdout\n"
    "\n"
    "      --ladder FILE      train models of rising size, and write their losses to "
    "DIR/runs.csv,\n"
    "                         for `enxame scale`; it goes on where it was stopped or killed\n"
    "      --rungs N          only the first N rungs of the ladder\n"
    "      --plan             say what would be trained, with N, D and compute, and train nothing\n"
    "\n"
    "Example: enxame train models/recipes/pt_BR.yaml --data corpus/train -o pt_BR.gguf\n";

typedef struct train_arguments {
    const char     *recipe, *data, *out, *checkpoint, *init, *ladder;
    enx_tensor_type type;
    uint32_t        threads, rungs;
    int             is_f32, is_json, is_export_only, is_plan;
} train_arguments;

static volatile sig_atomic_t stop_requested;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    stop_requested = 1;
}

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
    return ENX_FAIL(report, INVALID, "--type %s: use q8_0, f16 or f32", text);
}

static enx_status parse_arguments(train_arguments *a, int argc, char **argv, enx_report *report)
{
    enum { DATA = 256, TYPE, CHECKPOINT, INIT, THREADS, LADDER, RUNGS };
    const struct option options[] = { { "data", required_argument, NULL, DATA },
                                      { "out", required_argument, NULL, 'o' },
                                      { "type", required_argument, NULL, TYPE },
                                      { "checkpoint", required_argument, NULL, CHECKPOINT },
                                      { "init", required_argument, NULL, INIT },
                                      { "threads", required_argument, NULL, THREADS },
                                      { "ladder", required_argument, NULL, LADDER },
                                      { "rungs", required_argument, NULL, RUNGS },
                                      { "f32", no_argument, &a->is_f32, 1 },
                                      { "plan", no_argument, &a->is_plan, 1 },
                                      { "json", no_argument, &a->is_json, 1 },
                                      { "export-only", no_argument, &a->is_export_only, 1 },
                                      { 0 } };
    int                 option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1) switch (option) {
        case DATA:
            a->data = optarg;
            break;
        case 'o':
            a->out = optarg;
            break;
        case CHECKPOINT:
            a->checkpoint = optarg;
            break;
        case INIT:
            a->init = optarg;
            break;
        case THREADS:
            a->threads = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case LADDER:
            a->ladder = optarg;
            break;
        case RUNGS:
            a->rungs = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case TYPE:
            ENX_TRY(parse_type(optarg, &a->type, report));
            break;
        case '?':
            return ENX_FAIL(report, INVALID, "see enxame train --help");
        default:
            break;
        }
    if (a->is_plan && a->ladder) return ENX_OK;
    if (!a->data)
        return ENX_FAIL(report, INVALID, "--data DIR is missing: where the text files are");
    if (a->ladder && (!a->out || optind != argc))
        return ENX_FAIL(report, INVALID, "--ladder takes no recipe, and a folder by -o DIR");
    if (a->ladder) return ENX_OK;
    if (optind + 1 != argc)
        return ENX_FAIL(report, INVALID, "name one recipe; see enxame train --help");
    a->recipe = argv[optind];
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
    while (!enx_trainer_is_done(trainer) && !stop_requested) {
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

static enx_status finish(enx_trainer *trainer, const train_arguments *a, const char *out,
                         enx_report *report)
{
    if (!enx_trainer_is_done(trainer) && !a->is_export_only)
        return ENX_FAIL(report, CANCELED, "stopped; the same command goes on from the checkpoint");
    char *record = NULL;
    ENX_TRY(enx_trainer_export(trainer, out, a->type, report));
    ENX_TRY(enx_trainer_record(trainer, &record, report));
    char record_path[4200];
    name_record(record_path, sizeof record_path, out);
    const enx_status status = enx_file_write(record_path, record, strlen(record), report);
    if (status == ENX_OK)
        fprintf(stderr, "wrote %s (%.2f M parameters) and %s\n", out,
                (double)enx_trainer_param_count(trainer) * 1e-6, record_path);
    if (status == ENX_OK && a->is_json) puts(record);
    enx_mem_free(record);
    return status;
}

static enx_status train(const train_arguments *a, enx_report *report)
{
    enx_recipe  *recipe = NULL;
    enx_pool    *pool = NULL;
    enx_trainer *trainer = NULL;
    char         out[4096], checkpoint[4200];
    ENX_TRY(enx_recipe_open(&recipe, a->recipe, report));
    snprintf(out, sizeof out, "%s%s", a->out ? a->out : recipe->name, a->out ? "" : ".gguf");
    snprintf(checkpoint, sizeof checkpoint, "%s%s", a->checkpoint ? a->checkpoint : out,
             a->checkpoint ? "" : ".checkpoint");
    enx_status status = enx_pool_open(&pool, a->threads, report);
    if (status == ENX_OK) {
        const enx_trainer_options options = { .recipe = recipe,
                                              .data_folder = a->data,
                                              .checkpoint = checkpoint,
                                              .init = a->init,
                                              .commit = ENX_COMMIT,
                                              .pool = pool,
                                              .cpu_flags = enx_cpu_detect(getenv("ENX_CPU")),
                                              .is_f32 = a->is_f32 };
        status = enx_trainer_open(&trainer, &options, report);
    }
    if (status == ENX_OK && !a->is_export_only) status = run_steps(trainer, report);
    if (status == ENX_OK) status = finish(trainer, a, out, report);
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
    return !stop_requested;
}

static enx_status print_plan(const enx_climb *climb, uint32_t rungs, enx_report *report)
{
    static enx_climb_trunk trunks[ENX_CLIMB_TRUNKS_MAX];
    uint32_t               count;
    ENX_TRY(enx_climb_plan(climb, rungs ? rungs : climb->rungs_count, trunks, &count, report));
    printf("%-20s %-6s %10s %12s %10s %8s\n", "run", "for", "N", "D", "C", "steps");
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t b = 0; b < trunks[i].branch_count; b++) {
            const enx_climb_branch *branch = &trunks[i].branches[b];
            char                    name[ENX_CLIMB_NAME_BYTES_MAX];
            enx_climb_name(name, climb, &trunks[i], branch);
            printf("%-20s %-6s %10llu %12llu %10.4g %8u\n", name,
                   trunks[i].is_law ? "law" : "sweep", (unsigned long long)trunks[i].params,
                   (unsigned long long)branch->steps * climb->rungs[trunks[i].rung].step_tokens,
                   enx_climb_flops(climb, &trunks[i], branch), branch->steps);
        }
    return ENX_OK;
}

static enx_status climb(const train_arguments *a, const enx_climb *ladder, enx_report *report)
{
    enx_pool  *pool = NULL;
    uint64_t   shown_us = 0;
    enx_status status = enx_pool_open(&pool, a->threads, report);
    if (status == ENX_OK) {
        const enx_climb_options options = { .climb = ladder,
                                            .data_folder = a->data,
                                            .out_folder = a->out,
                                            .commit = ENX_COMMIT,
                                            .rung_count = a->rungs,
                                            .pool = pool,
                                            .cpu_flags = enx_cpu_detect(getenv("ENX_CPU")),
                                            .is_f32 = a->is_f32,
                                            .on_step = show_climb,
                                            .user = &shown_us };
        status = enx_climb_run(&options, report);
    }
    if (status == ENX_OK) fprintf(stderr, "wrote %s/runs.csv\n", a->out);
    enx_pool_close(&pool);
    return status;
}

static enx_status train_ladder(const train_arguments *a, enx_report *report)
{
    enx_climb *ladder = NULL;
    ENX_TRY(enx_climb_open(&ladder, a->ladder, report));
    const enx_status status =
        a->is_plan ? print_plan(ladder, a->rungs, report) : climb(a, ladder, report);
    enx_climb_close(&ladder);
    return status;
}

int cmd_train(int argc, char **argv)
{
    train_arguments a = { .type = ENX_TENSOR_Q8_0 };
    enx_report      report = { 0 };
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help_text, stdout);
            return 0;
        }
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    enx_status status = parse_arguments(&a, argc, argv, &report);
    if (status == ENX_OK) status = a.ladder ? train_ladder(&a, &report) : train(&a, &report);
    if (status != ENX_OK) fprintf(stderr, "enxame train: %s\n", report.text);
    return enx_status_exit_code(status);
}
