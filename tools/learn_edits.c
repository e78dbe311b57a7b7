/* SPDX-License-Identifier: Apache-2.0 */
/* learn_edits.c - makes the model that ranks edits, from cases whose mend is known.
 *
 *     learn_edits OUT.gguf EPOCHS TRAIN.jsonl… [--test TEST.jsonl…]
 *
 * A case is a line of jobs/fix/damage.  Learnt is the chance of the true edit among all single
 * edits that leave the fewest faults (repair/edit.h): stochastic gradients of its logarithm,
 * AdaGrad, one pass over the cases an epoch, in an order by seed.  Cases of more than 900 bytes and
 * those whose truth is not among the edits teach nothing.  OUT is written every 5,000 cases and
 * after each pass.  Test cases are only measured, as the share whose best edit is true; no compiler
 * is asked, so the product does better.
 */
#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "gguf/gguf_write.h"
#include "plat/file.h"
#include "repair/rank.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDITS_MAX = 6000, CASE_BYTES_MAX = 900, FILE_BYTES_MAX = 1 << 30 };

enum { near = 20, every = 8 }; /* thin_out */
enum { report_every = 5000 };

static const double rate = 0.12, ignored = 0.004, keep = 1e-6;

typedef struct example {
    char         *damaged, *text;
    enx_code      code;
    enx_complaint complaint;
} example;

typedef struct examples {
    example *items;
    size_t   count, room;
} examples;

typedef struct learner {
    float    *weights, *squares; /* [ENX_RANK_WEIGHTS] */
    enx_edit *edits;             /* [EDITS_MAX] */
    uint32_t (*features)[ENX_RANK_FEATURES_MAX];
    uint32_t *feature_counts;
    double   *scores, *weight_logs; /* of an edit among those that were left out */
    enx_scan  scratch;
} learner;

static void die(const char *what, const char *name)
{
    fprintf(stderr, "learn_edits: %s: %s\n", name, what);
    exit(70);
}

static void *grab(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p) die("out of memory", "heap");
    return p;
}

/* ---- Cases ---------------------------------------------------------------------------------- */

static enx_code code_of(const char *language)
{
    static const char *const names[ENX_CODE_COUNT] = {
        [ENX_CODE_PYTHON] = "python",
        [ENX_CODE_C] = "c",
        [ENX_CODE_JS] = "js",
        [ENX_CODE_JSON] = "json",
    };
    for (int i = 0; i < ENX_CODE_COUNT; i++)
        if (strcmp(names[i], language) == 0) return (enx_code)i;
    die("no such language", language);
    return ENX_CODE_COUNT;
}

static void add(examples *all, json_t *row, const char *name)
{
    const char *text, *damaged, *language, *message;
    int         line, column;
    if (json_unpack(row, "{ss, ss, ss, ss, si, si}", "text", &text, "damaged", &damaged, "language",
                    &language, "message", &message, "line", &line, "column", &column) != 0)
        die("a line is not a case", name);
    if (strlen(damaged) > CASE_BYTES_MAX) return;
    if (all->count == all->room) {
        all->room = all->room ? 2 * all->room : 1024;
        all->items = realloc(all->items, all->room * sizeof *all->items);
        if (!all->items) die("out of memory", name);
    }
    all->items[all->count++] =
        (example){ .damaged = strdup(damaged),
                   .text = strdup(text),
                   .code = code_of(language),
                   .complaint = enx_complaint_place(damaged, (uint32_t)strlen(damaged),
                                                    (uint32_t)line, (uint32_t)column, message) };
}

static void read_cases(examples *all, const char *name)
{
    FILE  *f = fopen(name, "r");
    char  *line = NULL;
    size_t room = 0;
    if (!f) die("cannot open", name);
    while (getline(&line, &room, f) > 0) {
        json_t *row = json_loads(line, 0, NULL);
        if (!row) die("a line is not JSON", name);
        add(all, row, name);
        json_decref(row);
    }
    free(line);
    fclose(f);
}

