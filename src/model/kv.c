/* SPDX-License-Identifier: Apache-2.0 */
/* kv.c - pages, and attention by tiles of rows.
 *
 *   keys   [layer][kv head][page][head width][16]   transposed, see attend_scores
 *   values [layer][kv head][page][16][head width]
 *
 * In q8 a number is a byte, and a page of one head has scales among them: those of its keys behind
 * them, that of each value behind it (kernels.h, attend_scores_q8).
 *
 * Pages of one layer and head lie together, so that pages with neighbouring numbers are one stretch
 * of memory, and one call of a kernel.
 *
 *   tile of 3 rows     ┌──────── shared ────────┐┌─ own ─┐
 *   row a              page 4   page 5   page 6   page 9
 *   row b              page 4   page 5   page 6   page 12  page 13
 *   row c              page 4   page 5   page 6   page 15
 *
 * (1) A plan sorts the rows by their slots' tables, so that rows with a common beginning are
 *     neighbours, and cuts the row of rows into tiles.
 * (2) Shared pages are read once for all rows of a tile, and all heads that share a key head.
 * (3) A row's sums run over its positions in rising order, whichever part of them is shared.
 */
#include "model/kv.h"

#include "base/check.h"
#include "base/mem.h"
#include "model/carve.h"
#include "model/convert.h"

#include <string.h>

enum {
    TILE_ROWS_MAX = 16,
    SCORE_NUMBERS = 1 << 18, /* of one thread, as long as a tile of one row fits */
};

/* Rows order[first .. first + count); all see the first `shared` pages, whole. */
typedef struct tile {
    uint32_t first;
    uint32_t count;
    uint32_t shared;
} tile;

typedef struct group group; /* see below */

struct enx_kv {
    enx_kv_options options;
    uint32_t       sharing; /* heads of a key head */
    uint32_t       tile_rows;
    uint32_t       slot_pages;       /* of a table */
    size_t         page_numbers;     /* of a key head's keys in a page */
    size_t         position_numbers; /* of its value at one position */
    size_t         score_stride;     /* of one query */
    size_t         number_bytes;
    void          *block; /* owned: everything below */
    uint64_t       block_bytes;
    uint8_t       *keys;
    uint8_t       *values;
    uint32_t      *tables; /* [slot][slot_pages] */
    float         *scores; /* [thread][tile_rows * sharing][score_stride] */
    uint16_t      *halves; /* [thread][head_width] */
    int8_t        *bytes;  /* [thread][head_width] */
    group         *groups; /* [thread] */
    void         **pointers;

    /* The plan. */
    const enx_row *rows; /* borrowed */
    uint32_t       row_count;
    uint32_t       tile_count;
    uint32_t      *order;      /* [row_count] */
    uint32_t      *spare;      /* [row_count] */
    uint32_t      *slots;      /* [slot_count] those with rows, in the order of their tables */
    uint32_t      *first_rows; /* [slot_count + 1] */
    tile          *tiles;      /* [row_count] */
    uint64_t       read_count, wanted_count;
};

/* ---- types ------------------------------------------------------------- */

enx_status enx_kv_type_parse(enx_kv_type *out, const char *text, enx_report *report)
{
    static const char *const names[] = { "f16", "f32", "q8" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text ? text : names[ENX_KV_F16], names[i]) == 0) {
            *out = (enx_kv_type)i;
            return ENX_OK;
        }
    return ENX_FAIL(report, INVALID, "keys and values in \"%s\"; expected f16, f32 or q8", text);
}

/* Of one head; in q8, where a number is a byte, its scale takes the place of four. */
static size_t numbers_of_position(const enx_hparams *hp, enx_kv_type type)
{
    return hp->head_width + (type == ENX_KV_Q8 ? ENX_KV_SCALE_BYTES : 0);
}

/* ---- pages ------------------------------------------------------------- */

uint32_t *enx_kv_table(enx_kv *kv, uint32_t slot)
{
    ENX_CHECK(slot < kv->options.slot_count);
    return kv->tables + (size_t)slot * kv->slot_pages;
}

