/* SPDX-License-Identifier: Apache-2.0 */
/* edits.c - what repair reaches without a neural net: a character 8-gram model picks the edit.
 *
 *   edits TRAIN.txt CASES.jsonl [ORDER]  >  answers.jsonl
 *
 * TRAIN has one piece of source a line, \n and \\ escaped (jobs/fix/corpus).  A case is
 * {"id", "damaged", "edits": [[at, remove, "insert"], …]}: the edits, in bytes, that the compiler
 * accepts.  An answer is {"id", "best", "scores"}: index and ln P(edited) - ln P(damaged) of each
 * under a model of order 8 with Witten-Bell interpolation.  Memory: about 50 bytes for each byte
 * of TRAIN.
 *
 * Standalone: cc -O2 edits.c -ljansson -lm
 */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER_MAX = 16, LINE_BYTES_MAX = 1 << 20, ALPHABET = 257, BOUND = 256 };

/* All n-grams up to the order, n = 1 .. order; a context's total is its own count as an n-gram. */
typedef struct {
    uint32_t *tag, *count;
    uint8_t  *distinct; /* kinds of bytes seen after it, at most 255 */
    uint64_t  mask, total;
    int       order, letters;
} grams;

static void die(const char *what, const char *name)
{
    fprintf(stderr, "edits: %s: %s\n", name, what);
    exit(70);
}

static void *grab(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p) die("out of memory", "heap");
    return p;
}

static uint64_t hash_step(uint64_t h, int c)
{
    return (h ^ (uint64_t)(c + 1)) * UINT64_C(0xD6E8FEB86659FD93) + 1;
}

static uint64_t hash_key(uint64_t h, int n)
{
    h ^= (uint64_t)n << 56;
    h ^= h >> 32;
    h *= UINT64_C(0xFF51AFD7ED558CCD);
    h ^= h >> 29;
    h *= UINT64_C(0xC4CEB9FE1A85EC53);
    return h ^ h >> 32;
}

static uint64_t slot_of(const grams *g, uint64_t key)
{
    const uint32_t tag = (uint32_t)(key >> 32) | 1;
    uint64_t       i = key & g->mask;
    while (g->count[i] != 0 && g->tag[i] != tag) i = (i + 1) & g->mask;
    return i;
}

static void open_grams(grams *g, int order, size_t bytes)
{
    uint64_t slots = 1 << 16;
    while (slots < 3 * (uint64_t)bytes) slots *= 2;
    *g = (grams){ .mask = slots - 1, .order = order };
    g->tag = grab(slots, sizeof *g->tag);
    g->count = grab(slots, sizeof *g->count);
    g->distinct = grab(slots, sizeof *g->distinct);
}

/* Counts every n-gram that ends at a byte of the piece or at its end; before it stands BOUND. */
static void add(grams *g, const uint8_t *text, size_t size)
{
    for (size_t i = 0; i <= size; i++) {
        const int c = i < size ? text[i] : BOUND;
        uint64_t  h = 0, context = 0;
        g->total++;
        for (int n = 0; n < g->order; n++) { /* n bytes of context */
            if ((size_t)n > i + 1) break;
            if (n > 0) h = hash_step(h, (size_t)n > i ? BOUND : text[i - (size_t)n]);
            const uint64_t key = hash_key(hash_step(h, c + 1000), n + 1), s = slot_of(g, key);
            if (n > 0) context = slot_of(g, hash_key(h, 40 + n));
            if (n > 0) {
                g->tag[context] = (uint32_t)(hash_key(h, 40 + n) >> 32) | 1;
                g->count[context]++;
            }
            if (g->count[s] == 0) {
                g->tag[s] = (uint32_t)(key >> 32) | 1;
                if (n > 0 && g->distinct[context] < 255) g->distinct[context]++;
                g->letters += n == 0;
            }
            g->count[s]++;
        }
    }
}

