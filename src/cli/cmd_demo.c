/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_demo.c - enxame demo: real paragraphs, damaged, repaired three ways, and compared.
 *
 * The same paragraphs go through workers alone, the lead alone and the swarm; since the truth is
 * known, the table says what each got right, what it cost and how long it took.
 */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/cli_bill.h"
#include "cli/cli_job.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "text/damage.h"
#include "text/score.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEMO_LANGUAGES_MAX = 64,
    DEMO_ITEMS_MAX = 1 << 16,
    DEMO_SAMPLES = 12,
    DEMO_ROWS_BYTES_MAX = 1 << 26,
    DEMO_LABELS = 20,
    DEMO_MODES = 3,
};

static const char *const demo_goal = "put the accents, capitals and punctuation back";

typedef struct demo_item {
    json_t     *row; /* owned reference: id, text */
    const char *truth;
    size_t      truth_bytes;
    char       *damaged; /* owned */
    size_t      damaged_bytes;
    int         level;
} demo_item;

typedef struct demo_result {
    enx_score score;
    uint64_t  cost_usd_nano, fixed_usd_nano;
    double    seconds;
    uint32_t  escalated;
    json_t   *bill, *certificate;
} demo_result;

typedef struct demo {
    demo_item  *items;
    uint32_t    item_count;
    uint32_t    language_count;
    enx_span   *spans;
    char      **answers; /* of the swarm, owned; for the samples */
    enx_score   baseline;
    demo_result results[DEMO_MODES];
} demo;

static const char *const mode_names[DEMO_MODES] = { "workers", "lead", "swarm" };

/* ---- Paragraphs ------------------------------------------------------------------------------ */

/* Call `take` for each JSON object of the file's lines; it borrows the row. */
typedef enx_status (*row_fn)(demo *d, void *user, json_t *row, enx_report *report);
static enx_status each_row(demo *d, const char *path, row_fn take, void *user, enx_report *report)
{
    enx_buf text;
    enx_buf_init(&text, DEMO_ROWS_BYTES_MAX);
    enx_status  status = enx_file_read(&text, path, report);
    const char *at = enx_buf_text(&text), *end = at + text.size_bytes;
    for (size_t number = 1; status == ENX_OK && at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        json_t *row = stop > at ? json_loadb(at, (size_t)(stop - at), 0, NULL) : NULL;
        if (!row && stop > at)
            status = ENX_FAIL(report, FORMAT, "%s:%zu: not a JSON object", path, number);
        if (row) status = take(d, user, row, report);
        json_decref(row);
        at = stop + 1;
    }
    enx_buf_deinit(&text);
    return status;
}

typedef struct quota {
    uint32_t per_domain, tech, story;
} quota;