/* ---- Learning ------------------------------------------------------------------------------- */

/* Index of the true edit, or `count`. */
static uint32_t find_truth(const learner *l, uint32_t count, const example *e)
{
    char           edited[ENX_WINDOW_BYTES_MAX];
    const uint32_t size = (uint32_t)strlen(e->damaged), want = (uint32_t)strlen(e->text);
    for (uint32_t i = 0; i < count; i++)
        if (size - l->edits[i].remove + l->edits[i].insert_bytes == want &&
            enx_edit_apply(edited, e->damaged, size, &l->edits[i]) == want &&
            memcmp(edited, e->text, want) == 0)
            return i;
    return count;
}

static uint32_t list_edits(learner *l, const example *e)
{
    const uint32_t size = (uint32_t)strlen(e->damaged);
    uint32_t       faults;
    return enx_edit_list(l->edits, EDITS_MAX, &faults, e->code, e->damaged, size, 0, size,
                         &l->scratch);
}

static bool is_near(uint32_t at, int64_t place)
{
    return place >= 0 && llabs((long long)at - place) < near;
}

/* Leave out most of the edits that are far from the truth and from the complaint; each of the rest
 * of them stands for `every`.  Returns how many are left; *truth is moved along. */
static uint32_t thin_out(learner *l, const example *e, uint32_t count, uint32_t *truth,
                         enx_rng *rng)
{
    const uint32_t place = l->edits[*truth].at, was = *truth;
    uint32_t       kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        const bool is_sure =
            i == was || is_near(l->edits[i].at, place) || is_near(l->edits[i].at, e->complaint.at);
        if (!is_sure && enx_rng_below(rng, every) > 0) continue;
        if (i == was) *truth = kept;
        l->weight_logs[kept] = is_sure ? 0 : log(every);
        l->edits[kept++] = l->edits[i];
    }
    return kept;
}

/* Features and scores of the edits. */
static void look(learner *l, const example *e, uint32_t count)
{
    const uint32_t size = (uint32_t)strlen(e->damaged);
    for (uint32_t i = 0; i < count; i++) {
        l->feature_counts[i] = enx_rank_features(l->features[i], e->code, e->damaged, size,
                                                 &e->complaint, &l->edits[i], &l->scratch);
        l->scores[i] = 0;
        for (uint32_t k = 0; k < l->feature_counts[i]; k++)
            l->scores[i] += l->weights[l->features[i][k]];
    }
}

static uint32_t best_of(const learner *l, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (l->scores[i] > l->scores[best]) best = i;
    return best;
}

/* One step; returns the log of the chance that the true edit had. */
static double learn(learner *l, uint32_t count, uint32_t truth)
{
    const double most = l->scores[best_of(l, count)];
    double       sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += exp(l->scores[i] + l->weight_logs[i] - most);
    for (uint32_t i = 0; i < count; i++) {
        const double gradient = exp(l->scores[i] + l->weight_logs[i] - most) / sum - (i == truth);
        if (fabs(gradient) < ignored) continue;
        for (uint32_t k = 0; k < l->feature_counts[i]; k++) {
            const uint32_t at = l->features[i][k];
            const double   slope = gradient + keep * l->weights[at];
            l->squares[at] += (float)(slope * slope);
            l->weights[at] -= (float)(rate * slope / sqrt(l->squares[at] + 1e-2));
        }
    }
    return l->scores[truth] - most - log(sum);
}

/* ---- The file ------------------------------------------------------------------------------- */