static double step(const grams *g, const uint8_t *text, size_t size, size_t i)
{
    const int c = i < size ? text[i] : BOUND;
    uint64_t  h = 0;
    double    p = 1.0 / ALPHABET;
    for (int n = 0; n < g->order && (size_t)n <= i + 1; n++) {
        double total = (double)g->total, kinds = g->letters;
        if (n > 0) {
            h = hash_step(h, (size_t)n > i ? BOUND : text[i - (size_t)n]);
            const uint64_t context = slot_of(g, hash_key(h, 40 + n));
            total = g->count[context];
            kinds = g->distinct[context];
        }
        if (total == 0) break;
        const uint64_t s = slot_of(g, hash_key(hash_step(h, c + 1000), n + 1));
        p = (g->count[s] + kinds * p) / (total + kinds);
    }
    return log(p);
}

/* ln P of the bytes [from, to] of text, where `to` = size counts its end. */
static double span(const grams *g, const uint8_t *text, size_t size, size_t from, size_t to)
{
    double sum = 0;
    for (size_t i = from; i <= to && i <= size; i++) sum += step(g, text, size, i);
    return sum;
}

static double gain(const grams *g, const uint8_t *text, size_t size, size_t at, size_t removed,
                   const char *inserted)
{
    const size_t   more = strlen(inserted), reach = (size_t)g->order;
    uint8_t *const edited = grab(size + more + 1, 1);
    memcpy(edited, text, at);
    memcpy(edited + at, inserted, more);
    memcpy(edited + at + more, text + at + removed, size - at - removed);
    const double with = span(g, edited, size - removed + more, at, at + more + reach);
    const double without = span(g, text, size, at, at + removed + reach);
    free(edited);
    return with - without;
}

static size_t unescape(char *line)
{
    size_t n = 0;
    for (size_t i = 0; line[i] && line[i] != '\n'; i++) {
        const int is_escape = line[i] == '\\' && line[i + 1];
        if (is_escape) i++;
        line[n++] = is_escape && line[i] == 'n' ? '\n' : line[i];
    }
    return n;
}

static void train(grams *g, const char *name, int order)
{
    FILE *f = fopen(name, "rb");
    char *line = grab(LINE_BYTES_MAX, 1);
    if (!f) die("cannot open", name);
    fseek(f, 0, SEEK_END);
    open_grams(g, order, (size_t)ftell(f) * (size_t)(order > 8 ? 3 : 2));
    rewind(f);
    while (fgets(line, LINE_BYTES_MAX, f)) add(g, (const uint8_t *)line, unescape(line));
    free(line);
    fclose(f);
}

static void answer(const grams *g, json_t *row)
{
    const char *id, *damaged;
    json_t     *edits, *edit;
    size_t      k, best = 0;
    if (json_unpack(row, "{ss, ss, so}", "id", &id, "damaged", &damaged, "edits", &edits) != 0)
        die("a line is not a case with id, damaged and edits", "CASES");
    json_t *scores = json_array();
    double  best_score = -INFINITY;
    json_array_foreach (edits, k, edit) {
        json_int_t  at, removed;
        const char *inserted;
        if (json_unpack(edit, "[I, I, s]", &at, &removed, &inserted) != 0)
            die("an edit is not [at, remove, insert]", id);
        const double score = gain(g, (const uint8_t *)damaged, strlen(damaged), (size_t)at,
                                  (size_t)removed, inserted);
        json_array_append_new(scores, json_real(score));
        if (score > best_score) {
            best_score = score;
            best = k;
        }
    }
    json_t *out = json_pack("{ss, sI, so}", "id", id, "best", (json_int_t)best, "scores", scores);
    json_dumpf(out, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
    putchar('\n');
    json_decref(out);
}

int main(int argc, char **argv)
{
    static grams g;
    if (argc < 3) {
        fprintf(stderr, "usage: edits TRAIN.txt CASES.jsonl [ORDER] > answers.jsonl\n");
        return 64;
    }
    const int order = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 8;
    if (order < 1 || order > ORDER_MAX) die("ORDER is not in 1..16", argv[3]);
    train(&g, argv[1], order);
    FILE *f = fopen(argv[2], "rb");
    char *line = grab(LINE_BYTES_MAX, 1);
    if (!f) die("cannot open", argv[2]);
    while (fgets(line, LINE_BYTES_MAX, f)) {
        json_t *row = json_loads(line, 0, NULL);
        if (!row) die("a line is not JSON", argv[2]);
        answer(&g, row);
        json_decref(row);
    }
    free(line);
    fclose(f);
    return 0;
}
