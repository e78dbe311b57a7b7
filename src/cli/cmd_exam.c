/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_exam.c - enxame exam: grade a model on text whose truth is known. */
#include "cli/cmd_exam.h"

#include "backend/exam.h"
#include "cli/cli_ability.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const help_text =
    "Usage: enxame exam MODEL ROWS.jsonl [options]\n"
    "       enxame exam MODEL.gguf... [ROWS.jsonl] [options]\n"
    "\n"
    "The second form grades models beside one another on small tasks of rising difficulty: the\n"
    "next word, brackets, copying, arithmetic, and restoring where there are rows for it.\n"
    "The first: damage each row's text at three levels (accents; capitals too; punctuation\n"
    "too), let the model repair it, and grade the answers.  Rows are JSON lines with text,\n"
    "language and domain.\n"
    "\n"
    "      --rows N           at most N rows of each domain\n"
    "      --blind            do not tell the model language and level\n"
    "      --calibrate FILE   write the model again with a calibration of its doubts, learnt from\n"
    "                         these rows (use rows that you do not grade with later)\n"
    "      --resample N       certify N populations drawn from the answers by their truth, and\n"
    "                         count false claims\n"
    "      --threads N        default: one per core\n"
    "      --json             one JSON object on stdout\n"
    "      --questions N      of each task and level, for several models (default 50)\n"
    "      --text FILE        where next words are asked from; without it that task is left out\n"
    "\n"
    "Example: enxame exam models/restore-cs.gguf jobs/restore/heldout/cs.jsonl\n";

typedef struct exam_arguments {
    const char *model, *rows, *calibrated, *text;
    const char *models[CLI_ABILITY_MODELS_MAX];
    uint32_t    model_count; /* 0: one model, restoring only */
    uint32_t    rows_max, threads, resamplings, questions;
    int         is_blind, is_json;
} exam_arguments;

static bool is_gguf(const char *path)
{
    const size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

/* MODEL ROWS, or models by their names and at most one file of rows. */
static enx_status take_operands(exam_arguments *a, int count, char **operands, enx_report *report)
{
    if (count == 2 && !is_gguf(operands[1])) {
        a->model = operands[0];
        a->rows = operands[1];
        return ENX_OK;
    }
    for (int i = 0; i < count; i++) {
        if (is_gguf(operands[i]) && a->model_count < CLI_ABILITY_MODELS_MAX)
            a->models[a->model_count++] = operands[i];
        else if (!is_gguf(operands[i]) && !a->rows) a->rows = operands[i];
        else
            return ENX_FAIL(report, INVALID, "at most %d models and one file of rows",
                            CLI_ABILITY_MODELS_MAX);
    }
    if (a->model_count == 0)
        return ENX_FAIL(report, INVALID,
                        "name a model and a file of rows, or several models; see enxame exam "
                        "--help");
    return ENX_OK;
}

static enx_status parse_arguments(exam_arguments *a, int argc, char **argv, enx_report *report)
{
    enum { ROWS = 256, CALIBRATE, RESAMPLE, THREADS, QUESTIONS, TEXT };
    const struct option options[] = { { "rows", required_argument, NULL, ROWS },
                                      { "calibrate", required_argument, NULL, CALIBRATE },
                                      { "resample", required_argument, NULL, RESAMPLE },
                                      { "threads", required_argument, NULL, THREADS },
                                      { "questions", required_argument, NULL, QUESTIONS },
                                      { "text", required_argument, NULL, TEXT },
                                      { "blind", no_argument, &a->is_blind, 1 },
                                      { "json", no_argument, &a->is_json, 1 },
                                      { 0 } };
    int                 option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) switch (option) {
        case ROWS:
            a->rows_max = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case CALIBRATE:
            a->calibrated = optarg;
            break;
        case RESAMPLE:
            a->resamplings = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case THREADS:
            a->threads = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case QUESTIONS:
            a->questions = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case TEXT:
            a->text = optarg;
            break;
        case '?':
            return ENX_FAIL(report, INVALID, "see enxame exam --help");
        default:
            break;
        }
    return take_operands(a, argc - optind, argv + optind, report);
}

