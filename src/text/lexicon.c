/* SPDX-License-Identifier: Apache-2.0 */
/* lexicon.c - counting the forms of words, and spelling by the most frequent. */
#include "text/lexicon.h"

#include "base/mem.h"
#include "text/damage.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    KEY_KINDS = ENX_DAMAGE_KIND_ACCENTS | ENX_DAMAGE_KIND_CAPITALS,
    ENTRY_BYTES_MAX = 2 * ENX_LEXICON_WORD_BYTES_MAX + 1,
    KEY_BYTES_MAX = 4 * ENTRY_BYTES_MAX,
    ENTRIES_MAX = 1 << 23,
    STRINGS_BYTES_MAX = 1 << 30,
    SLOTS_FIRST = 1 << 14,
    STRENGTH_CLEAR = 190, /* above it, pairs that say the same as the word are left out */
};

static const char left_pair = ' ', right_pair = '\t';

/* A word whose lexicon entry rests on c occurrences is overlooked with the chance forget_weight /
 * c. */
static const double forget_weight = 1.5;

typedef struct entry {
    uint32_t key_at, form_at; /* in `strings` */
    uint32_t count;           /* occurrences of the form; 0 when read from a file */
    uint16_t key_bytes, form_bytes;
    uint8_t  strength; /* 255 x occurrences of the form / (1 + those of the key) */
} entry;

struct enx_lexicon {
    entry  *entries; /* rising by key */
    size_t  count, capacity;
    enx_buf strings;
};

/* ---- Words of a text ------------------------------------------------------------------------ */

static size_t letter_bytes(const char *at, const char *end)
{
    const unsigned char c = (unsigned char)*at;
    if (c < 0x80) return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    uint32_t     point;
    const size_t used = enx_utf8_decode(at, (size_t)(end - at), &point);
    if (point == ENX_UTF8_INVALID) return 0;
    const utf8proc_category_t kind = utf8proc_category((utf8proc_int32_t)point);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO ? used : 0;
}

/* The next run of letters in [*at, end); false: none.  What lies before it is [*at, *first). */
static bool next_word(const char **at, const char *end, const char **first)
{
    const char *p = *at;
    size_t      used = 0;
    while (p < end && (used = letter_bytes(p, end)) == 0) p++;
    *first = p;
    while (p < end && (used = letter_bytes(p, end)) > 0) p += used;
    *at = p;
    return *first < p;
}

static bool ends_sentence(const char *gap, const char *end, bool was_start)
{
    for (; gap < end; gap++) {
        if (*gap == '\n' || *gap == '.' || *gap == '!' || *gap == '?' || *gap == ':')
            was_start = true;
        else if (*gap >= '0' && *gap <= '9') was_start = false;
    }
    return was_start;
}