static enx_status take_paragraph(demo *d, void *user, json_t *row, enx_report *report)
{
    quota      *q = user;
    const char *domain = json_string_value(json_object_get(row, "domain"));
    const char *text = json_string_value(json_object_get(row, "text"));
    uint32_t   *count = domain && strcmp(domain, "tech") == 0    ? &q->tech
                        : domain && strcmp(domain, "story") == 0 ? &q->story
                                                                 : NULL;
    if (!count || !text || *count >= q->per_domain) return ENX_OK;
    if (d->item_count == DEMO_ITEMS_MAX)
        return ENX_FAIL(report, LIMIT, "more than %d paragraphs", DEMO_ITEMS_MAX);
    demo_item *item = &d->items[d->item_count];
    *item = (demo_item){ .row = json_incref(row),
                         .truth = text,
                         .truth_bytes = strlen(text),
                         .level = (int)(d->item_count % 3) + 1 };
    enx_buf damaged;
    enx_buf_init(&damaged, DEMO_ROWS_BYTES_MAX);
    const enx_status status =
        enx_damage(&damaged, item->truth, item->truth_bytes, item->level, report);
    item->damaged_bytes = damaged.size_bytes;
    item->damaged = enx_buf_take(&damaged);
    ++*count;
    d->item_count++;
    return status;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The names of folder's .jsonl files in order; owned by the caller. */
static enx_status list_languages(const char *folder, char *names[DEMO_LANGUAGES_MAX],
                                 uint32_t *count, enx_report *report)
{
    DIR *directory = opendir(folder);
    if (!directory)
        return ENX_FAIL(report, NOTFOUND,
                        "%s cannot be read; name the job's folder by --folder jobs/restore",
                        folder);
    for (struct dirent *entry; (entry = readdir(directory)) && *count < DEMO_LANGUAGES_MAX;) {
        const size_t size = strlen(entry->d_name);
        if (size < 7 || strcmp(entry->d_name + size - 6, ".jsonl") != 0) continue;
        char *name = enx_mem_new(1, size + 1);
        if (!name) break;
        memcpy(name, entry->d_name, size);
        names[(*count)++] = name;
    }
    closedir(directory);
    qsort(names, *count, sizeof *names, compare_names);
    return ENX_OK;
}

/* The item that a baseline's answer belongs to, if it was drawn at that level. */
static enx_status take_baseline(demo *d, void *user, json_t *row, enx_report *report)
{
    (void)user, (void)report;
    const char *id = json_string_value(json_object_get(row, "id"));
    const char *kind = json_string_value(json_object_get(row, "baseline"));
    const char *answer = json_string_value(json_object_get(row, "answer"));
    if (!id || !kind || !answer || strcmp(kind, "9gram") != 0) return ENX_OK;
    for (uint32_t i = 0; i < d->item_count; i++) {
        const demo_item *item = &d->items[i];
        if (item->level != json_integer_value(json_object_get(row, "level"))) continue;
        if (strcmp(json_string_value(json_object_get(item->row, "id")), id) != 0) continue;
        enx_score_add(&d->baseline, answer, strlen(answer), item->truth, item->truth_bytes);
        break;
    }
    return ENX_OK;
}

static enx_status read_all(demo *d, const char *folder, uint32_t per_language, enx_report *report)
{
    char    *names[DEMO_LANGUAGES_MAX] = { 0 };
    char     path[2 * CLI_PATH_BYTES_MAX];
    uint32_t count = 0;
    snprintf(path, sizeof path, "%s/heldout", folder);
    enx_status status = list_languages(path, names, &count, report);
    d->items = ENX_MEM_NEW(demo_item, DEMO_ITEMS_MAX);
    if (status == ENX_OK && !d->items) status = ENX_FAIL(report, NOMEM, "no memory");
    for (uint32_t i = 0; status == ENX_OK && i < count; i++) {
        quota          q = { .per_domain = per_language / 2 };
        const uint32_t before = d->item_count;
        snprintf(path, sizeof path, "%s/heldout/%s", folder, names[i]);
        status = each_row(d, path, take_paragraph, &q, report);
        d->language_count += d->item_count > before;
    }
    for (uint32_t i = 0; status == ENX_OK && i < count; i++) {
        snprintf(path, sizeof path, "%s/baseline/%s", folder, names[i]);
        if (enx_file_exists(path)) status = each_row(d, path, take_baseline, NULL, report);
    }
    for (uint32_t i = 0; i < count; i++) enx_mem_free(names[i]);
    if (status == ENX_OK && d->item_count == 0)
        return ENX_FAIL(report, NOTFOUND, "%s/heldout holds no paragraphs", folder);
    return status;
}

/* ---- Three runs ------------------------------------------------------------------------------ */

static enx_status collect(demo *d, cli_job *job, uint32_t mode, enx_report *report)
{
    demo_result *r = &d->results[mode];
    for (uint32_t i = 0; i < d->item_count; i++) {
        const enx_swarm_answer a = enx_swarm_result(job->swarm, i);
        enx_score_add(&r->score, a.answer.text, a.answer.size_bytes, d->items[i].truth,
                      d->items[i].truth_bytes);
        if (mode + 1 < DEMO_MODES) continue;
        d->answers[i] = enx_mem_new(1, a.answer.size_bytes + 1);
        if (!d->answers[i]) return ENX_FAIL(report, NOMEM, "no memory for the answers");
        memcpy(d->answers[i], a.answer.text, a.answer.size_bytes);
    }
    const enx_swarm_summary summary = enx_swarm_summary_get(job->swarm);
    r->escalated = summary.escalated;
    r->seconds = job->seconds;
    r->certificate = cli_certificate_json(summary.has_certificate, &summary.certificate);
    ENX_TRY(cli_bill_json(job->store, job->id, &r->bill, report));
    if (mode + 1 == DEMO_MODES) {
        cli_certificate_print(stdout, summary.has_certificate, &summary.certificate);
        cli_bill_print(stdout, r->bill);
    }
    return ENX_OK;
}

static enx_status run_mode(demo *d, uint32_t mode, const char *swarm, uint64_t threads,
                           enx_report *report)
{
    cli_job_settings settings = { .command = "demo",
                                  .is_fresh = true, /* each mode pays for itself */
                                  .goal = demo_goal,
                                  .mode = mode_names[mode],
                                  .confidence = 0.95,
                                  .threads = threads,
                                  .seed = 1 };
    cli_job         *job = NULL;
    if (mode + 1 == DEMO_MODES) settings.labels = DEMO_LABELS;
    ENX_TRY(cli_job_check(&settings, swarm, report));
    fprintf(stderr, "\n== %s%s\n", mode_names[mode], mode + 1 < DEMO_MODES ? " alone" : "");
    enx_status status = cli_job_open(&job, &settings, 0, "", NULL, 0, false, report);
    if (status == ENX_OK) status = cli_job_run(job, &settings, d->spans, d->item_count, report);
    if (status == ENX_OK) status = cli_job_end(job, report);
    if (status == ENX_OK) status = collect(d, job, mode, report);
    if (status == ENX_OK) status = enx_store_job_set_delivered(job->store, job->id, report);
    cli_job_close(&job);
    return status;
}

/* ---- What a stranger sees ----------------------------------------------------------------------
 */

static void print_samples(const demo *d)
{
    const uint32_t step = d->item_count / DEMO_SAMPLES ? d->item_count / DEMO_SAMPLES : 1;
    printf("\nSamples (L1 lost its accents, L2 its capitals too, L3 its punctuation too)\n");
    for (uint32_t n = 0, i = step / 2; n < DEMO_SAMPLES && i < d->item_count; n++, i += step) {
        const demo_item *item = &d->items[i];
        const bool       is_right = strcmp(d->answers[i], item->truth) == 0;
        printf("\n  %s L%d\n    in   %s\n    out  %s\n",
               json_string_value(json_object_get(item->row, "language")), item->level,
               item->damaged, d->answers[i]);
        if (!is_right) printf("    true %s\n", item->truth);
    }
}

static double bill_usd(const demo_result *r, const char *key)
{
    return json_number_value(json_object_get(r->bill, key));
}

static void print_table(const demo *d)
{
    static const char *const labels[DEMO_MODES] = { "workers alone", "lead alone", "swarm" };
    printf("\n%u paragraphs, %u languages      words right  paragraphs exact  marks F1        cost"
           "     time\n",
           d->item_count, d->language_count);
    if (d->baseline.texts)
        printf("  %-28s %10.2f %% %14.1f %%    %6.3f\n", "9-letter statistics",
               100 * enx_score_word_accuracy(&d->baseline), 100 * enx_score_exact(&d->baseline),
               enx_score_punctuation_f1(&d->baseline));
    for (int m = 0; m < DEMO_MODES; m++) {
        const demo_result *r = &d->results[m];
        printf("  %-28s %10.2f %% %14.1f %%    %6.3f  $%.8f  %5.1f s\n", labels[m],
               100 * enx_score_word_accuracy(&r->score), 100 * enx_score_exact(&r->score),
               enx_score_punctuation_f1(&r->score), bill_usd(r, "cost_usd"), r->seconds);
    }
    const demo_result *w = &d->results[0], *l = &d->results[1], *s = &d->results[2];
    const double gap = enx_score_word_accuracy(&l->score) - enx_score_word_accuracy(&w->score);
    printf(
        "\nThe swarm: %.2f %% of the lead's words right at %.0f %% of its cost and %.0f %% of its "
        "time",
        100 * enx_score_word_accuracy(&s->score) / enx_score_word_accuracy(&l->score),
        100 * bill_usd(s, "cost_usd") / bill_usd(l, "cost_usd"), 100 * s->seconds / l->seconds);
    if (gap > 0)
        printf(";\n%.0f %% of the gap between workers and lead is closed, %.0f %% of the "
               "paragraphs went up",
               100 * (enx_score_word_accuracy(&s->score) - enx_score_word_accuracy(&w->score)) /
                   gap,
               100.0 * s->escalated / d->item_count);
    printf(".\n");
}

static json_t *result_json(const demo *d, const demo_result *r)
{
    json_t *out = json_object();
    json_object_set_new(out, "word_accuracy", json_real(enx_score_word_accuracy(&r->score)));
    json_object_set_new(out, "exact", json_real(enx_score_exact(&r->score)));
    json_object_set_new(out, "punctuation_f1", json_real(enx_score_punctuation_f1(&r->score)));
    json_object_set_new(out, "cost_usd", json_real(bill_usd(r, "cost_usd")));
    json_object_set_new(out, "seconds", json_real(r->seconds));
    json_object_set_new(out, "escalated", json_real((double)r->escalated / d->item_count));
    return out;
}

static json_t *summary_json(const demo *d)
{
    json_t *root = json_object(), *baseline = json_object();
    json_object_set_new(root, "paragraphs", json_integer(d->item_count));
    json_object_set_new(root, "languages", json_integer(d->language_count));
    json_object_set_new(baseline, "word_accuracy",
                        json_real(enx_score_word_accuracy(&d->baseline)));
    json_object_set_new(baseline, "exact", json_real(enx_score_exact(&d->baseline)));
    json_object_set_new(baseline, "paragraphs", json_integer((json_int_t)d->baseline.texts));
    json_object_set_new(root, "baseline", baseline);
    for (int m = 0; m < DEMO_MODES; m++)
        json_object_set_new(root, mode_names[m], result_json(d, &d->results[m]));
    json_object_set(root, "certificate", d->results[DEMO_MODES - 1].certificate);
    json_object_set(root, "bill", d->results[DEMO_MODES - 1].bill);
    json_object_set_new(root, "rss_mb",
                        json_real((double)enx_clock_rss_max_bytes() / (1024.0 * 1024.0)));
    return root;
}

static enx_status write_summary(json_t *summary, const char *folder, enx_report *report)
{
    char    path[2 * CLI_PATH_BYTES_MAX];
    enx_buf text;
    enx_buf_init(&text, 1 << 20);
    enx_status status = enx_dir_make(folder, report);
    if (status == ENX_OK) status = cli_json_append(&text, summary);
    if (status == ENX_OK) status = enx_buf_append_text(&text, "\n");
    snprintf(path, sizeof path, "%s/summary.json", folder);
    if (status == ENX_OK) status = enx_file_write(path, text.data, text.size_bytes, report);
    if (status == ENX_OK) fprintf(stderr, "\nwrote %s\n", path);
    enx_buf_deinit(&text);
    return status;
}

/* ---- The command -------------------------------------------------------------------------------
 */

static enx_status run_all(demo *d, const char *swarm, uint64_t threads, enx_report *report)
{
    d->spans = ENX_MEM_NEW(enx_span, d->item_count);
    d->answers = ENX_MEM_NEW(char *, d->item_count);
    if (!d->spans || !d->answers) return ENX_FAIL(report, NOMEM, "no memory for the paragraphs");
    for (uint32_t i = 0; i < d->item_count; i++)
        d->spans[i] = (enx_span){ d->items[i].damaged, d->items[i].damaged_bytes };
    for (uint32_t mode = 0; mode < DEMO_MODES; mode++)
        ENX_TRY(run_mode(d, mode, swarm, threads, report));
    return ENX_OK;
}

static void close_demo(demo *d)
{
    for (uint32_t i = 0; i < d->item_count; i++) {
        json_decref(d->items[i].row);
        enx_mem_free(d->items[i].damaged);
        if (d->answers) enx_mem_free(d->answers[i]);
    }
    for (int m = 0; m < DEMO_MODES; m++) {
        json_decref(d->results[m].bill);
        json_decref(d->results[m].certificate);
    }
    enx_mem_free(d->items);
    enx_mem_free(d->spans);
    enx_mem_free(d->answers);
}

int cmd_demo(int argc, char **argv)
{
    const char      *folder = "jobs/restore", *out = "build/demo", *swarm = NULL;
    uint64_t         paragraphs = 50, threads = 0;
    const cli_option options[] = {
        { "folder", '\0', CLI_TEXT, &folder, "DIR",
          "the job's paragraphs (default: jobs/restore)" },
        { "out", 'o', CLI_TEXT, &out, "DIR", "where summary.json goes (default: build/demo)" },
        { "swarm", 's', CLI_TEXT, &swarm, "FILE", "the swarm (default: models/swarm.yaml)" },
        { "paragraphs", 'n', CLI_UINT, &paragraphs, "N", "of each language (default: 50)" },
        { "threads", '\0', CLI_UINT, &threads, "N", "default: the swarm file's" },
    };
    const cli_spec spec = { "demo [options]",
                            "Damage real held-out paragraphs, repair them by workers alone, by the "
                            "lead alone and by\nthe swarm, and compare quality, cost and time.",
                            "enxame demo -n 20",
                            options,
                            sizeof options / sizeof *options,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    demo           d = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    cli_catch_interrupts();
    if (status == ENX_OK) status = read_all(&d, folder, (uint32_t)paragraphs, &report);
    if (status == ENX_OK) status = run_all(&d, swarm, threads, &report);
    if (status == ENX_OK) {
        json_t *summary = summary_json(&d);
        if (!args.is_json) {
            print_samples(&d);
            print_table(&d);
        }
        status = write_summary(summary, out, &report);
        if (args.is_json) cli_print_json(summary);
        else json_decref(summary);
    }
    close_demo(&d);
    return status == ENX_OK ? 0 : cli_fail("demo", &args, status, &report);
}
