/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.c - walking the input and its restorations side by side.
 *
 * The input is cut into units: a code point, or a byte that belongs to none.  An output is read
 * against them byte by byte:
 *
 *   letter unit    one that damage leaves alone and that has other spellings: any of them, by
 *                  the byte automaton of spellings.h; some take the next unit with them (ß)
 *   literal unit   everything else, also all that damage would change: its own bytes
 *   gap            before white space or the end, after a word (level 3): marks may be inserted
 *
 *                 mark                          mark, fewer than ENX_REDUCE_MARKS_MAX so far
 *   TEXT at gap ────────────────────────► MARKS ◄──┐
 *     │   │ ' ' or first byte of a space   ▲  │ └──┘
 *     │   ▼               last byte        │  │ first byte of the white space at the gap
 *     │ SPACE ──────────► SPACED ──────────┘  ▼
 *     └── white space of the input ────────► TEXT
 *
 * Why damage of the output is damage of the input:
 * (1) Units keep their order and every piece of output starts with a lead byte, an ASCII byte or
 *     a byte that stood alone in the input already, so pieces never melt into other characters.
 * (2) Accents and capitals: each spelling has by construction the same damage as its letters.  A
 *     letter with a combining mark behind it is literal, so it never gets a second mark.
 * (3) Marks: an insertion stands after something that is not white space, and white space or the
 *     end follows, so damage drops it with the space before it.  Marks put directly behind marks
 *     would join their run, and a run before everything stays: there a space is demanded.
 * (4) Where the input has marks that damage would drop, directly or after white space, no others
 *     are inserted: such a word has its marks.
 *
 * No dead ends: each node of a spelling leads to its end, SPACED takes a mark, and what follows
 * MARKS is a literal unit or the end.
 *
 * Two readings at most: only white space at a gap can be read in two ways (TEXT, SPACE).  From
 * there MARKS goes on by marks alone, so the TEXT reading is inside a run of marks that white
 * space precedes; were it to meet a gap at that run's end, damage would drop the run, and by (4)
 * there would have been no gap before it.
 */
#include "text/reduce.h"

#include "base/check.h"
#include "base/mem.h"
#include "text/damage.h"
#include "text/spellings.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

enum { READINGS_MAX = 2, GAP_NONE = 0, GAP_SPACED = 1, GAP_ANY = 2 };

typedef struct unit {
    uint32_t root; /* of its spellings; 0: literal */
    uint8_t  bytes[4];
    uint8_t  size_bytes; /* 0: the end */
    uint8_t  gap;        /* GAP_*: what may be inserted before it */
} unit;

struct enx_reduce {
    enx_automaton automaton; /* first: the automaton's self is the reduce */
    enx_spellings spellings;
    unit         *units; /* [unit_count + 1], the last is the end */
    size_t        unit_count;
};

typedef enum mode { MODE_TEXT, MODE_SPACE, MODE_SPACED, MODE_MARKS } mode;

/* progress: TEXT: the node inside a spelling, or the bytes of a literal read, 0: at the unit's
 * start; SPACE: the byte of the space that must come next; MARKS: how many. */
typedef struct reading {
    uint32_t unit_index;
    uint32_t progress;
    mode     mode;
} reading;

typedef struct reduce_state {
    reading  readings[READINGS_MAX];
    uint32_t count;
} reduce_state;

static_assert(sizeof(reduce_state) <= 64, "copied at each step of a walk over the vocabulary");

static const enx_reduce *reduce_of(const enx_automaton *self)
{
    return (const enx_reduce *)(const void *)self;
}

/* ---- stepping ---- */

static void push_reading(reduce_state *state, uint32_t unit_index, mode now, uint32_t progress)
{
    ENX_CHECK(state->count < READINGS_MAX);
    state->readings[state->count++] =
        (reading){ .unit_index = unit_index, .progress = progress, .mode = now };
}

/* Go on inside the unit or start it. */
static void step_unit(const enx_reduce *self, uint32_t unit_index, uint32_t progress, uint8_t byte,
                      reduce_state *next)
{
    const unit *at = &self->units[unit_index];
    if (!at->root) {
        if (at->size_bytes == 0 || byte != at->bytes[progress]) return;
        if (progress + 1 == at->size_bytes) push_reading(next, unit_index + 1, MODE_TEXT, 0);
        else push_reading(next, unit_index, MODE_TEXT, progress + 1);
        return;
    }
    const enx_spelling_edge *edge =
        enx_spellings_step(&self->spellings, progress ? progress : at->root, byte);
    if (!edge) return;
    if (edge->node) push_reading(next, unit_index, MODE_TEXT, edge->node);
    else push_reading(next, unit_index + edge->letters, MODE_TEXT, 0);
}