static const uint32_t *table_of(const enx_kv *kv, uint32_t slot)
{
    return kv->tables + (size_t)slot * kv->slot_pages;
}

/* The first number of a page. */
static size_t page_at(const enx_kv *kv, uint32_t layer, uint32_t kv_head, uint32_t page)
{
    const size_t heads = kv->options.hparams->kv_head_count;
    return ((layer * heads + kv_head) * kv->options.page_count + page) * kv->page_numbers;
}

static void *number_at(const enx_kv *kv, uint8_t *numbers, size_t at)
{
    return numbers + at * kv->number_bytes;
}

void enx_kv_copy_page(enx_kv *kv, uint32_t to, uint32_t from)
{
    const enx_hparams *hp = kv->options.hparams;
    const size_t       bytes = kv->page_numbers * kv->number_bytes;
    ENX_CHECK(to < kv->options.page_count && from < kv->options.page_count && to != from);
    for (uint32_t layer = 0; layer < hp->layer_count; layer++)
        for (uint32_t head = 0; head < hp->kv_head_count; head++) {
            const size_t out = page_at(kv, layer, head, to), in = page_at(kv, layer, head, from);
            memcpy(number_at(kv, kv->keys, out), number_at(kv, kv->keys, in), bytes);
            memcpy(number_at(kv, kv->values, out), number_at(kv, kv->values, in), bytes);
        }
}

static void store_wide(float *key, float *value, const float *k, const float *v, size_t d)
{
    for (size_t i = 0; i < d; i++) key[i * ENX_KV_PAGE] = k[i];
    memcpy(value, v, d * sizeof *v);
}

static void store_halves(const enx_kernels *kernels, uint16_t *key, uint16_t *value, const float *k,
                         const float *v, size_t d, uint16_t *half)
{
    kernels->f16_from_f32(half, k, d);
    for (size_t i = 0; i < d; i++) key[i * ENX_KV_PAGE] = half[i];
    kernels->f16_from_f32(value, v, d);
}

/* `inside`: of a page's positions.  Its keys' scales lie behind all of them. */
static void store_bytes(int8_t *keys, int8_t *value, uint32_t inside, const float *k,
                        const float *v, size_t d, int8_t *bytes)
{
    float scale = enx_q8_from_f32(bytes, k, d);
    for (size_t i = 0; i < d; i++) keys[i * ENX_KV_PAGE + inside] = bytes[i];
    memcpy(keys + d * ENX_KV_PAGE + inside * sizeof scale, &scale, sizeof scale);
    scale = enx_q8_from_f32(value, v, d);
    memcpy(value + d, &scale, sizeof scale);
}

void enx_kv_store(enx_kv *kv, uint32_t layer, const enx_row *row, const float *k, const float *v,
                  uint32_t thread)
{
    const size_t   d = kv->options.hparams->head_width;
    const uint32_t inside = row->position % ENX_KV_PAGE;
    const uint32_t page = table_of(kv, row->slot)[row->position / ENX_KV_PAGE];
    for (uint32_t head = 0; head < kv->options.hparams->kv_head_count; head++, k += d, v += d) {
        const size_t at = page_at(kv, layer, head, page);
        void        *key = number_at(kv, kv->keys, at + inside);
        void        *value = number_at(kv, kv->values, at + inside * kv->position_numbers);
        switch (kv->options.type) {
        case ENX_KV_F16:
            store_halves(kv->options.kernels, key, value, k, v, d, kv->halves + thread * d);
            break;
        case ENX_KV_F32:
            store_wide(key, value, k, v, d);
            break;
        case ENX_KV_Q8:
            store_bytes(number_at(kv, kv->keys, at), value, inside, k, v, d,
                        kv->bytes + thread * d);
            break;
        }
    }
}

/* ---- the plan ---------------------------------------------------------- */

