/* SPDX-License-Identifier: Apache-2.0 */
/* relate.c - what the answers of a class must have in common, or not. */
#include "base/mem.h"
#include "check/field.h"
#include "check/judging.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Relative: sums of money in doubles. */
static const double sum_tolerance = 1e-9;

/* The values of one field over all answers, each with where it came from. */
typedef struct value_at {
    char    *text; /* owned */
    uint32_t index;
} value_at;

typedef struct values {
    value_at *rows;
    size_t    count, capacity;
    uint32_t  index; /* of the answer that is read */
    double    sum;
} values;

static bool keep(void *user, const char *value)
{
    values *v = user;
    char   *end;
    if (v->count == v->capacity) {
        const size_t more = v->capacity ? 2 * v->capacity : 64;
        value_at    *grown =
            enx_mem_resize(v->rows, v->capacity * sizeof *grown, more * sizeof *grown);
        if (!grown) return false;
        v->rows = grown;
        v->capacity = more;
    }
    const size_t size = strlen(value) + 1;
    char        *copy = ENX_MEM_NEW(char, size);
    if (!copy) return false;
    memcpy(copy, value, size);
    const double number = strtod(value, &end);
    if (*value && !*end) v->sum += number;
    v->rows[v->count++] = (value_at){ copy, v->index };
    return true;
}

static int by_text(const void *a, const void *b)
{
    const value_at *x = a, *y = b;
    const int       sign = strcmp(x->text, y->text);
    if (sign) return sign;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Rows are sorted: equal values stand together. */
static size_t run_end(const values *v, size_t first)
{
    size_t end = first;
    while (end < v->count && strcmp(v->rows[end].text, v->rows[first].text) == 0) end++;
    return end;
}

static void mark_repeated(const values *v, bool *is_bad)
{
    for (size_t first = 0, end; first < v->count; first = end) {
        end = run_end(v, first);
        for (size_t i = first + 1; i < end; i++)
            if (v->rows[i].index != v->rows[first].index) is_bad[v->rows[i].index] = true;
    }
}

static void mark_different(const values *v, bool *is_bad)
{
    size_t best = 0, best_end = 0;
    for (size_t first = 0, end; first < v->count; first = end) {
        end = run_end(v, first);
        if (end - first <= best_end - best) continue;
        best = first;
        best_end = end;
    }
    for (size_t i = 0; i < v->count; i++)
        if (i < best || i >= best_end) is_bad[v->rows[i].index] = true;
}

void enx_judge_relate(const enx_check *check, const enx_span *answers, uint32_t count, bool *is_bad)
{
    values v = { 0 };
    bool   is_read = true;
    for (v.index = 0; v.index < count && is_read; v.index++) {
        const enx_span at = answers[v.index];
        json_t        *value = json_loadb(at.text, at.size_bytes, JSON_DECODE_ANY, NULL);
        if (value) is_read = enx_field_each(value, check->field, keep, &v);
        json_decref(value);
    }
    if (is_read && v.count) qsort(v.rows, v.count, sizeof *v.rows, by_text);
    /* Without memory for all values nothing can be said of any. */
    if (is_read && check->kind == ENX_CHECK_UNIQUE) mark_repeated(&v, is_bad);
    else if (is_read && check->kind == ENX_CHECK_EQUAL) mark_different(&v, is_bad);
    else if (is_read &&
             !(fabs(v.sum - check->total) <= sum_tolerance * fmax(1, fabs(check->total))))
        for (uint32_t i = 0; i < count; i++) is_bad[i] = true;
    for (size_t i = 0; i < v.count; i++) enx_mem_free(v.rows[i].text);
    enx_mem_free(v.rows);
}