/* "The" as "the", but "GNOME" and "LaTeX" as they are; returns the bytes in `out`. */
static size_t without_first_capital(char *out, const char *word, size_t size_bytes)
{
    const char *end = word + size_bytes;
    uint32_t    point;
    size_t      first = enx_utf8_decode(word, size_bytes, &point), kept = 0;
    for (const char *p = word + first; p < end;) {
        uint32_t more;
        p += enx_utf8_decode(p, (size_t)(end - p), &more);
        if (utf8proc_tolower((int32_t)more) != (int32_t)more) first = 0;
    }
    if (first > 0)
        kept =
            (size_t)utf8proc_encode_char(utf8proc_tolower((int32_t)point), (utf8proc_uint8_t *)out);
    memcpy(out + kept, word + first, size_bytes - first);
    return kept + size_bytes - first;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static bool keep_string(enx_lexicon *l, const char *text, size_t size_bytes, uint32_t *at)
{
    *at = (uint32_t)l->strings.size_bytes;
    return enx_buf_append(&l->strings, text, size_bytes) == ENX_OK;
}

static int compare(const char *a, size_t a_bytes, const char *b, size_t b_bytes)
{
    const int order = memcmp(a, b, a_bytes < b_bytes ? a_bytes : b_bytes);
    return order ? order : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

static int compare_keys(const enx_lexicon *l, const entry *a, const entry *b)
{
    return compare(l->strings.data + a->key_at, a->key_bytes, l->strings.data + b->key_at,
                   b->key_bytes);
}

static int compare_forms(const enx_lexicon *l, const entry *a, const entry *b)
{
    return compare(l->strings.data + a->form_at, a->form_bytes, l->strings.data + b->form_at,
                   b->form_bytes);
}

/* Append an entry for `form`; its key is worked out here. */
static enx_status add_entry(enx_lexicon *l, const char *form, size_t form_bytes, uint32_t count,
                            uint8_t strength, enx_buf *key)
{
    if (l->count == l->capacity) {
        const size_t more = l->capacity ? 2 * l->capacity : 1024;
        entry       *wider =
            enx_mem_resize(l->entries, l->capacity * sizeof *wider, more * sizeof *wider);
        if (!wider) return ENX_NOMEM;
        l->entries = wider;
        l->capacity = more;
    }
    entry *e = &l->entries[l->count];
    *e = (entry){ .count = count, .form_bytes = (uint16_t)form_bytes, .strength = strength };
    enx_buf_clear(key);
    ENX_TRY(enx_damage_kinds(key, form, form_bytes, KEY_KINDS, NULL));
    if (key->size_bytes > KEY_BYTES_MAX || l->count == ENTRIES_MAX) return ENX_LIMIT;
    e->key_bytes = (uint16_t)key->size_bytes;
    if (!keep_string(l, form, form_bytes, &e->form_at) ||
        !keep_string(l, enx_buf_text(key), key->size_bytes, &e->key_at))
        return ENX_LIMIT;
    l->count++;
    return ENX_OK;
}

static const entry *find(const enx_lexicon *l, const char *key, size_t key_bytes)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const entry *e = &l->entries[middle];
        const int    order = compare(l->strings.data + e->key_at, e->key_bytes, key, key_bytes);
        if (order == 0) return e;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static enx_lexicon *lexicon_new(void)
{
    enx_lexicon *l = ENX_MEM_NEW(enx_lexicon, 1);
    if (l) enx_buf_init(&l->strings, STRINGS_BYTES_MAX);
    return l;
}

void enx_lexicon_close(enx_lexicon **lexicon)
{
    if (!*lexicon) return;
    enx_mem_free((*lexicon)->entries);
    enx_buf_deinit(&(*lexicon)->strings);
    enx_mem_free(*lexicon);
    *lexicon = NULL;
}

size_t enx_lexicon_count(const enx_lexicon *lexicon) { return lexicon->count; }

/* ---- From text ------------------------------------------------------------------------------ */

/* Forms and how often they occurred: entries of `all`, found by hash. */
typedef struct counter {
    enx_lexicon *all;
    uint32_t    *slots; /* [slot_count] 1 + entry, 0: free */
    size_t       slot_count;
    enx_buf      key;
} counter;

static size_t slot_of(const counter *c, const char *form, size_t form_bytes)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < form_bytes; i++)
        hash = (hash ^ (uint8_t)form[i]) * UINT64_C(0x100000001B3);
    size_t slot = (size_t)(hash ^ hash >> 29) & (c->slot_count - 1);
    for (; c->slots[slot]; slot = (slot + 1) & (c->slot_count - 1)) {
        const entry *e = &c->all->entries[c->slots[slot] - 1];
        if (compare(c->all->strings.data + e->form_at, e->form_bytes, form, form_bytes) == 0) break;
    }
    return slot;
}

static enx_status widen_slots(counter *c)
{
    uint32_t *slots = ENX_MEM_NEW(uint32_t, 2 * c->slot_count);
    if (!slots) return ENX_NOMEM;
    enx_mem_free(c->slots);
    c->slots = slots;
    c->slot_count *= 2;
    for (size_t i = 0; i < c->all->count; i++) {
        const entry *e = &c->all->entries[i];
        slots[slot_of(c, c->all->strings.data + e->form_at, e->form_bytes)] = (uint32_t)i + 1;
    }
    return ENX_OK;
}

/* Of endless text, what is new after ENTRIES_MAX different words and pairs is not counted. */
static enx_status count_form(counter *c, const char *form, size_t form_bytes)
{
    if (2 * c->all->count >= c->slot_count) ENX_TRY(widen_slots(c));
    const size_t slot = slot_of(c, form, form_bytes);
    if (c->slots[slot]) {
        c->all->entries[c->slots[slot] - 1].count++;
        return ENX_OK;
    }
    if (c->all->count == ENTRIES_MAX) return ENX_OK;
    ENX_TRY(add_entry(c->all, form, form_bytes, 1, 0, &c->key));
    c->slots[slot] = (uint32_t)c->all->count;
    return ENX_OK;
}