/* Whole pages that a row sees. */
static uint32_t whole_pages(const enx_row *row) { return (row->position + 1) / ENX_KV_PAGE; }

/* With how many of the same pages two tables begin, of the first `most`. */
static uint32_t common_pages(const uint32_t *a, const uint32_t *b, uint32_t most)
{
    uint32_t count = 0;
    while (count < most && a[count] == b[count]) count++;
    return count;
}

/* Whole pages that the last row of a slot sees. */
static uint32_t slot_depth(const enx_kv *kv, uint32_t slot)
{
    return whole_pages(&kv->rows[kv->order[kv->first_rows[slot + 1] - 1]]);
}

/* Does slot a come before b?  By their tables, as far as both are filled; then by number. */
static bool is_before(const enx_kv *kv, uint32_t a, uint32_t b)
{
    const uint32_t  a_depth = slot_depth(kv, a), b_depth = slot_depth(kv, b);
    const uint32_t  most = a_depth < b_depth ? a_depth : b_depth;
    const uint32_t *pages = table_of(kv, a), *others = table_of(kv, b);
    const uint32_t  same = common_pages(pages, others, most);
    return same < most ? pages[same] < others[same] : a < b;
}

/* A counting sort of the rows by slot; fills slots [*count] in rising number. */
static void sort_by_slot(enx_kv *kv, uint32_t *count)
{
    const uint32_t slots = kv->options.slot_count;
    memset(kv->first_rows, 0, (slots + 1) * sizeof *kv->first_rows);
    for (uint32_t i = 0; i < kv->row_count; i++) kv->first_rows[kv->rows[i].slot + 1]++;
    *count = 0;
    for (uint32_t s = 0; s < slots; s++) {
        if (kv->first_rows[s + 1]) kv->slots[(*count)++] = s;
        kv->first_rows[s + 1] += kv->first_rows[s];
    }
    for (uint32_t i = 0; i < kv->row_count; i++) kv->order[kv->first_rows[kv->rows[i].slot]++] = i;
    /* Each start has moved to the next one's. */
    memmove(kv->first_rows + 1, kv->first_rows, slots * sizeof *kv->first_rows);
    kv->first_rows[0] = 0;
}

/* By insertion, with the place found by halves: slots are few, and compared in few steps. */
static void sort_slots(enx_kv *kv, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t slot = kv->slots[i];
        uint32_t       low = 0, high = i;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (is_before(kv, slot, kv->slots[middle])) high = middle;
            else low = middle + 1;
        }
        memmove(kv->slots + low + 1, kv->slots + low, (i - low) * sizeof *kv->slots);
        kv->slots[low] = slot;
    }
}

/* Whole pages that both rows see: rows i and i + 1 of the order; 0 behind the last. */
static uint32_t common_with_next(const enx_kv *kv, uint32_t i)
{
    if (i + 1 >= kv->row_count) return 0;
    const enx_row *a = &kv->rows[kv->order[i]], *b = &kv->rows[kv->order[i + 1]];
    const uint32_t a_pages = whole_pages(a), b_pages = whole_pages(b);
    const uint32_t most = a_pages < b_pages ? a_pages : b_pages;
    if (a->slot == b->slot) return most;
    return common_pages(table_of(kv, a->slot), table_of(kv, b->slot), most);
}

/* Rows join a tile as long as neither loses much by it: what the tile shares already, or what the
 * new row would share with the one after it. */
static void cut_tiles(enx_kv *kv)
{
    tile *t = NULL;
    kv->tile_count = 0;
    for (uint32_t i = 0, shared = 0; i < kv->row_count; i++) {
        const uint32_t next = common_with_next(kv, i);
        const uint32_t at_stake = t && t->count > 1 && t->shared > next ? t->shared : next;
        if (t && t->count < kv->tile_rows) {
            const uint32_t left = t->shared < shared ? t->shared : shared;
            if (2 * left >= at_stake) {
                t->count++;
                t->shared = left;
                shared = next;
                continue;
            }
        }
        t = &kv->tiles[kv->tile_count++];
        *t = (tile){ .first = i, .count = 1, .shared = whole_pages(&kv->rows[kv->order[i]]) };
        shared = next;
    }
}