static void print_table(const enx_exam *exam)
{
    printf("%-10s %-6s %6s %8s %8s %8s\n", "domain", "level", "texts", "words", "exact",
           "marks F1");
    for (uint32_t d = 0; d < exam->domain_count; d++)
        for (int level = 1; level < ENX_EXAM_LEVELS; level++) {
            const enx_score *s = &exam->scores[d][level];
            printf("%-10s L%-5d %6llu %8.4f %8.4f %8.4f\n", exam->domains[d], level,
                   (unsigned long long)s->texts, enx_score_word_accuracy(s), enx_score_exact(s),
                   enx_score_punctuation_f1(s));
        }
    const double seconds = (double)exam->elapsed_us * 1e-6;
    fprintf(stderr, "%llu tokens in, %llu out, %.1f s, %.0f tokens/s; %llu answers failed\n",
            (unsigned long long)exam->tokens_in, (unsigned long long)exam->tokens_out, seconds,
            (double)(exam->tokens_in + exam->tokens_out) / seconds,
            (unsigned long long)exam->broken);
    for (int level = 1; level < ENX_EXAM_LEVELS; level++)
        fprintf(stderr, "doubts at L%d: Brier score %.4f\n", level, exam->brier[level]);
}

static void print_resampling(const enx_resampling *r, int level)
{
    fprintf(stderr,
            "certificates at L%d: %u of %u populations certified, mean claim %.3f (true %.3f), %u "
            "false "
            "(%.1f %%, promised at most %.0f %%)\n",
            level, r->certified, r->rounds, r->mean_alpha, r->mean_rate, r->violations,
            100.0 * r->violations / r->rounds, 100 * r->delta);
}

static void print_json(const enx_exam *exam)
{
    json_t *root = json_object(), *rows = json_array();
    for (uint32_t d = 0; d < exam->domain_count; d++)
        for (int level = 1; level < ENX_EXAM_LEVELS; level++) {
            const enx_score *s = &exam->scores[d][level];
            json_t          *row = json_object();
            json_object_set_new(row, "domain", json_string(exam->domains[d]));
            json_object_set_new(row, "level", json_integer(level));
            json_object_set_new(row, "texts", json_integer((json_int_t)s->texts));
            json_object_set_new(row, "word_accuracy", json_real(enx_score_word_accuracy(s)));
            json_object_set_new(row, "exact", json_real(enx_score_exact(s)));
            json_object_set_new(row, "punctuation_f1", json_real(enx_score_punctuation_f1(s)));
            json_array_append_new(rows, row);
        }
    json_object_set_new(root, "scores", rows);
    json_object_set_new(root, "tokens_in", json_integer((json_int_t)exam->tokens_in));
    json_object_set_new(root, "tokens_out", json_integer((json_int_t)exam->tokens_out));
    json_object_set_new(root, "seconds", json_real((double)exam->elapsed_us * 1e-6));
    json_object_set_new(root, "failed", json_integer((json_int_t)exam->broken));
    json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(root);
}

static enx_status examine(const exam_arguments *a, enx_report *report)
{
    enx_skill skill = { 0 };
    enx_pool *pool = NULL;
    enx_exam  exam;
    ENX_TRY(enx_skill_open(&skill, a->model, report));
    enx_status status = enx_pool_open(&pool, a->threads, report);
    if (status == ENX_OK) {
        const enx_exam_options options = { .skill = &skill,
                                           .rows_path = a->rows,
                                           .rows_max = a->rows_max,
                                           .resamplings = a->resamplings,
                                           .is_blind = a->is_blind != 0,
                                           .pool = pool,
                                           .cpu = getenv("ENX_CPU") };
        status = enx_exam_run(&exam, &options, report);
    }
    if (status == ENX_OK && a->calibrated)
        status = enx_exam_write_calibration(&exam, &skill, a->calibrated, report);
    for (int level = 1; status == ENX_OK && a->resamplings && level < ENX_EXAM_LEVELS; level++)
        print_resampling(&exam.resampling[level], level);
    if (status == ENX_OK && a->is_json) print_json(&exam);
    if (status == ENX_OK && !a->is_json) print_table(&exam);
    enx_pool_close(&pool);
    enx_skill_close(&skill);
    return status;
}

static enx_status compare(const exam_arguments *a, enx_report *report)
{
    const cli_ability_options options = { .models = a->models,
                                          .model_count = a->model_count,
                                          .rows = a->rows,
                                          .rows_max = a->rows_max,
                                          .text = a->text,
                                          .questions = a->questions,
                                          .threads = a->threads,
                                          .is_json = a->is_json != 0 };
    return cli_ability_print(&options, report);
}

int cmd_exam(int argc, char **argv)
{
    exam_arguments a = { .questions = 50 };
    enx_report     report = { 0 };
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help_text, stdout);
            return 0;
        }
    enx_status status = parse_arguments(&a, argc, argv, &report);
    if (status == ENX_OK) status = a.model_count ? compare(&a, &report) : examine(&a, &report);
    if (status != ENX_OK) fprintf(stderr, "enxame exam: %s\n", report.text);
    return enx_status_exit_code(status);
}
