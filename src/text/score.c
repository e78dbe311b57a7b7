/* SPDX-License-Identifier: Apache-2.0 */
/* score.c - walking two texts word by word. */
#include "text/score.h"

#include <stdbool.h>
#include <string.h>

/* A word without the marks that belong to it, and those marks (which may follow after white
 * space); both borrowed, `marks` may hold white space before the marks. */
typedef struct word {
    const char *form, *marks;
    size_t      form_bytes, marks_bytes;
} word;

typedef struct walker {
    const char *at, *end;
} walker;

static bool is_mark(char c) { return c != '\0' && strchr(".,;:!?", c) != NULL; }

/* The bytes of white space at p: ASCII, U+00A0, U+2000..200A, U+202F, U+3000; 0: none. */
static size_t space_bytes(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    const size_t         left = (size_t)(end - p);
    if (left >= 1 && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) return 1;
    if (left >= 2 && u[0] == 0xC2 && u[1] == 0xA0) return 2;
    if (left < 3) return 0;
    if (u[0] == 0xE2 && u[1] == 0x80 && (u[2] <= 0x8A || u[2] == 0xAF)) return 3;
    return u[0] == 0xE3 && u[1] == 0x80 && u[2] == 0x80 ? 3 : 0;
}

static const char *skip_spaces(const char *p, const char *end)
{
    for (size_t n; p < end && (n = space_bytes(p, end)) > 0;) p += n;
    return p;
}

static const char *skip_word(const char *p, const char *end)
{
    while (p < end && space_bytes(p, end) == 0) p++;
    return p;
}

static bool all_marks(const char *p, const char *end)
{
    while (p < end && is_mark(*p)) p++;
    return p == end;
}

static bool next_word(walker *w, word *out)
{
    const char *first = skip_spaces(w->at, w->end), *last = skip_word(first, w->end);
    if (first == last) return false;
    const char *form_end = last;
    while (form_end > first && is_mark(form_end[-1])) form_end--;
    if (form_end == first) form_end = last; /* marks with no word before them are their own form */
    const char *marks_end = last;
    for (;;) {
        const char *more = skip_spaces(marks_end, w->end), *more_end = skip_word(more, w->end);
        if (more == more_end || !all_marks(more, more_end)) break;
        marks_end = more_end;
    }
    *out = (word){ first, form_end, (size_t)(form_end - first), (size_t)(marks_end - form_end) };
    w->at = marks_end;
    return true;
}

static bool has_letter(const word *w)
{
    for (size_t i = 0; i < w->form_bytes; i++) {
        const unsigned char c = (unsigned char)w->form[i], lower = c | 0x20;
        if ((lower >= 'a' && lower <= 'z') || c >= 0xC3) return true;
    }
    return false;
}

static bool same(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0); /* NULL, 0 too */
}

static void compare_marks(enx_score *score, const word *answer, const word *truth)
{
    if (same(answer->marks, answer->marks_bytes, truth->marks, truth->marks_bytes)) {
        score->marks_right += truth->marks_bytes > 0;
        return;
    }
    score->marks_extra += answer->marks_bytes > 0;
    score->marks_missed += truth->marks_bytes > 0;
}

void enx_score_add(enx_score *score, const char *answer, size_t answer_bytes, const char *truth,
                   size_t truth_bytes)
{
    walker a = { answer, answer + answer_bytes }, t = { truth, truth + truth_bytes };
    for (;;) {
        word       mine = { 0 }, right = { 0 };
        const bool has_mine = next_word(&a, &mine), has_right = next_word(&t, &right);
        if (!has_mine && !has_right) break;
        if (has_letter(has_right ? &right : &mine)) {
            score->words++;
            score->words_right += has_mine && has_right &&
                                  same(mine.form, mine.form_bytes, right.form, right.form_bytes);
        }
        compare_marks(score, &mine, &right);
    }
    score->texts++;
    score->exact += same(answer, answer_bytes, truth, truth_bytes);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 1.0;
}

double enx_score_word_accuracy(const enx_score *s) { return share(s->words_right, s->words); }

double enx_score_exact(const enx_score *s) { return share(s->exact, s->texts); }

double enx_score_punctuation_f1(const enx_score *s)
{
    return share(2 * s->marks_right, 2 * s->marks_right + s->marks_extra + s->marks_missed);
}