static void count_reads(enx_kv *kv)
{
    for (uint32_t i = 0; i < kv->row_count; i++) kv->wanted_count += kv->rows[i].position + 1;
    for (uint32_t i = 0; i < kv->tile_count; i++) {
        const tile *t = &kv->tiles[i];
        kv->read_count += (uint64_t)t->shared * ENX_KV_PAGE;
        for (uint32_t j = 0; j < t->count; j++)
            kv->read_count +=
                kv->rows[kv->order[t->first + j]].position + 1 - t->shared * ENX_KV_PAGE;
    }
}

void enx_kv_plan(enx_kv *kv, const enx_row *rows, uint32_t row_count)
{
    uint32_t slot_count, next = 0;
    ENX_CHECK(row_count <= kv->options.row_count);
    kv->rows = rows;
    kv->row_count = row_count;
    sort_by_slot(kv, &slot_count);
    sort_slots(kv, slot_count);
    for (uint32_t s = 0; s < slot_count; s++) {
        const uint32_t first = kv->first_rows[kv->slots[s]];
        const uint32_t count = kv->first_rows[kv->slots[s] + 1] - first;
        memcpy(kv->spare + next, kv->order + first, count * sizeof *kv->order);
        next += count;
    }
    uint32_t *sorted = kv->spare;
    kv->spare = kv->order;
    kv->order = sorted;
    cut_tiles(kv);
    count_reads(kv);
}

void enx_kv_reads(const enx_kv *kv, uint64_t *read, uint64_t *wanted)
{
    *read = kv->read_count;
    *wanted = kv->wanted_count;
}

/* ---- attention --------------------------------------------------------- */

typedef struct span {
    uint32_t first, end;
} span;

/* What a row sees in a layer. */
static span view_of(const enx_row *row, const enx_kv_layer *layer)
{
    const uint32_t end = row->position + 1, window = layer->window_tokens;
    return (span){ window && end > window ? end - window : 0, end };
}

/* What all rows of a tile see in whole pages, maybe nothing; a row alone has all for its own. */
static span shared_view(const enx_kv *kv, const tile *t, const enx_kv_layer *layer)
{
    span shared = { 0, t->shared * ENX_KV_PAGE };
    for (uint32_t i = 0; i < t->count; i++) {
        const uint32_t first = view_of(&kv->rows[kv->order[t->first + i]], layer).first;
        if (first > shared.first) shared.first = first;
    }
    if (t->count == 1) return (span){ shared.first, shared.first };
    shared.first = (shared.first + ENX_KV_PAGE - 1) / ENX_KV_PAGE * ENX_KV_PAGE;
    if (shared.end < shared.first) shared.end = shared.first;
    return shared;
}

/* The next pages from position `at` on that lie together; returns where they end. */
static uint32_t next_stretch(const uint32_t *table, uint32_t at, uint32_t end)
{
    uint32_t page = at / ENX_KV_PAGE;
    while ((page + 1) * ENX_KV_PAGE < end && table[page + 1] == table[page] + 1) page++;
    const uint32_t stop = (page + 1) * ENX_KV_PAGE;
    return stop < end ? stop : end;
}

/* Some queries of one key head, all of which see the pages of `table`. */
struct group {
    const enx_kv   *kv;
    const uint32_t *table;
    uint32_t        layer;
    uint32_t        kv_head;
    uint32_t        count;
    const float   **q;      /* [count] */
    float         **scores; /* [count][positions] */
    float         **out;    /* [count] */
    float         **moved;  /* [count] scratch */
};

/* Queries [first, first + count) of a group, with the table of a slot of theirs. */
static group part_of(const group *g, uint32_t first, uint32_t count, uint32_t slot)
{
    group part = *g;
    part.table = table_of(g->kv, slot);
    part.count = count;
    part.q += first;
    part.scores += first;
    part.out += first;
    return part;
}