typedef struct counted_word {
    char   form[ENX_LEXICON_WORD_BYTES_MAX + 4], key[ENX_LEXICON_WORD_BYTES_MAX + 4];
    size_t form_bytes, key_bytes; /* 0: none, or too long */
} counted_word;

static enx_status read_word(counted_word *w, const char *first, size_t size_bytes, bool is_start,
                            enx_buf *key)
{
    w->form_bytes = w->key_bytes = 0;
    if (size_bytes > ENX_LEXICON_WORD_BYTES_MAX) return ENX_OK;
    if (is_start) size_bytes = without_first_capital(w->form, first, size_bytes);
    else memcpy(w->form, first, size_bytes);
    enx_buf_clear(key);
    ENX_TRY(enx_damage_kinds(key, w->form, size_bytes, KEY_KINDS, NULL));
    if (size_bytes > ENX_LEXICON_WORD_BYTES_MAX || key->size_bytes > ENX_LEXICON_WORD_BYTES_MAX)
        return ENX_OK;
    memcpy(w->key, key->data, key->size_bytes);
    w->form_bytes = size_bytes;
    w->key_bytes = key->size_bytes;
    return ENX_OK;
}

static enx_status count_pair(counter *c, const char *a, size_t a_bytes, char between, const char *b,
                             size_t b_bytes)
{
    char pair[ENTRY_BYTES_MAX];
    memcpy(pair, a, a_bytes);
    pair[a_bytes] = between;
    memcpy(pair + a_bytes + 1, b, b_bytes);
    return count_form(c, pair, a_bytes + 1 + b_bytes);
}

static enx_status count_text(counter *c, const char *text, size_t size_bytes)
{
    const char *at = text, *const end = text + size_bytes, *gap = text, *first;
    bool         is_start = true;
    counted_word words[2] = { { .form_bytes = 0 } }, *before = &words[0], *now = &words[1];
    while (next_word(&at, end, &first)) {
        is_start = ends_sentence(gap, first, is_start);
        ENX_TRY(read_word(now, first, (size_t)(at - first), is_start, &c->key));
        if (now->form_bytes) ENX_TRY(count_form(c, now->form, now->form_bytes));
        if (now->form_bytes && before->form_bytes && !memchr(gap, '\n', (size_t)(first - gap))) {
            ENX_TRY(count_pair(c, before->key, before->key_bytes, left_pair, now->form,
                               now->form_bytes));
            ENX_TRY(count_pair(c, before->form, before->form_bytes, right_pair, now->key,
                               now->key_bytes));
        }
        counted_word *spare = before;
        before = now;
        now = spare;
        gap = at;
        is_start = false;
    }
    return ENX_OK;
}

static int by_key(const void *a, const void *b, void *lexicon)
{
    const int order = compare_keys(lexicon, a, b);
    return order ? order : compare_forms(lexicon, a, b);
}

/* The word that an entry is about, in its form or its key. */
typedef struct part {
    const char *text;
    size_t      size_bytes;
} part;

static part target_of(const char *text, size_t size_bytes)
{
    const char *space = memchr(text, left_pair, size_bytes);
    const char *tab = memchr(text, right_pair, size_bytes);
    if (space) return (part){ space + 1, size_bytes - (size_t)(space + 1 - text) };
    return (part){ text, tab ? (size_t)(tab - text) : size_bytes };
}

/* How often at least: the more text, the more of it is chance.  Measured on development text, these
 * keep what helps of 3 to 22 MB in 0.1 to 0.5 MB. */
typedef struct count_limits {
    uint32_t word, pair;
} count_limits;

static count_limits limits_of(size_t text_bytes)
{
    return (count_limits){ 1 + (uint32_t)(text_bytes / 14000000),
                           3 + (uint32_t)(text_bytes / 5000000) };
}