static void save(const learner *l, const char *path)
{
    uint8_t         *bytes = grab(ENX_RANK_WEIGHTS, 1);
    enx_gguf_writer *w = NULL;
    enx_buf          out;
    enx_report       report = { 0 };
    float            most = 0;
    for (size_t i = 0; i < ENX_RANK_WEIGHTS; i++) most = fmaxf(most, fabsf(l->weights[i]));
    const float step = fminf(most / 127, 0.02F);
    for (size_t i = 0; i < ENX_RANK_WEIGHTS; i++) {
        const float scaled = roundf(l->weights[i] / step);
        bytes[i] = (uint8_t)(128 + fmaxf(-127, fminf(127, scaled)));
    }
    enx_buf_init(&out, FILE_BYTES_MAX);
    if (enx_gguf_writer_open(&w, &report) != ENX_OK) die(report.text, path);
    enx_gguf_add_str(w, "general.architecture", ENX_RANK_ARCHITECTURE);
    enx_gguf_add_str(w, "general.name", "fix");
    enx_gguf_add_f32(w, "enxame.edits.step", step);
    enx_gguf_add_u8s(w, "enxame.edits.weights", bytes, ENX_RANK_WEIGHTS);
    if (enx_gguf_writer_finish(w, &out, &report) != ENX_OK ||
        enx_file_write(path, enx_buf_text(&out), out.size_bytes, &report) != ENX_OK)
        die(report.text, path);
    enx_gguf_writer_close(&w);
    enx_buf_deinit(&out);
    free(bytes);
}

static void epoch(learner *l, const examples *all, uint64_t seed, const char *path)
{
    enx_rng   rng = enx_rng_open(seed, 0);
    uint32_t *order = grab(all->count, sizeof *order);
    double    sum = 0;
    size_t    used = 0, missing = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        const uint32_t j = (uint32_t)enx_rng_below(&rng, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < all->count; i++) {
        const example *e = &all->items[order[i]];
        uint32_t       count = list_edits(l, e), truth = find_truth(l, count, e);
        if (truth == count) missing++;
        else {
            count = thin_out(l, e, count, &truth, &rng);
            look(l, e, count);
            sum += learn(l, count, truth);
            used++;
        }
        if ((i + 1) % report_every) continue;
        fprintf(stderr, "%zu cases, %zu without truth, %.4f nats\n", i + 1, missing,
                -sum / (double)used);
        save(l, path);
    }
    free(order);
}

static void measure(learner *l, const examples *all)
{
    size_t right[ENX_CODE_COUNT] = { 0 }, count_of[ENX_CODE_COUNT] = { 0 };
    for (size_t i = 0; i < all->count; i++) {
        const example *e = &all->items[i];
        const uint32_t count = list_edits(l, e), truth = find_truth(l, count, e);
        look(l, e, count);
        count_of[e->code]++;
        right[e->code] += truth < count && best_of(l, count) == truth;
    }
    for (int c = 0; c < ENX_CODE_COUNT; c++)
        if (count_of[c])
            printf("language %d: %zu of %zu right, %.4f\n", c, right[c], count_of[c],
                   (double)right[c] / (double)count_of[c]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static learner l;
    examples       train = { 0 }, test = { 0 }, *to = &train;
    if (argc < 4) {
        fprintf(stderr, "usage: learn_edits OUT.gguf EPOCHS TRAIN.jsonl… [--test TEST.jsonl…]\n");
        return 64;
    }
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--test") == 0) to = &test;
        else read_cases(to, argv[i]);
    }
    l.weights = grab(ENX_RANK_WEIGHTS, sizeof *l.weights);
    l.squares = grab(ENX_RANK_WEIGHTS, sizeof *l.squares);
    l.edits = grab(EDITS_MAX, sizeof *l.edits);
    l.features = grab(EDITS_MAX, sizeof *l.features);
    l.feature_counts = grab(EDITS_MAX, sizeof *l.feature_counts);
    l.scores = grab(EDITS_MAX, sizeof *l.scores);
    l.weight_logs = grab(EDITS_MAX, sizeof *l.weight_logs);
    const long epochs = strtol(argv[2], NULL, 10);
    for (long e = 0; e < epochs; e++) {
        epoch(&l, &train, (uint64_t)e + 1, argv[1]);
        measure(&l, &test);
        save(&l, argv[1]);
    }
    return 0;
}