/* Scores of a span of positions, from the page's start on in which it begins. */
static void score_span(const group *g, span p)
{
    const enx_kernels *kernels = g->kv->options.kernels;
    const size_t       d = g->kv->options.hparams->head_width;
    for (uint32_t at = p.first / ENX_KV_PAGE * ENX_KV_PAGE; at < p.end;) {
        const uint32_t stop = next_stretch(g->table, at, p.end);
        const uint32_t page = g->table[at / ENX_KV_PAGE];
        const size_t   first = page_at(g->kv, g->layer, g->kv_head, page);
        const void    *k = number_at(g->kv, g->kv->keys, first);
        const void    *ahead = number_at(g->kv, g->kv->values, first);
        for (uint32_t i = 0; i < g->count; i++) g->moved[i] = g->scores[i] + at;
        switch (g->kv->options.type) {
        case ENX_KV_F16:
            kernels->attend_scores(g->moved, g->q, g->count, k, d, stop - at, ahead);
            break;
        case ENX_KV_F32:
            kernels->attend_scores_f32(g->moved, g->q, g->count, k, d, stop - at, ahead);
            break;
        case ENX_KV_Q8:
            kernels->attend_scores_q8(g->moved, g->q, g->count, k, d, stop - at, ahead);
            break;
        }
        at = stop;
    }
}

/* Add what the weights of a span of positions gather. */
static void mix_span(const group *g, span p)
{
    const uint32_t     heads = g->kv->options.hparams->kv_head_count;
    const uint32_t     next_head = g->kv_head + 1 < heads ? g->kv_head + 1 : 0;
    const enx_kernels *kernels = g->kv->options.kernels;
    const size_t       d = g->kv->options.hparams->head_width;
    for (uint32_t at = p.first; at < p.end;) {
        const uint32_t stop = next_stretch(g->table, at, p.end);
        const uint32_t page = g->table[at / ENX_KV_PAGE];
        const size_t   first =
            page_at(g->kv, g->layer, g->kv_head, page) + at % ENX_KV_PAGE * g->kv->position_numbers;
        const void *v = number_at(g->kv, g->kv->values, first);
        const void *ahead =
            number_at(g->kv, g->kv->keys, page_at(g->kv, g->layer, next_head, page));
        for (uint32_t i = 0; i < g->count; i++) g->moved[i] = g->scores[i] + at;
        const float *const *weights = (const float *const *)g->moved;
        switch (g->kv->options.type) {
        case ENX_KV_F16:
            kernels->attend_mix(g->out, weights, g->count, v, d, stop - at, ahead);
            break;
        case ENX_KV_F32:
            kernels->attend_mix_f32(g->out, weights, g->count, v, d, stop - at, ahead);
            break;
        case ENX_KV_Q8:
            kernels->attend_mix_q8(g->out, weights, g->count, v, d, stop - at, ahead);
            break;
        }
        at = stop;
    }
}

/* Scores to weights; a head's sink is one more score, whose weight nothing receives. */
static void weigh(const enx_kv *kv, const float *sink, float *scores, uint32_t count)
{
    enx_values_cap(scores, count, kv->options.hparams->score_cap);
    if (sink) scores[count] = *sink;
    kv->options.kernels->softmax(scores, count + (sink != NULL));
}

/* Where the queries of a tile and their outputs are; outputs begin at 0. */
static void gather_queries(const group *g, const tile *t, const float *q, float *out)
{
    const enx_hparams *hp = g->kv->options.hparams;
    const size_t       d = hp->head_width, width = hp->head_count * d;
    for (uint32_t i = 0; i < g->count; i++) {
        const uint32_t row = g->kv->order[t->first + i / g->kv->sharing];
        const size_t   head = g->kv_head * g->kv->sharing + i % g->kv->sharing;
        g->q[i] = q + row * width + head * d;
        g->out[i] = out + row * width + head * d;
        memset(g->out[i], 0, d * sizeof **g->out);
    }
}