static bool is_worth_keeping(const enx_lexicon *all, const entry *best, const enx_lexicon *words,
                             const count_limits *limits)
{
    const char *strings = all->strings.data;
    const part  form = target_of(strings + best->form_at, best->form_bytes);
    const part  key = target_of(strings + best->key_at, best->key_bytes);
    if (form.size_bytes == best->form_bytes)
        return best->count >= limits->word &&
               compare(form.text, form.size_bytes, key.text, key.size_bytes) != 0;
    const entry *word = find(words, key.text, key.size_bytes);
    if (best->count < limits->pair || !word) return false;
    return word->strength < STRENGTH_CLEAR ||
           compare(form.text, form.size_bytes, words->strings.data + word->form_at,
                   word->form_bytes) != 0;
}

/* The most frequent form of each key, of equals the first: all words when `words` is NULL, else
 * what a lexicon needs. */
static enx_status keep_best(enx_lexicon *out, const enx_lexicon *all, const enx_lexicon *words,
                            const count_limits *limits, enx_buf *key)
{
    for (size_t i = 0, next; i < all->count; i = next) {
        entry    best = all->entries[i];
        uint64_t sum = best.count;
        for (next = i + 1; next < all->count && compare_keys(all, &best, &all->entries[next]) == 0;
             next++) {
            sum += all->entries[next].count;
            if (all->entries[next].count > best.count) best = all->entries[next];
        }
        const char *form = all->strings.data + best.form_at;
        const bool  is_pair = target_of(form, best.form_bytes).size_bytes < best.form_bytes;
        best.strength = (uint8_t)(UINT64_C(255) * best.count / (sum + 1));
        if (words ? is_worth_keeping(all, &best, words, limits) : !is_pair)
            ENX_TRY(add_entry(out, form, best.form_bytes, best.count, best.strength, key));
    }
    return ENX_OK;
}

enx_status enx_lexicon_open_text(enx_lexicon **out, const char *text, size_t size_bytes,
                                 enx_report *report)
{
    enx_lexicon       *best = lexicon_new(), *words = lexicon_new();
    const count_limits least = limits_of(size_bytes);
    counter            c = { .all = lexicon_new(), .slot_count = SLOTS_FIRST };
    enx_status         status = best && words && c.all ? ENX_OK : ENX_NOMEM;
    c.slots = ENX_MEM_NEW(uint32_t, c.slot_count);
    if (!c.slots) status = ENX_NOMEM;
    enx_buf_init(&c.key, 1 << 12);
    if (status == ENX_OK) status = count_text(&c, text, size_bytes);
    if (status == ENX_OK && c.all->count > 0) {
        qsort_r(c.all->entries, c.all->count, sizeof *c.all->entries, by_key, c.all);
        status = keep_best(words, c.all, NULL, &least, &c.key);
        if (status == ENX_OK) status = keep_best(best, c.all, words, &least, &c.key);
    }
    enx_buf_deinit(&c.key);
    enx_mem_free(c.slots);
    enx_lexicon_close(&c.all);
    enx_lexicon_close(&words);
    if (status != ENX_OK) {
        enx_lexicon_close(&best);
        return enx_report_set(report, status, __FILE__, __LINE__, "a lexicon of %zu bytes: %s",
                              size_bytes, enx_status_text(status));
    }
    *out = best;
    return ENX_OK;
}

/* ---- Saved ---------------------------------------------------------------------------------- */

enx_status enx_lexicon_save(const enx_lexicon *l, enx_buf *out, enx_report *report)
{
    const char *before = "";
    size_t      before_bytes = 0;
    for (size_t i = 0; i < l->count; i++) {
        const entry *e = &l->entries[i];
        const char  *form = l->strings.data + e->form_at;
        size_t       shared = 0;
        while (shared < before_bytes && shared < e->form_bytes && before[shared] == form[shared])
            shared++;
        const uint8_t head[] = { e->strength, (uint8_t)shared, (uint8_t)(e->form_bytes - shared) };
        enx_status    status = enx_buf_append(out, head, sizeof head);
        if (status == ENX_OK) status = enx_buf_append(out, form + shared, head[2]);
        if (status != ENX_OK)
            return enx_report_set(report, status, __FILE__, __LINE__, "saving a lexicon: %s",
                                  enx_status_text(status));
        before = form;
        before_bytes = e->form_bytes;
    }
    return ENX_OK;
}