/* Begin an insertion before the unit: U+0020, U+00A0 (C2 A0), U+202F (E2 80 AF) or a mark. */
static void step_gap(uint8_t gap, uint32_t unit_index, uint8_t byte, reduce_state *next)
{
    if (byte == ' ') push_reading(next, unit_index, MODE_SPACED, 0);
    else if (byte == 0xC2) push_reading(next, unit_index, MODE_SPACE, 0xA0);
    else if (byte == 0xE2) push_reading(next, unit_index, MODE_SPACE, 0x80);
    else if (gap == GAP_ANY && enx_damage_is_mark(byte))
        push_reading(next, unit_index, MODE_MARKS, 1);
}

static void step_reading(const enx_reduce *self, const reading *from, uint8_t byte,
                         reduce_state *next)
{
    const uint32_t at = from->unit_index;
    switch (from->mode) {
    case MODE_TEXT:
        step_unit(self, at, from->progress, byte, next);
        if (from->progress == 0 && self->units[at].gap)
            step_gap(self->units[at].gap, at, byte, next);
        return;
    case MODE_SPACE:
        if (byte != from->progress) return;
        if (byte == 0x80) push_reading(next, at, MODE_SPACE, 0xAF);
        else push_reading(next, at, MODE_SPACED, 0);
        return;
    case MODE_SPACED:
        if (enx_damage_is_mark(byte)) push_reading(next, at, MODE_MARKS, 1);
        return;
    case MODE_MARKS:
        if (!enx_damage_is_mark(byte)) step_unit(self, at, 0, byte, next);
        else if (from->progress < ENX_REDUCE_MARKS_MAX)
            push_reading(next, at, MODE_MARKS, from->progress + 1);
        return;
    }
}

static void start(const enx_automaton *self, void *state)
{
    (void)self;
    *(reduce_state *)state = (reduce_state){ .count = 1 };
}

static bool step(const enx_automaton *self, void *state, uint8_t byte)
{
    reduce_state      *now = state;
    const reduce_state from = *now;
    now->count = 0;
    for (uint32_t i = 0; i < from.count; i++)
        step_reading(reduce_of(self), &from.readings[i], byte, now);
    return now->count > 0;
}

static bool may_end(const enx_automaton *self, const void *state)
{
    const reduce_state *now = state;
    for (uint32_t i = 0; i < now->count; i++) {
        const reading *at = &now->readings[i];
        if (at->unit_index == reduce_of(self)->unit_count &&
            (at->mode == MODE_TEXT || at->mode == MODE_MARKS))
            return true;
    }
    return false;
}

static void add_byte(uint64_t bytes[4], uint32_t byte)
{
    bytes[byte >> 6] |= UINT64_C(1) << (byte & 63);
}

static void add_marks(uint64_t bytes[4])
{
    static const char marks[] = ".,;:!?";
    for (size_t i = 0; i + 1 < sizeof marks; i++) add_byte(bytes, (uint8_t)marks[i]);
}

static void add_unit(const enx_reduce *self, const reading *at, uint32_t progress,
                     uint64_t bytes[4])
{
    const unit *here = &self->units[at->unit_index];
    if (here->root) {
        const enx_spelling_node *node = &self->spellings.nodes[progress ? progress : here->root];
        for (size_t i = 0; i < 4; i++) bytes[i] |= node->bytes[i];
    } else if (here->size_bytes > 0) {
        add_byte(bytes, here->bytes[progress]);
    }
}

static void next_bytes(const enx_automaton *self, const void *state, uint64_t bytes[4])
{
    const enx_reduce   *reduce = reduce_of(self);
    const reduce_state *now = state;
    for (uint32_t i = 0; i < now->count; i++) {
        const reading *at = &now->readings[i];
        const uint8_t  gap = reduce->units[at->unit_index].gap;
        if (at->mode == MODE_TEXT) add_unit(reduce, at, at->progress, bytes);
        if (at->mode == MODE_TEXT && at->progress == 0 && gap) {
            add_byte(bytes, ' '), add_byte(bytes, 0xC2), add_byte(bytes, 0xE2);
            if (gap == GAP_ANY) add_marks(bytes);
        }
        if (at->mode == MODE_SPACE) add_byte(bytes, at->progress);
        if (at->mode == MODE_MARKS) add_unit(reduce, at, 0, bytes);
        if (at->mode == MODE_SPACED ||
            (at->mode == MODE_MARKS && at->progress < ENX_REDUCE_MARKS_MAX))
            add_marks(bytes);
    }
}

/* ---- reading the input ---- */

/* points[i] of each unit, -1 for a byte that belongs to no code point. */
static void cut_units(enx_reduce *self, int32_t *points, const char *text, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        utf8proc_int32_t       point;
        const utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                       (utf8proc_ssize_t)(size_bytes - at), &point);
        unit *new = &self->units[self->unit_count];
        new->size_bytes = used > 0 ? (uint8_t)used : 1;
        memcpy(new->bytes, text + at, new->size_bytes);
        points[self->unit_count++] = used > 0 ? point : -1;
        at += new->size_bytes;
    }
    points[self->unit_count] = -1;
}

static bool is_free(int32_t point, int32_t next, unsigned kinds)
{
    int32_t plain[ENX_DAMAGE_LETTERS_MAX];
    if (point < 0 || enx_damage_letters(plain, point, kinds) != 1 || plain[0] != point)
        return false;
    return next < 0 || enx_damage_letters(plain, next, ENX_DAMAGE_KIND_ACCENTS) > 0;
}