/* All heads of one key head, for the rows of a tile. */
static void attend_tile(group *g, const tile *t, const enx_kv_layer *layer, const float *q,
                        float *out)
{
    const enx_kv  *kv = g->kv;
    const uint32_t sharing = kv->sharing;
    const span     shared = shared_view(kv, t, layer);
    g->count = t->count * sharing;
    g->table = table_of(kv, kv->rows[kv->order[t->first]].slot);
    gather_queries(g, t, q, out);
    score_span(g, shared);
    for (uint32_t i = 0; i < t->count; i++) {
        const enx_row *row = &kv->rows[kv->order[t->first + i]];
        const group    own = part_of(g, i * sharing, sharing, row->slot);
        const span     see = view_of(row, layer);
        score_span(&own, (span){ see.first, shared.first < see.end ? shared.first : see.end });
        score_span(&own, (span){ shared.end, see.end });
        for (uint32_t j = 0; j < sharing; j++)
            weigh(kv, layer->sinks ? &layer->sinks[g->kv_head * sharing + j] : NULL,
                  own.scores[j] + see.first, see.end - see.first);
        mix_span(&own, (span){ see.first, shared.first < see.end ? shared.first : see.end });
    }
    mix_span(g, shared);
    for (uint32_t i = 0; i < t->count; i++) {
        const enx_row *row = &kv->rows[kv->order[t->first + i]];
        const group    own = part_of(g, i * sharing, sharing, row->slot);
        mix_span(&own, (span){ shared.end, row->position + 1 });
    }
}

void enx_kv_attend(enx_kv *kv, const enx_kv_layer *layer, const float *q, float *out, uint32_t part,
                   uint32_t part_count)
{
    const uint64_t units = (uint64_t)kv->options.hparams->kv_head_count * kv->tile_count;
    const uint64_t end = units * (part + 1) / part_count;
    group          g = kv->groups[part];
    g.kv = kv;
    g.layer = layer->index;
    for (uint64_t unit = units * part / part_count; unit < end; unit++) {
        g.kv_head = (uint32_t)(unit / kv->tile_count);
        attend_tile(&g, &kv->tiles[unit % kv->tile_count], layer, q, out);
    }
}

/* ---- opening ----------------------------------------------------------- */

static void set_sizes(enx_kv *kv)
{
    enx_kv_options    *o = &kv->options;
    const enx_hparams *hp = o->hparams;
    kv->sharing = hp->head_count / hp->kv_head_count;
    kv->slot_pages = (o->context_tokens + ENX_KV_PAGE - 1) / ENX_KV_PAGE;
    if (o->page_count == 0) o->page_count = o->slot_count * kv->slot_pages;
    kv->position_numbers = numbers_of_position(hp, o->type);
    kv->page_numbers = kv->position_numbers * ENX_KV_PAGE;
    kv->number_bytes = enx_kv_number_bytes(o->type);
    kv->score_stride = ((size_t)kv->slot_pages + 1) * ENX_KV_PAGE; /* one more for a sink */
    const size_t rows = SCORE_NUMBERS / (kv->score_stride * kv->sharing);
    kv->tile_rows = rows < 1 ? 1 : rows > TILE_ROWS_MAX ? TILE_ROWS_MAX : (uint32_t)rows;
}