static enx_status read_entries(enx_lexicon *l, const uint8_t *bytes, size_t size_bytes,
                               enx_report *report)
{
    char       form[ENTRY_BYTES_MAX];
    size_t     form_bytes = 0;
    enx_buf    key;
    enx_status status = ENX_OK;
    enx_buf_init(&key, 1 << 12);
    for (size_t at = 0; at < size_bytes && status == ENX_OK;) {
        const size_t left = size_bytes - at;
        const size_t shared = left < 3 ? 0 : bytes[at + 1], more = left < 3 ? 0 : bytes[at + 2];
        if (left < 3 + more || shared > form_bytes || shared + more == 0 ||
            shared + more > sizeof form) {
            status = ENX_FAIL(report, FORMAT, "byte %zu of a lexicon is no entry", at);
            break;
        }
        memcpy(form + shared, bytes + at + 3, more);
        form_bytes = shared + more;
        status = add_entry(l, form, form_bytes, 0, bytes[at], &key);
        at += 3 + more;
        if (status != ENX_OK)
            status = enx_report_set(report, status, __FILE__, __LINE__, "a lexicon: %s",
                                    enx_status_text(status));
        else if (l->count > 1 &&
                 compare_keys(l, &l->entries[l->count - 2], &l->entries[l->count - 1]) >= 0)
            status = ENX_FAIL(report, FORMAT, "a lexicon is out of order before byte %zu", at);
    }
    enx_buf_deinit(&key);
    return status;
}

enx_status enx_lexicon_open_bytes(enx_lexicon **out, const void *bytes, size_t size_bytes,
                                  enx_report *report)
{
    if (size_bytes > ENX_LEXICON_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "a lexicon of %zu bytes; %d are allowed", size_bytes,
                        ENX_LEXICON_BYTES_MAX);
    enx_lexicon *l = lexicon_new();
    if (!l) return ENX_FAIL(report, NOMEM, "no memory for a lexicon");
    const enx_status status = read_entries(l, bytes, size_bytes, report);
    if (status != ENX_OK) {
        enx_lexicon_close(&l);
        return status;
    }
    *out = l;
    return ENX_OK;
}

/* ---- Drafts --------------------------------------------------------------------------------- */

/* The form with each letter as large as the word's letter at its place. */
static enx_status fit_case(enx_buf *out, const char *form, size_t form_bytes, const char *word,
                           size_t word_bytes)
{
    for (size_t at = 0, in_word = 0; at < form_bytes;) {
        uint32_t point, own = ENX_UTF8_INVALID;
        int32_t  letters[ENX_DAMAGE_LETTERS_MAX];
        at += enx_utf8_decode(form + at, form_bytes - at, &point);
        if (point == ENX_UTF8_INVALID) return ENX_FORMAT;
        const size_t count = enx_damage_letters(letters, (int32_t)point, ENX_DAMAGE_KIND_ACCENTS);
        for (size_t i = 0; i < count && in_word < word_bytes; i++) {
            uint32_t here;
            in_word += enx_utf8_decode(word + in_word, word_bytes - in_word, &here);
            if (i == 0) own = here;
        }
        const bool is_large =
            own != ENX_UTF8_INVALID && utf8proc_tolower((int32_t)own) != (int32_t)own;
        utf8proc_uint8_t       bytes[4];
        const utf8proc_ssize_t size = utf8proc_encode_char(
            is_large ? utf8proc_toupper((int32_t)point) : utf8proc_tolower((int32_t)point), bytes);
        ENX_TRY(enx_buf_append(out, bytes, (size_t)size));
    }
    return ENX_OK;
}

typedef struct draft {
    const enx_lexicon *lexicon;
    unsigned           kinds;
    enx_rng           *forget;
    enx_buf            keys[3]; /* of the word before, the word, the word after */
    enx_buf            pair, form, check;
} draft;

static bool is_same(const enx_buf *buf, const char *text, size_t size_bytes)
{
    return buf->size_bytes == size_bytes && memcmp(buf->data, text, size_bytes) == 0;
}

/* NULL: there is no such entry, or it is overlooked. */
static const entry *recall(draft *d, const char *key, size_t key_bytes)
{
    const entry *e = find(d->lexicon, key, key_bytes);
    if (e && d->forget && enx_rng_unit(d->forget) * e->count < forget_weight) return NULL;
    return e;
}