static void find_roots(enx_reduce *self, const int32_t *points, unsigned kinds)
{
    for (size_t i = 0; i < self->unit_count; i++) {
        if (!is_free(points[i], points[i + 1], kinds)) continue;
        const bool has_next =
            i + 1 < self->unit_count && is_free(points[i + 1], points[i + 2], kinds);
        self->units[i].root =
            enx_spellings_root(&self->spellings, points[i], has_next ? points[i + 1] : -1);
    }
}

/* Past the run of marks at i. */
static size_t skip_run(const int32_t *points, size_t i)
{
    while (enx_damage_is_mark(points[i])) i++;
    return i;
}

/* Is there a run of marks at i that ends a word? */
static bool has_run(const int32_t *points, size_t point_count, size_t i)
{
    const size_t end = skip_run(points, i);
    return end > i && (end == point_count || enx_damage_is_space(points[end]));
}

/* Gaps stand after something and before white space or the end.  points[point_count] is -1. */
static void find_gaps(enx_reduce *self, const int32_t *points)
{
    const size_t count = self->unit_count;
    bool         has_word = false; /* something stands before the run that ends here */
    for (size_t i = 0, end; i < count; i = end) {
        if (enx_damage_is_space(points[i])) {
            end = i + 1;
            continue;
        }
        const size_t run_end = skip_run(points, i);
        end = run_end > i ? run_end : i + 1;
        const bool has_marks = run_end > i && has_word; /* its own, which damage would drop */
        has_word = true;
        if (has_marks || (end < count && !enx_damage_is_space(points[end]))) continue;
        size_t after = end;
        while (enx_damage_is_space(points[after])) after++;
        if (after > end && has_run(points, count, after)) continue;
        self->units[end].gap = run_end > i ? GAP_SPACED : GAP_ANY;
    }
}

static enx_status read_text(enx_reduce *self, const char *text, size_t size_bytes,
                            unsigned all_kinds, enx_report *report)
{
    const unsigned kinds = all_kinds & (ENX_DAMAGE_KIND_ACCENTS | ENX_DAMAGE_KIND_CAPITALS);
    self->units = ENX_MEM_NEW(unit, size_bytes + 1);
    int32_t *points = ENX_MEM_NEW(int32_t, size_bytes + 1);
    if (!self->units || !points) {
        enx_mem_free(points);
        return ENX_FAIL(report, NOMEM, "reduce: no memory for %zu bytes of input", size_bytes);
    }
    cut_units(self, points, text, size_bytes);
    enx_status status = ENX_OK;
    if (kinds)
        status = enx_spellings_init(&self->spellings, points, self->unit_count, kinds, report);
    if (status == ENX_OK && kinds) find_roots(self, points, kinds);
    if (all_kinds & ENX_DAMAGE_KIND_PUNCTUATION) find_gaps(self, points);
    enx_mem_free(points);
    return status;
}

enx_status enx_reduce_open(enx_reduce **out, const char *text, size_t size_bytes, int level,
                           enx_report *report)
{
    static const unsigned kinds[ENX_DAMAGE_LEVELS] = { 0, 1, 3, 7 };
    if (level < 0 || level >= ENX_DAMAGE_LEVELS)
        return ENX_FAIL(report, INVALID, "reduce: level %d is not in 0..%d", level,
                        ENX_DAMAGE_LEVELS - 1);
    return enx_reduce_open_kinds(out, text, size_bytes, kinds[level], report);
}

enx_status enx_reduce_open_kinds(enx_reduce **out, const char *text, size_t size_bytes,
                                 unsigned kinds, enx_report *report)
{
    ENX_CHECK(out && (text || size_bytes == 0));
    if (size_bytes > ENX_REDUCE_INPUT_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "reduce: the input has %zu bytes, at most %d are taken",
                        size_bytes, (int)ENX_REDUCE_INPUT_BYTES_MAX);
    enx_reduce *self = ENX_MEM_NEW(enx_reduce, 1);
    if (!self) return ENX_FAIL(report, NOMEM, "reduce: no memory");
    self->automaton = (enx_automaton){ .state_bytes = sizeof(reduce_state),
                                       .start = start,
                                       .step = step,
                                       .may_end = may_end,
                                       .next_bytes = next_bytes };
    const enx_status status = read_text(self, text, size_bytes, kinds, report);
    if (status != ENX_OK) {
        enx_reduce_close(&self);
        return status;
    }
    *out = self;
    return ENX_OK;
}

void enx_reduce_close(enx_reduce **reduce)
{
    if (!*reduce) return;
    enx_spellings_deinit(&(*reduce)->spellings);
    enx_mem_free((*reduce)->units);
    enx_mem_free(*reduce);
    *reduce = NULL;
}

const enx_automaton *enx_reduce_automaton(const enx_reduce *reduce) { return &reduce->automaton; }