static void carve_all(enx_kv *kv, enx_carver *c)
{
    const enx_kv_options *o = &kv->options;
    const uint64_t        heads = o->hparams->kv_head_count * (uint64_t)o->hparams->layer_count;
    const uint64_t        numbers = heads * o->page_count * kv->page_numbers;
    const uint64_t        queries = (uint64_t)kv->tile_rows * kv->sharing;
    kv->keys = enx_carve(c, numbers, kv->number_bytes);
    kv->values = enx_carve(c, numbers, kv->number_bytes);
    kv->tables = enx_carve(c, (uint64_t)o->slot_count * kv->slot_pages, sizeof *kv->tables);
    kv->scores = enx_carve(c, o->thread_count * queries * kv->score_stride, sizeof *kv->scores);
    kv->halves =
        enx_carve(c, (uint64_t)o->thread_count * o->hparams->head_width, sizeof *kv->halves);
    kv->bytes = enx_carve(c, (uint64_t)o->thread_count * o->hparams->head_width, sizeof *kv->bytes);
    kv->order = enx_carve(c, o->row_count, sizeof *kv->order);
    kv->spare = enx_carve(c, o->row_count, sizeof *kv->spare);
    kv->slots = enx_carve(c, o->slot_count, sizeof *kv->slots);
    kv->first_rows = enx_carve(c, o->slot_count + 1u, sizeof *kv->first_rows);
    kv->tiles = enx_carve(c, o->row_count, sizeof *kv->tiles);
    kv->groups = enx_carve(c, o->thread_count, sizeof *kv->groups);
    kv->pointers = enx_carve(c, 4 * o->thread_count * queries, sizeof *kv->pointers);
}

/* Each thread's scratch: a row of scores and four pointers for each query. */
static void set_groups(enx_kv *kv)
{
    const size_t queries = (size_t)kv->tile_rows * kv->sharing;
    for (uint32_t thread = 0; thread < kv->options.thread_count; thread++) {
        void **pointers = kv->pointers + 4 * thread * queries;
        group *g = &kv->groups[thread];
        *g = (group){ .q = (void *)pointers,
                      .scores = (void *)(pointers + queries),
                      .out = (void *)(pointers + 2 * queries),
                      .moved = (void *)(pointers + 3 * queries) };
        for (size_t i = 0; i < queries; i++)
            g->scores[i] = kv->scores + (thread * queries + i) * kv->score_stride;
    }
}

enx_status enx_kv_open(enx_kv **out, const enx_kv_options *options, enx_report *report)
{
    ENX_CHECK(out && options && options->hparams && options->kernels && options->thread_count);
    enx_kv *kv = ENX_MEM_NEW(enx_kv, 1);
    if (!kv) return ENX_FAIL(report, NOMEM, "no memory for keys and values");
    kv->options = *options;
    set_sizes(kv);
    enx_carver c = { 0 };
    carve_all(kv, &c);
    kv->block_bytes = c.used_bytes;
    kv->block = c.is_overflown ? NULL : enx_mem_new(c.used_bytes, 1);
    if (!kv->block) {
        const enx_status status =
            ENX_FAIL(report, NOMEM,
                     "no memory for %llu MiB of keys and values (%u pages of %d tokens); "
                     "ask for fewer or shorter sequences",
                     (unsigned long long)(c.used_bytes >> 20), kv->options.page_count, ENX_KV_PAGE);
        enx_mem_free(kv);
        return status;
    }
    c = (enx_carver){ .base = kv->block };
    carve_all(kv, &c);
    set_groups(kv);
    if (options->page_count == 0)
        for (uint32_t i = 0; i < kv->options.page_count; i++) kv->tables[i] = i;
    *out = kv;
    return ENX_OK;
}

void enx_kv_close(enx_kv **handle)
{
    if (!*handle) return;
    enx_mem_free((*handle)->block);
    enx_mem_free(*handle);
    *handle = NULL;
}

uint64_t enx_kv_memory_bytes(const enx_kv *kv) { return sizeof *kv + kv->block_bytes; }

uint32_t enx_kv_page_count(const enx_kv *kv) { return kv->options.page_count; }

uint64_t enx_kv_page_bytes(const enx_kv *kv)
{
    return enx_kv_page_size(kv->options.hparams, kv->options.type);
}

uint64_t enx_kv_page_size(const enx_hparams *hp, enx_kv_type type)
{
    const uint64_t position = numbers_of_position(hp, type) * enx_kv_number_bytes(type);
    return 2 * ENX_KV_PAGE * position * hp->layer_count * hp->kv_head_count;
}