static const entry *recall_pair(draft *d, const enx_buf *a, char between, const enx_buf *b)
{
    enx_buf_clear(&d->pair);
    if (a->size_bytes == 0 || b->size_bytes == 0 ||
        enx_buf_append(&d->pair, a->data, a->size_bytes) != ENX_OK ||
        enx_buf_append(&d->pair, &between, 1) != ENX_OK ||
        enx_buf_append(&d->pair, b->data, b->size_bytes) != ENX_OK)
        return NULL;
    return recall(d, d->pair.data, d->pair.size_bytes);
}

/* Leaves the lexicon's spelling of the word in d->form; false: it has none that fits. */
static bool spell(draft *d, const char *word, size_t word_bytes)
{
    enx_buf_clear(&d->form);
    enx_buf_clear(&d->check);
    if (d->keys[1].size_bytes == 0 ||
        enx_damage_kinds(&d->check, word, word_bytes, d->kinds, NULL) != ENX_OK ||
        !is_same(&d->check, word, word_bytes))
        return false;
    const entry *e = recall_pair(d, &d->keys[0], left_pair, &d->keys[1]);
    const entry *right = recall_pair(d, &d->keys[1], right_pair, &d->keys[2]);
    if (!e || (right && right->strength > e->strength)) e = right;
    if (!e) e = recall(d, d->keys[1].data, d->keys[1].size_bytes);
    if (!e) return false;
    const part form = target_of(d->lexicon->strings.data + e->form_at, e->form_bytes);
    const bool keeps_case = !(d->kinds & ENX_DAMAGE_KIND_CAPITALS);
    enx_status status = keeps_case
                            ? fit_case(&d->form, form.text, form.size_bytes, word, word_bytes)
                            : enx_buf_append(&d->form, form.text, form.size_bytes);
    enx_buf_clear(&d->check);
    if (status == ENX_OK)
        status =
            enx_damage_kinds(&d->check, enx_buf_text(&d->form), d->form.size_bytes, d->kinds, NULL);
    return status == ENX_OK && is_same(&d->check, word, word_bytes);
}

/* The key of the word at [first, end) becomes the last of the three. */
static enx_status shift_keys(draft *d, const char *first, const char *end)
{
    const enx_buf oldest = d->keys[0];
    d->keys[0] = d->keys[1];
    d->keys[1] = d->keys[2];
    d->keys[2] = oldest;
    enx_buf_clear(&d->keys[2]);
    if (end - first > ENX_LEXICON_WORD_BYTES_MAX) return ENX_OK;
    return enx_damage_kinds(&d->keys[2], first, (size_t)(end - first), KEY_KINDS, NULL);
}

static enx_status draft_text(draft *d, const char *text, size_t size_bytes, enx_buf *out)
{
    const char *const end = text + size_bytes;
    const char       *at = text, *gap = text, *first, *next = text, *next_first;
    bool              has_next = next_word(&next, end, &next_first);
    if (has_next) ENX_TRY(shift_keys(d, next_first, next));
    while (has_next) {
        first = next_first;
        at = next;
        has_next = next_word(&next, end, &next_first);
        ENX_TRY(shift_keys(d, next_first, has_next ? next : next_first));
        ENX_TRY(enx_buf_append(out, gap, (size_t)(first - gap)));
        const bool is_spelt = spell(d, first, (size_t)(at - first));
        ENX_TRY(enx_buf_append(out, is_spelt ? d->form.data : first,
                               is_spelt ? d->form.size_bytes : (size_t)(at - first)));
        gap = at;
    }
    return enx_buf_append(out, gap, (size_t)(end - gap));
}

enx_status enx_lexicon_draft(const enx_lexicon *lexicon, const char *text, size_t size_bytes,
                             unsigned kinds, enx_rng *forget, enx_buf *out, enx_report *report)
{
    draft          d = { .lexicon = lexicon, .kinds = kinds & KEY_KINDS, .forget = forget };
    enx_buf *const scratch[] = { &d.keys[0], &d.keys[1], &d.keys[2], &d.pair, &d.form, &d.check };
    enum { SCRATCHES = sizeof scratch / sizeof *scratch };
    for (size_t i = 0; i < SCRATCHES; i++) enx_buf_init(scratch[i], 1 << 12);
    const enx_status status = draft_text(&d, text, size_bytes, out);
    for (size_t i = 0; i < SCRATCHES; i++) enx_buf_deinit(scratch[i]);
    if (status != ENX_OK)
        return enx_report_set(report, status, __FILE__, __LINE__, "a draft: %s",
                              enx_status_text(status));
    return ENX_OK;
}
